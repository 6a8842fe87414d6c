//! Keeps a read-only copy of what an API server holds, up to date by watching, and tells handlers what changed.
//!
//! Flow: `Client` -> `reflector` (list, then watch) -> `SharedInformer` (store first, then handlers) -> workqueues.
//! Readers go through a `Lister`; consumers that need little of each object share a `Projected` store.
//! Invariant: objects are `Arc`s and are never changed; in one process they are the watch cache's own copies.
//! Upstream: k8s.io/client-go/tools/cache (v1.35).
#![forbid(unsafe_code)]

pub mod changes;
pub mod factory;
pub mod handler;
pub mod indexer;
pub mod key;
mod keyed_set;
pub mod lister;
pub mod metrics;
pub mod projected;
pub mod reflector;
pub mod shared_informer;
pub mod store;
#[cfg(any(test, feature = "testutil"))]
pub mod testutil;

pub use changes::{Changed, Changes};
pub use factory::{InformerFactory, InformerId};
pub use handler::Handler;
pub use indexer::Indexer;
pub use key::Key;
pub use lister::Lister;
pub use projected::{Projected, Projection, ProjectionHandler};
pub use reflector::{InitialList, Reflector, Selection, Sink};
pub use shared_informer::SharedInformer;
pub use store::Store;
