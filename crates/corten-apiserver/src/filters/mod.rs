//! What every request goes through before its endpoint: `chain.rs` lists it in order.

mod authentication;
mod authorization;
mod bodies;
pub mod chain;
mod deadline;
mod impersonation;
mod in_flight;

pub use bodies::Bodies;
pub(crate) use in_flight::is_privileged;
pub use in_flight::{InFlight, Limits};
