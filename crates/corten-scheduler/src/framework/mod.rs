//! The scheduling framework: extension points, their order, and what plugins say.
//!
//! Upstream: k8s.io/kube-scheduler/framework and pkg/scheduler/framework/runtime (v1.35).

pub mod cluster_event;
pub mod config;
pub mod cycle_state;
pub mod fit_error;
pub mod plugin;
pub mod profile;
pub mod status;
pub mod trial;

pub use cluster_event::{ClusterEvent, EventObjects, Interest, QueueingHint};
pub use config::Config;
pub use cycle_state::CycleState;
pub use fit_error::FitError;
pub use plugin::{
    BindPlugin, Extensions, FilterPlugin, NoFit, NodeSet, Nomination, PermitPlugin, PluginDescriptor, PostBindPlugin,
    PostFilterPlugin, PreBindPlugin, PreEnqueuePlugin, PreFilterPlugin, PreScorePlugin, QueueKey, QueueSortPlugin,
    ReservePlugin, ScorePlugin,
};
pub use profile::Profile;
pub use status::{Code, Status};
pub use trial::Trial;

/// The best score of a node, after normalizing.
pub const MAX_NODE_SCORE: i64 = 100;
