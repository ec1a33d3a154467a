//! The machine and its clock: what a measurement stands on. Knows nothing of attention.

pub mod calibrate;
pub mod clock;
pub mod machine;
pub mod memory;
pub mod ram;
pub mod rounds;
