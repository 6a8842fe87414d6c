//! Durable objects: the contract of an engine, the engine in memory, and the watch cache that the API server reads from.
//!
//! Flow: registry -> cacher -> object -> `KvEngine`; engine watch -> cacher -> watchers.
//! Invariant: only this crate and the engines know keys, bytes and revisions.
#![forbid(unsafe_code)]

pub mod cacher;
pub mod kv;
pub mod object;
