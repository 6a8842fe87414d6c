//! Spreads pods evenly over the values of a node label.
//!
//! Upstream: pkg/scheduler/framework/plugins/podtopologyspread (v1.35).

use corten_apimachinery::{selector::label::Selector, value::Value};

use super::{
    domains::{Domains, add},
    node_affinity,
};
use crate::{
    cache::{NodeFacts, NodeIndex, NodeInfo, PodInfo, Snapshot, SpreadConstraint, affinity::untolerated},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, MAX_NODE_SCORE, NodeSet, PluginDescriptor,
        PreFilterPlugin, PreScorePlugin, QueueingHint, ScorePlugin, Status,
        cluster_event::{Action, EventResource},
        plugin::ArgsError,
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "PodTopologySpread",
    default_weight: 2,
    build: |args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(
                EventResource::AssignedPod,
                Action::ADD.or(Action::DELETE).or(Action::UPDATE_POD_LABEL),
                changes_a_count,
            ),
            Interest::any(EventResource::UnscheduledPod, Action::UPDATE_POD_LABEL),
            Interest::when(
                EventResource::Node,
                Action::ADD.or(Action::DELETE).or(Action::UPDATE_NODE_LABEL).or(Action::UPDATE_NODE_TAINT),
                changes_a_domain,
            ),
        ];
        let plugin = PodTopologySpread::new(args)?;
        Ok(Extensions::new()
            .pre_filter(plugin.clone())
            .filter(plugin.clone())
            .pre_score(plugin.clone())
            .score(plugin)
            .requeue_on(INTERESTS))
    },
};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Debug, Clone)]
struct PodTopologySpread {
    defaults: Vec<SpreadConstraint>,
    /// The defaults are the built-in ones: nodes without a zone are still spread by host name.
    is_system_defaulted: bool,
}

/// Counts of matching pods for one required rule.
#[derive(Debug)]
struct Counted {
    constraint: SpreadConstraint,
    /// By the value of the topology key.
    pods: Domains,
    fewest: i64,
}

#[derive(Debug)]
struct FilterState(Vec<Counted>);

#[derive(Debug)]
struct ScoreState {
    constraints: Vec<SpreadConstraint>,
    /// Per rule: matching pods by the value of the topology key; empty for host names, which are counted by node.
    pods: Vec<Domains>,
    weights: Vec<f64>,
    requires_all_keys: bool,
}

impl PodTopologySpread {
    fn new(args: &Value) -> Result<Self, ArgsError> {
        let soft = |max_skew, topology_key: &str| SpreadConstraint {
            max_skew,
            topology_key: topology_key.into(),
            is_required: false,
            selector: Selector::nothing(),
            min_domains: 1,
            honors_affinity: true,
            honors_taints: false,
        };
        let given = args.items_at(&["defaultConstraints"]);
        match args.str_at(&["defaultingType"]) {
            None | Some("System") if given.is_empty() => {
                Ok(Self { defaults: vec![soft(3, HOSTNAME), soft(5, ZONE)], is_system_defaulted: true })
            }
            None | Some("List") => {
                let defaults = given.iter().map(|constraint| SpreadConstraint {
                    is_required: constraint.str_at(&["whenUnsatisfiable"]) == Some("DoNotSchedule"),
                    ..soft(
                        constraint.i64_at(&["maxSkew"]).and_then(|skew| i32::try_from(skew).ok()).unwrap_or(1),
                        constraint.str_at(&["topologyKey"]).unwrap_or_default(),
                    )
                });
                Ok(Self { defaults: defaults.collect(), is_system_defaulted: false })
            }
            Some("System") => Err(ArgsError {
                path: "defaultingType".to_owned(),
                problem: "when .defaultConstraints are not empty, must be List".to_owned(),
            }),
            Some(other) => {
                Err(ArgsError { path: "defaultingType".to_owned(), problem: format!("unsupported value {other:?}") })
            }
        }
    }

    /// The pod's rules, or the default ones for the group it belongs to.
    fn constraints(&self, pod: &PodInfo, snapshot: &Snapshot, is_required: bool) -> Vec<SpreadConstraint> {
        let of_kind = |all: &[SpreadConstraint]| -> Vec<SpreadConstraint> {
            all.iter().filter(|constraint| constraint.is_required == is_required).cloned().collect()
        };
        if !pod.spread.is_empty() {
            return of_kind(&pod.spread);
        }
        let mut defaults = of_kind(&self.defaults);
        if defaults.is_empty() {
            return defaults;
        }
        let Some(group) = snapshot.group_selector(pod) else { return Vec::new() };
        defaults.iter_mut().for_each(|constraint| constraint.selector = group.clone());
        defaults
    }
}

/// Whether the node's pods and domain count for the rule.
fn counts(constraint: &SpreadConstraint, pod: &PodInfo, node: &NodeFacts) -> bool {
    (!constraint.honors_affinity || node_affinity::allows(pod, node))
        && (!constraint.honors_taints || untolerated(&node.taints, &pod.tolerations).is_none())
}

fn has_all_keys(constraints: &[SpreadConstraint], node: &NodeFacts) -> bool {
    constraints.iter().all(|constraint| node.label(&constraint.topology_key).is_some())
}

fn matching_pods(node: &NodeInfo, selector: &Selector, namespace: &str) -> i64 {
    let counted = node.pods.iter().filter(|pod| !pod.is_deleting && pod.namespace == namespace);
    counted.filter(|pod| selector.matches(&pod.labels)).count() as i64
}

impl PreFilterPlugin for PodTopologySpread {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<NodeSet, Status> {
        let constraints = self.constraints(pod, snapshot, true);
        if constraints.is_empty() {
            return Err(Status::skip());
        }
        let mut pods = vec![Domains::new(); constraints.len()];
        for node in snapshot.nodes().filter(|node| has_all_keys(&constraints, &node.facts)) {
            for (constraint, pods) in constraints.iter().zip(&mut pods) {
                if counts(constraint, pod, &node.facts) {
                    let value = node.facts.label(&constraint.topology_key).expect("the node has all keys");
                    let count = matching_pods(node, &constraint.selector, &pod.namespace);
                    add(pods, value, count);
                }
            }
        }
        let counted = constraints.into_iter().zip(pods).map(|(constraint, pods)| {
            let has_enough_domains = pods.len() as i64 >= i64::from(constraint.min_domains);
            // Without any domain nothing is compared: a node that has the key but does not count always fits.
            let fewest = pods.values().copied().min().unwrap_or(i64::from(i32::MAX));
            Counted { fewest: if has_enough_domains { fewest } else { 0 }, constraint, pods }
        });
        state.write(FilterState(counted.collect()));
        Ok(None)
    }
}

impl FilterPlugin for PodTopologySpread {
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        let FilterState(rules) = state.read().expect("pre_filter of this plugin ran");
        for Counted { constraint, pods, fewest } in rules {
            let Some(value) = node.facts.label(&constraint.topology_key) else {
                return Status::unresolvable(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                );
            };
            let own = i64::from(constraint.selector.matches(&pod.labels));
            let skew = pods.get(value).copied().unwrap_or_default() + own - fewest;
            if skew > i64::from(constraint.max_skew) {
                return Status::unschedulable("node(s) didn't match pod topology spread constraints");
            }
        }
        Status::success()
    }
}

impl PreScorePlugin for PodTopologySpread {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot, nodes: &[NodeIndex]) -> Status {
        let constraints = self.constraints(pod, snapshot, false);
        if constraints.is_empty() {
            return Status::skip();
        }
        let requires_all_keys = !pod.spread.is_empty() || !self.is_system_defaulted;
        let is_scored = |node: &NodeFacts| !requires_all_keys || has_all_keys(&constraints, node);
        let scored: Vec<_> = nodes.iter().map(|at| snapshot.node(*at)).filter(|node| is_scored(&node.facts)).collect();
        let domain = |constraint: &SpreadConstraint, node: &NodeInfo| {
            node.facts.label(&constraint.topology_key).unwrap_or_default().into()
        };
        let is_by_host: Vec<_> = constraints.iter().map(|constraint| constraint.topology_key == HOSTNAME).collect();
        let mut pods = vec![Domains::new(); constraints.len()];
        for (at, constraint) in constraints.iter().enumerate().filter(|(at, _)| !is_by_host[*at]) {
            pods[at] = scored.iter().map(|node| (domain(constraint, node), 0)).collect();
        }
        let sizes =
            pods.iter().zip(&is_by_host).map(|(pods, by_host)| if *by_host { scored.len() } else { pods.len() });
        let weights = sizes.map(|size| ((size + 2) as f64).ln()).collect();
        if is_by_host.contains(&false) {
            for node in snapshot.nodes().filter(|node| is_scored(&node.facts)) {
                for (constraint, pods) in constraints.iter().zip(&mut pods) {
                    let Some(sum) = pods.get_mut(node.facts.label(&constraint.topology_key).unwrap_or_default()) else {
                        continue;
                    };
                    if counts(constraint, pod, &node.facts) {
                        *sum += matching_pods(node, &constraint.selector, &pod.namespace);
                    }
                }
            }
        }
        state.write(ScoreState { constraints, pods, weights, requires_all_keys });
        Status::success()
    }
}

impl ScorePlugin for PodTopologySpread {
    fn score(&self, state: &CycleState, pod: &PodInfo, _snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let state: &ScoreState = state.read().expect("pre_score of this plugin ran");
        if state.is_ignored(&node.facts) {
            return 0;
        }
        let rules = state.constraints.iter().zip(&state.pods).zip(&state.weights);
        let scores = rules.filter_map(|((constraint, pods), weight)| {
            let value = node.facts.label(&constraint.topology_key)?;
            let count = if constraint.topology_key == HOSTNAME {
                matching_pods(node, &constraint.selector, &pod.namespace)
            } else {
                pods.get(value).copied().unwrap_or_default()
            };
            Some(count as f64 * weight + f64::from(constraint.max_skew - 1))
        });
        scores.sum::<f64>().round() as i64
    }

    fn normalize_score(&self, state: &CycleState, snapshot: &Snapshot, nodes: &[NodeIndex], scores: &mut [i64]) {
        let state: &ScoreState = state.read().expect("pre_score of this plugin ran");
        let is_ignored: Vec<_> = nodes.iter().map(|at| state.is_ignored(&snapshot.node(*at).facts)).collect();
        let judged = || scores.iter().zip(&is_ignored).filter(|(_, ignored)| !**ignored).map(|(score, _)| *score);
        let (fewest, most) = (judged().min().unwrap_or_default(), judged().max().unwrap_or_default());
        for (score, ignored) in scores.iter_mut().zip(&is_ignored) {
            *score = match (ignored, most) {
                (true, _) => 0,
                (false, 0) => MAX_NODE_SCORE,
                (false, most) => MAX_NODE_SCORE * (most + fewest - *score) / most,
            };
        }
    }
}

impl ScoreState {
    fn is_ignored(&self, node: &NodeFacts) -> bool {
        self.requires_all_keys && !has_all_keys(&self.constraints, node)
    }
}

fn changes_a_count(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Pod { old, new } = objects else { return QueueingHint::Queue };
    if pod.spread.is_empty() {
        // The default rules look at services and controllers, which are not known here.
        return QueueingHint::Queue;
    }
    let is_counted = |other: Option<&PodInfo>| {
        other.is_some_and(|other| {
            other.namespace == pod.namespace
                && pod
                    .spread
                    .iter()
                    .any(|constraint| constraint.is_required && constraint.selector.matches(&other.labels))
        })
    };
    QueueingHint::queue_if(is_counted(old) || is_counted(new))
}

fn changes_a_domain(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Node { old, new } = objects else { return QueueingHint::Queue };
    if pod.spread.is_empty() {
        return QueueingHint::Queue;
    }
    let required: Vec<_> = pod.spread.iter().filter(|constraint| constraint.is_required).cloned().collect();
    let is_domain = |node: Option<&NodeFacts>| node.is_some_and(|node| has_all_keys(&required, node));
    QueueingHint::queue_if(is_domain(old) || is_domain(new))
}
