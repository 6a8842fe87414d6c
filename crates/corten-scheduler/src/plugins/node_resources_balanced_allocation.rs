//! Prefers nodes whose resources would be used evenly, so that none runs out while others lie idle.
//!
//! Upstream: pkg/scheduler/framework/plugins/noderesources, BalancedAllocation (v1.35).

use corten_apimachinery::value::{Str, Value};

use super::node_resources_fit::resource_weights;
use crate::{
    cache::{NodeIndex, NodeInfo, PodInfo, Snapshot},
    framework::{
        CycleState, Extensions, MAX_NODE_SCORE, PluginDescriptor, PreScorePlugin, ScorePlugin, Status,
        plugin::ArgsError,
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "NodeResourcesBalancedAllocation",
    default_weight: 1,
    build: |args| {
        let plugin = BalancedAllocation::new(args)?;
        Ok(Extensions::new().pre_score(plugin.clone()).score(plugin))
    },
};

#[derive(Clone)]
struct BalancedAllocation {
    resources: Vec<Str>,
}

impl BalancedAllocation {
    fn new(args: &Value) -> Result<Self, ArgsError> {
        let resources = resource_weights(args, &["resources"])?;
        Ok(Self { resources: resources.into_iter().map(|(name, _)| name).collect() })
    }
}

impl PreScorePlugin for BalancedAllocation {
    fn pre_score(&self, _state: &mut CycleState, pod: &PodInfo, _snapshot: &Snapshot, _nodes: &[NodeIndex]) -> Status {
        // A pod that asks for nothing would always go to the same node.
        let asks = self.resources.iter().any(|resource| pod.requests.get(resource) > 0);
        if asks { Status::success() } else { Status::skip() }
    }
}

impl ScorePlugin for BalancedAllocation {
    fn score(&self, _state: &CycleState, pod: &PodInfo, _snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let fractions = self.resources.iter().filter_map(|resource| {
            let allocatable = node.facts.allocatable.get(resource);
            let requested = node.requested.get(resource) + i128::from(pod.requests.get(resource));
            (allocatable > 0).then(|| (requested as f64 / allocatable as f64).min(1.0))
        });
        let fractions: smallvec::SmallVec<[f64; 4]> = fractions.collect();
        let deviation = match fractions.as_slice() {
            [] | [_] => 0.0,
            [one, other] => ((one - other) / 2.0).abs(),
            all => {
                let mean = all.iter().sum::<f64>() / all.len() as f64;
                let squares = all.iter().map(|fraction| (fraction - mean) * (fraction - mean));
                (squares.sum::<f64>() / all.len() as f64).sqrt()
            }
        };
        ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64
    }
}
