//! Prefers nodes that have the pod's images already.
//!
//! Upstream: pkg/scheduler/framework/plugins/imagelocality (v1.35).

use crate::{
    cache::{NodeInfo, PodInfo, Snapshot},
    framework::{CycleState, Extensions, MAX_NODE_SCORE, PluginDescriptor, ScorePlugin},
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "ImageLocality",
    default_weight: 1,
    build: |_args| Ok(Extensions::new().score(ImageLocality)),
};

/// Images smaller than this in sum are no reason to prefer a node.
const MIN_BYTES: i64 = 23 * 1024 * 1024;

/// More than this per container makes no difference.
const MAX_BYTES_PER_CONTAINER: i64 = 1_000 * 1024 * 1024;

struct ImageLocality;

impl ScorePlugin for ImageLocality {
    fn score(&self, _state: &CycleState, pod: &PodInfo, snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let nodes = snapshot.order().len() as f64;
        let images = &node.facts.images;
        let present = pod.images.iter().filter_map(|image| {
            let at = images.binary_search_by(|(name, _)| name.cmp(image)).ok()?;
            // An image that few nodes have counts less, so that its pods do not all go there.
            let spread = snapshot.nodes_with_image(image) as f64 / nodes;
            Some((images[at].1 as f64 * spread) as i64)
        });
        let most = MAX_BYTES_PER_CONTAINER * pod.images.len().max(1) as i64;
        let bytes = present.sum::<i64>().clamp(MIN_BYTES, most);
        MAX_NODE_SCORE * (bytes - MIN_BYTES) / (most - MIN_BYTES)
    }
}
