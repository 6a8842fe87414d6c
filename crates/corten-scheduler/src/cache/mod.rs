//! What the scheduler knows about pods and nodes: projections of a few hundred bytes, in dense arrays.

mod wire;

pub mod affinity;
pub mod host_ports;
pub mod node_info;
pub mod pod_info;
pub mod resources;
pub mod snapshot;
pub mod volumes;

pub use corten_apimachinery::labels::Labels;
use corten_apimachinery::{codec::json, value::Str};

pub use affinity::{NodeSelectorTerm, PodAffinityTerm, SpreadConstraint, Taint, TaintEffect, Toleration};
pub use host_ports::{HostPort, HostPorts};
pub use node_info::{NodeFacts, NodeInfo};
pub use pod_info::{PodInfo, Unscheduled};
pub use resources::{Resources, Sums};
pub use snapshot::{NodeIndex, Snapshot};
pub use volumes::{ClaimFacts, PodClaim, VolumeFacts};

/// An object that the API server sent cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// It is no JSON of its kind.
    #[error("decode the {kind}")]
    Decode {
        /// The kind.
        kind: &'static str,
        /// What is wrong with it.
        #[source]
        source: json::ViewError,
    },
    /// It holds a quantity that is none.
    #[error("read the quantity of resource {resource}")]
    Quantity {
        /// The resource's name.
        resource: Str,
        /// What is wrong with it.
        #[source]
        source: corten_apimachinery::quantity::QuantityError,
    },
    /// It holds a label selector that is none.
    #[error("read a label selector")]
    Selector(#[source] corten_apimachinery::selector::label::SelectorError),
}

#[cfg(test)]
mod tests;
