//! The scheduler: finds a node for every pod that has none.
//!
//! Flow: informers -> `feed` -> `Input` -> `cache` and `queue` -> `schedule_one` over the `framework`'s plugins -> `Cluster` (binding,
//! event, pod condition). One task owns cache and queue, so a cycle sees a state that nobody changes meanwhile; what is
//! written goes out in batches that it does not wait for.
//! Upstream: pkg/scheduler (v1.35).
#![forbid(unsafe_code)]

pub mod api_cluster;
pub mod cache;
pub mod feed;
pub mod framework;
pub mod plugins;
pub mod queue;
pub mod schedule_one;
pub mod scheduler;
#[cfg(test)]
mod testutil;

pub use api_cluster::ApiCluster;
pub use feed::Feed;
pub use scheduler::{Cluster, Input, Scheduler};
