//! The records of the cluster: what the names of services and pods mean right now. Pure.
//!
//! `Zone` is a plain structure that changes record by record, at a cost that follows the change; the server holds it
//! behind a lock and writes answers straight from it. A replay marks everything stale, what is named again is fresh, and
//! at its end the stale goes: until then the last known zone is served.
//! Upstream: Kubernetes DNS specification 1.1.0; coredns plugin/kubernetes.

mod facts;
mod lookup;
mod records;
mod reverse;

pub use facts::{
    EndpointFacts, EndpointPort, EndpointSliceFacts, FactsError, ObjectKey, Protocol, ServiceFacts, ServiceKind,
    ServicePort,
};
pub use lookup::Outcome;
pub use records::Zone;

#[cfg(test)]
pub(crate) mod tests;
