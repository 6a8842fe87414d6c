//! Orders the queue: higher priority first, then who came first.
//!
//! Upstream: pkg/scheduler/framework/plugins/queuesort (v1.35).

use std::time::Duration;

use crate::{
    cache::PodInfo,
    framework::{Extensions, PluginDescriptor, QueueKey, QueueSortPlugin},
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "PrioritySort",
    default_weight: 0,
    build: |_args| Ok(Extensions::new().queue_sort(PrioritySort)),
};

struct PrioritySort;

impl QueueSortPlugin for PrioritySort {
    fn key(&self, pod: &PodInfo, entered: Duration) -> QueueKey {
        QueueKey(-i64::from(pod.priority), entered)
    }
}
