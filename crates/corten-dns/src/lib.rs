//! The cluster's DNS: service discovery for pods, and a caching forwarder for everything else.
//!
//! Flow: services and endpoint slices (a bounded channel, or the feed socket of `wire`) -> `zone` -> `server` -> pods;
//! what lies outside the cluster goes through `forward` to the node's resolvers.
//!
//! Names, TTLs and codes are those of the Kubernetes DNS specification 1.1.0, and of `CoreDNS`' kubernetes plugin where the
//! specification is silent. The messages are read and written by `message`, straight between the zone and the socket's
//! buffer: a general library's tree of names and records costs several times the lookup, its server bounds neither
//! tasks nor connections, and it brings Unicode tables that no name of a cluster needs. The tests read every answer with such a library.
#![forbid(unsafe_code)]

pub mod dns;
pub mod wire;
pub mod zone;

pub mod forward;
pub mod message;
pub mod metrics;
pub mod server;

pub use dns::{Config, Dns, DnsError, Input, Upstreams};
