//! The machine: its clock, memory and rates. Knows nothing of attention.

pub mod calibrate;
pub mod clock;
mod granted;
pub mod machine;
pub mod memory;
pub mod ram;
pub mod rounds;
