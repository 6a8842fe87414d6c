//! The extension points as traits, and how a plugin describes itself.
//!
//! Plugins are pure: they see a snapshot and the pod, and keep nothing between cycles.

use std::{fmt, sync::Arc, time::Duration};

use corten_apimachinery::value::{Str, Value};

use super::{CycleState, Interest, Status, Trial};
use crate::cache::{NodeIndex, NodeInfo, PodInfo, Snapshot};

/// The only nodes worth trying, by name; `None` for all.
pub type NodeSet = Option<Vec<Str>>;

/// Where a pod stands in the queue: lower goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueKey(pub i64, pub Duration);

/// Says whether a pod may enter the queue.
pub trait PreEnqueuePlugin: Send + Sync {
    /// Anything but success keeps the pod out.
    fn pre_enqueue(&self, pod: &PodInfo) -> Status;
}

/// Orders the queue. Upstream's `Less` is the order of keys here, so that the queue can be an ordered map.
pub trait QueueSortPlugin: Send + Sync {
    /// The pod's place, given when it entered.
    fn key(&self, pod: &PodInfo, entered: Duration) -> QueueKey;
}

/// Looks at pod and cluster before any node is tried.
pub trait PreFilterPlugin: Send + Sync {
    /// Which nodes are worth trying. `Skip` as error: the plugin's filter has nothing to say for this pod.
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<NodeSet, Status>;
}

/// Says whether a pod fits a node.
pub trait FilterPlugin: Send + Sync {
    /// Success if it fits.
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status;
}

/// What a pod met that fits nowhere.
#[derive(Debug)]
pub struct NodeStatuses<'s> {
    /// Nodes that were tried, with what was said.
    pub tried: &'s [(NodeIndex, Status)],
    /// What holds for all others; `None` if all were tried.
    pub others: Option<&'s Status>,
}

/// A pod that fits nowhere.
#[derive(Debug)]
pub struct NoFit<'c> {
    /// Its cycle.
    pub trial: Trial<'c>,
    /// What it met.
    pub statuses: &'c NodeStatuses<'c>,
    /// Where to begin among many nodes: another number each time.
    pub offset: usize,
}

/// What becomes of the pod's nominated node.
#[derive(Debug, Clone, Default)]
pub enum Nomination {
    /// It stays as it is.
    #[default]
    Keep,
    /// Room there cannot be made any more.
    Clear,
    /// Room is made.
    Made {
        /// Where.
        node: Str,
        /// Who has to go; some may be going already.
        victims: Vec<Arc<PodInfo>>,
    },
}

/// Tries to make room for a pod that fits nowhere.
pub trait PostFilterPlugin: Send + Sync {
    /// What came of it; its message ends the pod's message.
    fn post_filter(&self, no_fit: &NoFit<'_>) -> (Status, Nomination);
}

/// Looks at the nodes that fit before they are scored.
pub trait PreScorePlugin: Send + Sync {
    /// `Skip`: the plugin's score has nothing to say for this pod.
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot, nodes: &[NodeIndex]) -> Status;
}

/// Says how good a node is.
pub trait ScorePlugin: Send + Sync {
    /// The score of one node, in any range if `normalize_score` follows, else `0..=MAX_NODE_SCORE`.
    fn score(&self, state: &CycleState, pod: &PodInfo, snapshot: &Snapshot, node: &NodeInfo) -> i64;

    /// Brings the scores of all nodes, in the order of `nodes`, into `0..=MAX_NODE_SCORE`.
    fn normalize_score(&self, _state: &CycleState, _snapshot: &Snapshot, _nodes: &[NodeIndex], _scores: &mut [i64]) {}
}

/// Keeps accounts outside the snapshot.
pub trait ReservePlugin: Send + Sync {
    /// The pod is going to the node.
    fn reserve(&self, state: &mut CycleState, pod: &PodInfo, node: &str) -> Status;
    /// It is not after all. Called for every reserve, also one that failed.
    fn unreserve(&self, state: &mut CycleState, pod: &PodInfo, node: &str);
}

/// Has the last word before binding.
pub trait PermitPlugin: Send + Sync {
    /// Success, or a refusal.
    fn permit(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Status;
}

/// Prepares the binding.
pub trait PreBindPlugin: Send + Sync {
    /// Success, or a refusal.
    fn pre_bind(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Status;
}

/// A binding to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The pod's namespace.
    pub namespace: Str,
    /// The pod's name.
    pub name: Str,
    /// The pod's UID: another pod of the same name must not be bound.
    pub uid: Str,
    /// The node.
    pub node: Str,
}

/// Decides how a pod is bound.
pub trait BindPlugin: Send + Sync {
    /// The binding to write; `None` leaves it to the next plugin.
    fn bind(&self, pod: &PodInfo, node: &str) -> Option<Binding>;
}

/// Is told of bindings.
pub trait PostBindPlugin: Send + Sync {
    /// The binding is written.
    fn post_bind(&self, pod: &PodInfo, node: &str);
}

/// The arguments of a plugin do not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ArgsError {
    /// Where.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}

/// Makes a plugin from its arguments, null for none.
pub type BuildFn = fn(&Value) -> Result<Extensions, ArgsError>;

/// A plugin of the catalog.
#[derive(Clone, Copy)]
pub struct PluginDescriptor {
    /// The name in configuration, upstream's.
    pub name: &'static str,
    /// The weight of its score in the default profile; zero for plugins that do not score.
    pub default_weight: i64,
    /// Makes it.
    pub build: BuildFn,
}

impl fmt::Debug for PluginDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginDescriptor({})", self.name)
    }
}

/// What a plugin implements.
#[derive(Clone, Default)]
#[expect(missing_docs, reason = "the fields are the extension points, named as their traits")]
pub struct Extensions {
    pub pre_enqueue: Option<Arc<dyn PreEnqueuePlugin>>,
    pub queue_sort: Option<Arc<dyn QueueSortPlugin>>,
    pub pre_filter: Option<Arc<dyn PreFilterPlugin>>,
    pub filter: Option<Arc<dyn FilterPlugin>>,
    pub post_filter: Option<Arc<dyn PostFilterPlugin>>,
    pub pre_score: Option<Arc<dyn PreScorePlugin>>,
    pub score: Option<Arc<dyn ScorePlugin>>,
    pub reserve: Option<Arc<dyn ReservePlugin>>,
    pub permit: Option<Arc<dyn PermitPlugin>>,
    pub pre_bind: Option<Arc<dyn PreBindPlugin>>,
    pub bind: Option<Arc<dyn BindPlugin>>,
    pub post_bind: Option<Arc<dyn PostBindPlugin>>,
    pub requeue_on: &'static [Interest],
}

macro_rules! extension {
    ($($point:ident: $plugin:ident),* $(,)?) => {
        $(#[doc = concat!("Takes part in `", stringify!($point), "`.")]
        #[must_use]
        pub fn $point(mut self, plugin: impl $plugin + 'static) -> Self {
            self.$point = Some(Arc::new(plugin));
            self
        })*
    };
}

impl Extensions {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    extension! {
        pre_enqueue: PreEnqueuePlugin,
        queue_sort: QueueSortPlugin,
        pre_filter: PreFilterPlugin,
        filter: FilterPlugin,
        post_filter: PostFilterPlugin,
        pre_score: PreScorePlugin,
        score: ScorePlugin,
        reserve: ReservePlugin,
        permit: PermitPlugin,
        pre_bind: PreBindPlugin,
        bind: BindPlugin,
        post_bind: PostBindPlugin,
    }

    /// Events after which a pod that the plugin refused may fit.
    #[must_use]
    pub fn requeue_on(mut self, interests: &'static [Interest]) -> Self {
        self.requeue_on = interests;
        self
    }
}
