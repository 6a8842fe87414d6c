//! What the embedded engines share: which version of a key holds when, how a group of writes is decided, who is told.
//!
//! Flow of a write: `plan` decides it against the `KeyIndex` -> the engine makes it durable -> `KeyIndex::apply` ->
//! `WatchHub::publish` -> the caller is answered. Values stay with the engine; here are keys and revisions only.

pub mod expiry;
pub mod housekeeping;
pub mod index;
pub mod plan;
pub mod watch_hub;

pub use expiry::ExpiryQueue;
pub use index::{KeyIndex, Live};
pub use plan::{Plan, Row, Verdict};
pub use watch_hub::{Attach, WatchHub};
