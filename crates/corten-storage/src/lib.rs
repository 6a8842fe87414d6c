//! Durable objects: the contract of an engine, the engine in memory, and the watch cache that the API server reads from.
//!
//! Flow: registry -> cacher -> object -> `KvEngine`; engine watch -> cacher -> watchers.
//! Invariant: only this crate and the engines know keys, bytes and revisions.
#![forbid(unsafe_code)]

pub mod kv;

pub mod mvcc;

pub mod memory;

pub mod object;

pub mod cacher;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
