//! Refuses nodes without enough free resources, and scores them by how much would be free or used.
//!
//! Upstream: pkg/scheduler/framework/plugins/noderesources, Fit (v1.35).

use std::borrow::Cow;

use corten_apimachinery::value::{Str, Value};

use crate::{
    cache::{NodeInfo, PodInfo, Resources, Snapshot},
    framework::{
        Code, CycleState, EventObjects, Extensions, FilterPlugin, Interest, MAX_NODE_SCORE, PluginDescriptor,
        QueueingHint, ScorePlugin, Status,
        cluster_event::{Action, EventResource},
        plugin::ArgsError,
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "NodeResourcesFit",
    default_weight: 1,
    build: |args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(
                EventResource::AssignedPod,
                Action::DELETE.or(Action::UPDATE_POD_SCALE_DOWN),
                frees_something,
            ),
            Interest::any(EventResource::UnscheduledPod, Action::UPDATE_POD_SCALE_DOWN),
            Interest::when(EventResource::Node, Action::ADD.or(Action::UPDATE_NODE_ALLOCATABLE), could_ever_fit),
        ];
        let plugin = Fit::new(args)?;
        Ok(Extensions::new().filter(plugin.clone()).score(plugin).requeue_on(INTERESTS))
    },
};

#[derive(Debug, Clone, PartialEq)]
struct Fit {
    strategy: Strategy,
    weights: Vec<(Str, i64)>,
    /// Extended resources that are not looked at.
    ignored: Vec<Str>,
    ignored_groups: Vec<Str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Strategy {
    LeastAllocated,
    MostAllocated,
    /// Points of (percent used, score), by percent.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

impl Fit {
    fn new(args: &Value) -> Result<Self, ArgsError> {
        let texts = |field: &str| args.items_at(&[field]).iter().filter_map(Value::as_str).map(Str::from).collect();
        let strategy = match args.str_at(&["scoringStrategy", "type"]) {
            None | Some("LeastAllocated") => Strategy::LeastAllocated,
            Some("MostAllocated") => Strategy::MostAllocated,
            Some("RequestedToCapacityRatio") => Strategy::RequestedToCapacityRatio(shape(args)?),
            Some(other) => {
                let problem = format!("unsupported value {other:?}");
                return Err(ArgsError { path: "scoringStrategy.type".to_owned(), problem });
            }
        };
        Ok(Self {
            strategy,
            weights: resource_weights(args, &["scoringStrategy", "resources"])?,
            ignored: texts("ignoredResources"),
            ignored_groups: texts("ignoredResourceGroups"),
        })
    }

    fn is_ignored(&self, resource: &str) -> bool {
        let group = resource.split_once('/').map(|(group, _)| group);
        self.ignored.iter().any(|name| name == resource)
            || group.is_some_and(|group| self.ignored_groups.iter().any(|ignored| ignored == group))
    }
}

/// The points of `requestedToCapacityRatio.shape`; scores there go to 10.
fn shape(args: &Value) -> Result<Vec<(i64, i64)>, ArgsError> {
    let path = ["scoringStrategy", "requestedToCapacityRatio", "shape"];
    let points = args.items_at(&path).iter();
    let points: Vec<_> = points
        .map(|point| {
            let get = |field| point.i64_at(&[field]).unwrap_or_default();
            (get("utilization"), get("score") * (MAX_NODE_SCORE / 10))
        })
        .collect();
    let error = |problem: &str| Err(ArgsError { path: path.join("."), problem: problem.to_owned() });
    if points.is_empty() {
        return error("at least one point must be specified");
    }
    if !points.iter().all(|(used, score)| (0..=100).contains(used) && (0..=MAX_NODE_SCORE).contains(score)) {
        return error("utilization must be in [0, 100] and score in [0, 10]");
    }
    if points.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return error("utilization values must be sorted in increasing order");
    }
    Ok(points)
}

/// Reads a list of resources with weights; CPU and memory alike if there is none.
pub(super) fn resource_weights(args: &Value, path: &[&str]) -> Result<Vec<(Str, i64)>, ArgsError> {
    let items = args.items_at(path);
    if items.is_empty() {
        return Ok(vec![("cpu".into(), 1), ("memory".into(), 1)]);
    }
    let read = |(at, item): (usize, &Value)| {
        let weight = item.i64_at(&["weight"]).filter(|weight| *weight != 0).unwrap_or(1);
        if !(1..=100).contains(&weight) {
            let path = format!("{}[{at}].weight", path.join("."));
            return Err(ArgsError { path, problem: "must be in the range [1, 100]".to_owned() });
        }
        Ok((Str::from(item.str_at(&["name"]).unwrap_or_default()), weight))
    };
    items.iter().enumerate().map(read).collect()
}

impl FilterPlugin for Fit {
    fn filter(&self, _state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        let (requests, allocatable, requested) = (&pod.requests, &node.facts.allocatable, &node.requested);
        let mut status = Status::success();
        let mut refuse = |reason: Cow<'static, str>, could_never_fit: bool| {
            status.reasons.push(reason);
            if could_never_fit {
                status.code = Code::UnschedulableAndUnresolvable;
            } else if status.code == Code::Success {
                status.code = Code::Unschedulable;
            }
        };
        if node.pods.len() as i64 + 1 > allocatable.pods {
            refuse("Too many pods".into(), false);
        }
        let native = [
            ("Insufficient cpu", requests.cpu_millis, allocatable.cpu_millis, requested.cpu_millis),
            ("Insufficient memory", requests.memory_bytes, allocatable.memory_bytes, requested.memory_bytes),
            (
                "Insufficient ephemeral-storage",
                requests.ephemeral_storage_bytes,
                allocatable.ephemeral_storage_bytes,
                requested.ephemeral_storage_bytes,
            ),
        ];
        for (reason, wanted, all, used) in native {
            if wanted > 0 && is_short(wanted, all, used) {
                refuse(reason.into(), wanted > all);
            }
        }
        for (name, wanted) in &requests.scalars {
            let (all, used) = (allocatable.get(name), requested.get(name));
            if *wanted > 0 && is_short(*wanted, all, used) && !self.is_ignored(name) {
                refuse(format!("Insufficient {name}").into(), *wanted > all);
            }
        }
        status
    }
}

/// Whether `wanted` is more than what `used` leaves of `all`.
fn is_short(wanted: i64, all: i64, used: i128) -> bool {
    used + i128::from(wanted) > i128::from(all)
}

impl ScorePlugin for Fit {
    fn score(&self, _state: &CycleState, pod: &PodInfo, _snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        let is_ratio = matches!(self.strategy, Strategy::RequestedToCapacityRatio(_));
        for (resource, weight) in &self.weights {
            let all = node.facts.allocatable.get(resource);
            if all == 0 {
                continue;
            }
            let used = match resource.as_str() {
                "cpu" => node.non_zero_requested.0 + i128::from(pod.non_zero.0),
                "memory" => node.non_zero_requested.1 + i128::from(pod.non_zero.1),
                _ => {
                    let wanted = pod.requests.get(resource);
                    // A pod that does not want the resource is not judged by it.
                    if wanted == 0 && resource.contains('/') {
                        continue;
                    }
                    node.requested.get(resource) + i128::from(wanted)
                }
            };
            let score = self.strategy.score(used, i128::from(all));
            if is_ratio && score == 0 {
                continue;
            }
            sum += score * weight;
            weights += weight;
        }
        match (weights, is_ratio) {
            (0, _) => 0,
            (_, true) => (sum as f64 / weights as f64).round() as i64,
            (_, false) => sum / weights,
        }
    }
}

impl Strategy {
    fn score(&self, used: i128, all: i128) -> i64 {
        match self {
            Self::LeastAllocated if used > all => 0,
            Self::LeastAllocated => scaled(all - used, all),
            Self::MostAllocated => scaled(used.min(all), all),
            Self::RequestedToCapacityRatio(points) => interpolated(points, scaled(used.min(all), all)),
        }
    }
}

/// `part / all` of the best score.
fn scaled(part: i128, all: i128) -> i64 {
    (part * i128::from(MAX_NODE_SCORE) / all) as i64
}

fn interpolated(points: &[(i64, i64)], used: i64) -> i64 {
    let after = points.iter().position(|(at, _)| used <= *at);
    match after {
        None => points.last().expect("a shape has points").1,
        Some(0) => points[0].1,
        Some(at) => {
            let ((x0, y0), (x1, y1)) = (points[at - 1], points[at]);
            y0 + (y1 - y0) * (used - x0) / (x1 - x0)
        }
    }
}

fn shares_a_resource(wanted: &Resources, freed: &Resources) -> bool {
    let both = |a: i64, b: i64| a > 0 && b > 0;
    both(wanted.cpu_millis, freed.cpu_millis)
        || both(wanted.memory_bytes, freed.memory_bytes)
        || both(wanted.ephemeral_storage_bytes, freed.ephemeral_storage_bytes)
        || wanted.scalars.iter().any(|(name, amount)| both(*amount, freed.get(name)))
}

fn frees_something(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    match objects {
        // Its place counts, too: the node may have had too many pods.
        EventObjects::Pod { new: None, .. } | EventObjects::Node { .. } => QueueingHint::Queue,
        EventObjects::Claim { .. } | EventObjects::Other => QueueingHint::Skip,
        EventObjects::Pod { old, new: Some(new) } => {
            let freed = old.map(|old| old.requests.clone()).unwrap_or_default().without(&new.requests);
            QueueingHint::queue_if(shares_a_resource(&pod.requests, &freed))
        }
    }
}

fn could_ever_fit(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Node { new: Some(node), .. } = objects else { return QueueingHint::Skip };
    let (wanted, all) = (&pod.requests, &node.allocatable);
    let native = [
        (wanted.cpu_millis, all.cpu_millis),
        (wanted.memory_bytes, all.memory_bytes),
        (wanted.ephemeral_storage_bytes, all.ephemeral_storage_bytes),
    ];
    // Extended resources are left to the filter, which knows the ones to ignore.
    QueueingHint::queue_if(native.iter().all(|(wanted, all)| wanted <= all) && all.pods > 0)
}
