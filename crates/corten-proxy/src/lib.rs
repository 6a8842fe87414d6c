//! The service proxy of a node: makes the addresses of services lead to their endpoints.
//!
//! Flow: informers -> `inbox` (latest state per object) -> `change_tracker` (which services changed) -> `ruleset` (pure
//! model of what each port of a service does) -> `backend` (nftables, or userspace where the kernel has no nftables).
//! Invariant: what a change costs follows its own size, not the number of services.
//!
//! Upstream: pkg/proxy (v1.35).
#![forbid(unsafe_code)]

pub mod backend;
pub mod change_tracker;
pub mod health;
pub mod inbox;
pub mod metrics;
pub mod names;
pub mod proxy;
pub mod ruleset;

pub use health::HealthServers;
pub use inbox::{Inbox, Input};
pub use proxy::{Config, Proxy, ProxyMode, clean_up};
