//! `Profile`: the plugins of one scheduler name, by extension point, and how they are run.
//!
//! Upstream: pkg/scheduler/framework/runtime (v1.35).

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use corten_apimachinery::value::Str;

use super::{
    BindPlugin, Code, CycleState, Extensions, FilterPlugin, Interest, MAX_NODE_SCORE, NodeSet, PermitPlugin,
    PostBindPlugin, PostFilterPlugin, PreBindPlugin, PreEnqueuePlugin, PreFilterPlugin, PreScorePlugin, QueueKey,
    QueueSortPlugin, ReservePlugin, ScorePlugin, Status,
    config::{PluginConfig, ProfileConfig},
    plugin::{ArgsError, Binding, NoFit, Nomination},
};
use crate::{
    cache::{NodeIndex, NodeInfo, PodInfo, Snapshot},
    plugins::catalog,
};

type Point<P> = Vec<(&'static str, Arc<P>)>;

/// Plugins that refused a pod.
pub type Rejectors = BTreeSet<&'static str>;

/// The plugins of one scheduler name.
pub struct Profile {
    /// `spec.schedulerName` of its pods.
    pub scheduler_name: Str,
    /// How many nodes are looked at, in percent; `None` for the scheduler's setting.
    pub percentage_of_nodes_to_score: Option<u8>,
    pre_enqueue: Point<dyn PreEnqueuePlugin>,
    queue_sort: Option<Arc<dyn QueueSortPlugin>>,
    pre_filter: Point<dyn PreFilterPlugin>,
    filter: Point<dyn FilterPlugin>,
    post_filter: Point<dyn PostFilterPlugin>,
    pre_score: Point<dyn PreScorePlugin>,
    score: Vec<(&'static str, i64, Arc<dyn ScorePlugin>)>,
    reserve: Point<dyn ReservePlugin>,
    permit: Point<dyn PermitPlugin>,
    pre_bind: Point<dyn PreBindPlugin>,
    bind: Point<dyn BindPlugin>,
    post_bind: Point<dyn PostBindPlugin>,
    interests: Vec<(&'static str, &'static [Interest])>,
}

impl Profile {
    /// Builds the profile's plugins.
    ///
    /// Errors: a plugin that is not in the catalog, or arguments that do not fit.
    pub fn build(config: &ProfileConfig) -> Result<Self, ArgsError> {
        let mut profile = Self {
            scheduler_name: config.scheduler_name.clone(),
            percentage_of_nodes_to_score: config.percentage_of_nodes_to_score,
            pre_enqueue: Vec::new(),
            queue_sort: None,
            pre_filter: Vec::new(),
            filter: Vec::new(),
            post_filter: Vec::new(),
            pre_score: Vec::new(),
            score: Vec::new(),
            reserve: Vec::new(),
            permit: Vec::new(),
            pre_bind: Vec::new(),
            bind: Vec::new(),
            post_bind: Vec::new(),
            interests: Vec::new(),
        };
        for plugin in &config.plugins {
            profile.add(plugin)?;
        }
        let missing = |problem: &str| ArgsError { path: "plugins".to_owned(), problem: problem.to_owned() };
        if profile.queue_sort.is_none() {
            return Err(missing("no queue sort plugin is enabled"));
        }
        if profile.bind.is_empty() {
            return Err(missing("at least one bind plugin is needed"));
        }
        // The sets of plugins to skip are 64 bits.
        assert!(profile.filter.len() <= 64 && profile.score.len() <= 64, "a profile has at most 64 filters and scores");
        Ok(profile)
    }

    fn add(&mut self, config: &PluginConfig) -> Result<(), ArgsError> {
        let descriptor = catalog::PLUGINS.iter().find(|plugin| plugin.name == config.name).ok_or_else(|| {
            ArgsError { path: "plugins".to_owned(), problem: format!("unknown plugin {}", config.name) }
        })?;
        let name = descriptor.name;
        let Extensions {
            pre_enqueue,
            queue_sort,
            pre_filter,
            filter,
            post_filter,
            pre_score,
            score,
            reserve,
            permit,
            pre_bind,
            bind,
            post_bind,
            requeue_on,
        } = (descriptor.build)(&config.args)?;
        let is_on = |point: &str| !config.disabled_points.iter().any(|disabled| disabled == point);
        macro_rules! take_in {
            ($($point:ident: $spelling:literal),*) => {
                $(self.$point.extend($point.filter(|_| is_on($spelling)).map(|plugin| (name, plugin)));)*
            };
        }
        take_in!(pre_enqueue: "preEnqueue", pre_filter: "preFilter", filter: "filter", post_filter: "postFilter",
            pre_score: "preScore", reserve: "reserve", permit: "permit", pre_bind: "preBind", bind: "bind",
            post_bind: "postBind");
        if let Some(plugin) = queue_sort.filter(|_| is_on("queueSort")) {
            self.queue_sort = Some(plugin);
        }
        self.score.extend(score.filter(|_| is_on("score")).map(|plugin| (name, config.weight.max(1), plugin)));
        self.interests.push((name, requeue_on));
        Ok(())
    }

    /// Events that may help pods which `plugin` refused.
    #[must_use]
    pub fn interests(&self, plugin: &str) -> &'static [Interest] {
        self.interests.iter().find(|(name, _)| *name == plugin).map(|(_, interests)| *interests).unwrap_or_default()
    }

    /// Whether nodes are scored at all.
    #[must_use]
    pub fn has_score_plugins(&self) -> bool {
        !self.score.is_empty()
    }

    /// The pod's place in the queue.
    #[must_use]
    pub fn queue_key(&self, pod: &PodInfo, entered: Duration) -> QueueKey {
        self.queue_sort.as_ref().expect("build refuses a profile without queue sort").key(pod, entered)
    }

    /// The first plugin that keeps the pod out of the queue, or success.
    #[must_use]
    pub fn run_pre_enqueue(&self, pod: &PodInfo) -> Status {
        let statuses = self.pre_enqueue.iter().map(|(name, plugin)| plugin.pre_enqueue(pod).by(name));
        statuses.into_iter().find(|status| !status.is_success()).unwrap_or_default()
    }

    /// Runs all `pre_filter`s. Gives the nodes worth trying and the plugins that narrowed them.
    ///
    /// Errors: the refusal or failure that ends the cycle.
    pub fn run_pre_filter(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
    ) -> Result<(NodeSet, Rejectors), Status> {
        let (mut nodes, mut narrowed_by): (NodeSet, Rejectors) = (None, Rejectors::new());
        for (name, plugin) in &self.pre_filter {
            match plugin.pre_filter(state, pod, snapshot) {
                Ok(None) => {}
                Ok(Some(names)) => {
                    narrowed_by.insert(name);
                    nodes = Some(match nodes {
                        None => names,
                        Some(before) => before.into_iter().filter(|node| names.contains(node)).collect(),
                    });
                    if nodes.as_ref().is_some_and(Vec::is_empty) {
                        let who = narrowed_by.iter().copied().collect::<Vec<_>>();
                        let reason = match who.as_slice() {
                            [_] => format!("node(s) didn't satisfy plugin {}", who[0]),
                            _ => format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", who.join(" ")),
                        };
                        return Err(Status::unresolvable(reason).by(name));
                    }
                }
                Err(status) if status.code == Code::Skip => state.skipped_filters |= self.filters_of(name),
                Err(status) => return Err(status.by(name)),
            }
        }
        Ok((nodes, narrowed_by))
    }

    fn filters_of(&self, name: &str) -> u64 {
        self.filter.iter().position(|(filter, _)| *filter == name).map_or(0, |at| 1 << at)
    }

    /// The first refusal of the node, or success.
    #[must_use]
    pub fn run_filters(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        for (at, (name, plugin)) in self.filter.iter().enumerate() {
            if state.skipped_filters & (1 << at) == 0 {
                let status = plugin.filter(state, pod, node);
                if !status.is_success() {
                    return status.by(name);
                }
            }
        }
        Status::success()
    }

    /// What came of making room for a pod that fits nowhere: all messages as one, up to the first plugin that succeeds.
    #[must_use]
    pub fn run_post_filters(&self, no_fit: &NoFit<'_>) -> (String, Nomination) {
        let (mut messages, mut last) = (Vec::new(), Nomination::Keep);
        for (_, plugin) in &self.post_filter {
            let (status, nomination) = plugin.post_filter(no_fit);
            if status.is_success() {
                return (String::new(), nomination);
            }
            messages.extend(Some(status.message()).filter(|message| !message.is_empty()));
            if !matches!(nomination, Nomination::Keep) {
                last = nomination;
            }
        }
        (messages.join(", "), last)
    }

    /// The weighted sums of all scores, in the order of `nodes`.
    ///
    /// Errors: the failure of a plugin's `pre_score`.
    pub fn run_scores(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        nodes: &[NodeIndex],
    ) -> Result<Vec<i64>, Status> {
        for (name, plugin) in &self.pre_score {
            let status = plugin.pre_score(state, pod, snapshot, nodes);
            match status.code {
                Code::Success => {}
                Code::Skip => {
                    let at = self.score.iter().position(|(score, ..)| score == name);
                    state.skipped_scores |= at.map_or(0, |at| 1 << at);
                }
                _ => return Err(status.by(name)),
            }
        }
        let (mut sums, mut scores) = (vec![0; nodes.len()], Vec::with_capacity(nodes.len()));
        for (at, (name, weight, plugin)) in self.score.iter().enumerate() {
            if state.skipped_scores & (1 << at) != 0 {
                continue;
            }
            scores.clear();
            scores.extend(nodes.iter().map(|at| plugin.score(state, pod, snapshot, snapshot.node(*at))));
            plugin.normalize_score(state, snapshot, nodes, &mut scores);
            for (sum, score) in sums.iter_mut().zip(&scores) {
                if !(0..=MAX_NODE_SCORE).contains(score) {
                    let range = format!("should in the range of [0, {MAX_NODE_SCORE}] after normalizing");
                    return Err(Status::error(format!("plugin {name:?} returns an invalid score {score}, it {range}")));
                }
                *sum += score * weight;
            }
        }
        Ok(sums)
    }

    /// Everything between the choice of a node and its binding. A refusal is followed by `run_unreserve`.
    #[must_use]
    pub fn run_reserve_and_permit(&self, state: &mut CycleState, pod: &PodInfo, node: &str) -> Status {
        for (name, plugin) in &self.reserve {
            let status = plugin.reserve(state, pod, node);
            if !status.is_success() {
                return status.by(name);
            }
        }
        for (name, plugin) in &self.permit {
            let status = plugin.permit(state, pod, node);
            if !status.is_success() {
                return status.by(name);
            }
        }
        for (name, plugin) in &self.pre_bind {
            let status = plugin.pre_bind(state, pod, node);
            if !status.is_success() {
                return status.by(name);
            }
        }
        Status::success()
    }

    /// Takes back what `run_reserve_and_permit` did, last first.
    pub fn run_unreserve(&self, state: &mut CycleState, pod: &PodInfo, node: &str) {
        self.reserve.iter().rev().for_each(|(_, plugin)| plugin.unreserve(state, pod, node));
    }

    /// The binding to write; `None` if no plugin binds this pod.
    #[must_use]
    pub fn run_bind(&self, pod: &PodInfo, node: &str) -> Option<Binding> {
        self.bind.iter().find_map(|(_, plugin)| plugin.bind(pod, node))
    }

    /// Tells plugins that the binding is written.
    pub fn run_post_bind(&self, pod: &PodInfo, node: &str) {
        self.post_bind.iter().for_each(|(_, plugin)| plugin.post_bind(pod, node));
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters: Vec<_> = self.filter.iter().map(|(name, _)| name).collect();
        f.debug_struct("Profile")
            .field("scheduler_name", &self.scheduler_name)
            .field("filters", &filters)
            .finish_non_exhaustive()
    }
}
