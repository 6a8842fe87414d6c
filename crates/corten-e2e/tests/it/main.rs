//! End-to-end tests: one binary, one module per subject.

mod bad_input;
mod crash;
mod kubectl;
