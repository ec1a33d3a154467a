//! What the reference implementations are made of.

pub(super) mod pattern;
pub(super) mod pool;
pub(super) mod work;
