//! Talks to an API server: one client over several transports, with typed and untyped access.
//!
//! Flow: component -> `Client`/`Api<K>` -> `Transport` (in process, or HTTP over TLS) -> filter chain of the API server.
//! Objects come back as `Arc<Stored>`: in one process that is the watch cache's own copy.
#![forbid(unsafe_code)]

pub mod api;
pub mod call;
pub mod client;
pub mod connections;
pub mod discovery;
pub mod events;
pub mod kubeconfig;
pub mod leader_election;
pub mod transport;

pub use api::Api;
pub use call::{Answer, Body, Call, ObjectList, PatchKind, Verb, WatchEvent, WatchStream};
pub use client::{Client, ListOptions, Target, WatchOptions};
pub use discovery::{ApiResource, Discovery};
pub use transport::Transport;
