//! Networks that learn: against torch's autograd, against their twins, and against themselves.

mod carried;
mod golden;
mod images;
mod memory;
mod program;
mod rates;
mod resume;
mod retrieval;
mod study;
mod translate;
mod translator;
mod twins;
