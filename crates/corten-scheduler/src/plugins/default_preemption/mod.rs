//! Makes room for a pod that fits nowhere: pods of lower priority go from the node where that costs least.
//!
//! Flow: nodes that refused the pod -> `candidate` (who has to go there) -> the cheapest -> the scheduler deletes the
//! victims and writes the node as the pod's nominated one; the pod is tried again when they are gone.
//! Upstream: pkg/scheduler/framework/plugins/defaultpreemption and pkg/scheduler/framework/preemption (v1.35).

mod candidate;

use std::sync::Arc;

use corten_apimachinery::value::Value;

use self::candidate::Candidate;
use crate::framework::{
    Code, Extensions, FitError, NoFit, Nomination, PluginDescriptor, PostFilterPlugin, Status, plugin::ArgsError,
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "DefaultPreemption",
    default_weight: 0,
    build: |args| Ok(Extensions::new().post_filter(DefaultPreemption::new(args)?)),
};

struct DefaultPreemption {
    /// How many of the nodes in question are looked at, in percent,
    percentage: usize,
    /// and how many at least.
    minimum: usize,
}

impl DefaultPreemption {
    fn new(args: &Value) -> Result<Self, ArgsError> {
        let number = |field: &str, default: i64, max: i64, problem: &str| {
            let number = args.i64_at(&[field]).unwrap_or(default);
            match usize::try_from(number) {
                Ok(number) if number as u64 <= max.unsigned_abs() => Ok(number),
                _ => Err(ArgsError { path: field.to_owned(), problem: problem.to_owned() }),
            }
        };
        Ok(Self {
            percentage: number("minCandidateNodesPercentage", 10, 100, "not in valid range [0, 100]")?,
            minimum: number("minCandidateNodesAbsolute", 100, i64::MAX, "not in valid range [0, inf)")?,
        })
    }

    /// Where room can be made, among the nodes that could take the pod with fewer pods on them.
    fn candidates(&self, no_fit: &NoFit<'_>) -> (Vec<Candidate>, FitError) {
        let all = no_fit.trial.snapshot.order().len();
        let mut error = FitError { nodes: all, ..FitError::default() };
        let tried = no_fit.statuses.tried.iter();
        let potential: Vec<_> = tried.filter(|(_, status)| status.code == Code::Unschedulable).collect();
        let enough = (potential.len() * self.percentage / 100).max(self.minimum);
        let (mut candidates, mut looked_at) = (Vec::new(), 0);
        while looked_at < potential.len() && candidates.len() < enough {
            let (node, _) = potential[(no_fit.offset + looked_at) % potential.len()];
            looked_at += 1;
            let pods = &no_fit.trial.snapshot.node(*node).pods;
            match candidate::victims(no_fit.trial.pod, pods, |removed| no_fit.trial.filter(*node, removed)) {
                // It fits as it is: another cycle will find that.
                Ok(victims) if victims.is_empty() => {}
                Ok(victims) => candidates.push(Candidate { node: *node, victims }),
                Err(status) => error.count(status.reasons.iter().map(AsRef::as_ref), 1),
            }
        }
        if looked_at < all {
            error.count(["Preemption is not helpful for scheduling"], all - looked_at);
        }
        (candidates, error)
    }
}

impl PostFilterPlugin for DefaultPreemption {
    fn post_filter(&self, no_fit: &NoFit<'_>) -> (Status, Nomination) {
        if let Some(reason) = ineligible(no_fit) {
            return (Status::unschedulable(format!("preemption: {reason}")), Nomination::Keep);
        }
        let (candidates, error) = self.candidates(no_fit);
        let Some(Candidate { node, victims }) = candidate::cheapest(candidates) else {
            return (Status::unschedulable(format!("preemption: {error}")), Nomination::Clear);
        };
        let node = no_fit.trial.snapshot.node(node).name().clone();
        (Status::success(), Nomination::Made { node, victims })
    }
}

/// Why the pod may not push out others; `None` if it may.
fn ineligible(no_fit: &NoFit<'_>) -> Option<&'static str> {
    let (pod, snapshot) = (no_fit.trial.pod, no_fit.trial.snapshot);
    if !pod.may_preempt {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = snapshot.find(&pod.nominated_node_name)?;
    let status = no_fit.statuses.tried.iter().find(|(at, _)| *at == nominated).map(|(_, status)| status.code);
    // Nothing that goes from there will help any more.
    if status.is_none_or(|code| code == Code::UnschedulableAndUnresolvable) {
        return None;
    }
    let is_going = |other: &Arc<_>| is_victim_on_its_way(pod.priority, other);
    let waits = snapshot.node(nominated).pods.iter().any(is_going);
    waits.then_some("not eligible due to a terminating pod on the nominated node.")
}

fn is_victim_on_its_way(priority: i32, other: &crate::cache::PodInfo) -> bool {
    other.priority < priority && other.is_preempted
}
