//! Floors: parts of the process that stand on each other. Built upwards, torn down from the top.
//!
//! Invariant: a panic in a floor is noted, and told to whoever runs the process, as it happens.

use std::time::Duration;

use anyhow::Context as _;
use corten_base::{Clock, Shutdown, ShutdownTrigger, TaskPanic, TaskSet};
use tokio::sync::watch;

use crate::components::{Components, FAILED};

/// How long the end may take after a component has failed.
const FALL_WITHIN: Duration = Duration::from_secs(10);

/// Tasks that begin together and end together.
struct Floor {
    name: &'static str,
    stop: ShutdownTrigger,
    tasks: TaskSet,
}

/// What stands so far. A panic in a floor is the end of the process: the other floors stand, but on something that does half
/// its work, and the next start takes up what runs. (Connections and requests have sets of their own.)
pub(crate) struct Floors {
    floors: Vec<Floor>,
    /// What stands from the beginning and goes before everything else: the ear for commands.
    roof: Option<Floor>,
    components: Components,
    /// The first failure.
    failure: watch::Sender<Option<TaskPanic>>,
}

impl Floors {
    /// Nothing stands yet. What fails is noted in `components`.
    pub(crate) fn new(components: Components) -> Self {
        Self { floors: Vec::new(), roof: None, components, failure: watch::Sender::new(None) }
    }

    /// A floor on top of the others, under the name of its component.
    pub(crate) fn build(&mut self, name: &'static str) -> (TaskSet, Shutdown) {
        let (floor, shutdown) = self.begin(name);
        let tasks = floor.tasks.clone();
        self.floors.push(floor);
        (tasks, shutdown)
    }

    /// The roof over the floors to come.
    pub(crate) fn build_roof(&mut self, name: &'static str) -> (TaskSet, Shutdown) {
        let (floor, shutdown) = self.begin(name);
        let tasks = floor.tasks.clone();
        self.roof = Some(floor);
        (tasks, shutdown)
    }

    /// A floor that tells of its first panic.
    fn begin(&self, name: &'static str) -> (Floor, Shutdown) {
        let ((stop, shutdown), tasks) = (Shutdown::new(), TaskSet::new(name));
        let (watched, until) = (tasks.clone(), shutdown.clone());
        let (components, failure) = (self.components.clone(), self.failure.clone());
        tasks.spawn("watch", async move {
            let panic = tokio::select! {
                biased;
                panic = watched.panicked() => panic,
                () = until.requested() => return,
            };
            tracing::error!(component = name, err = %panic, "A component failed");
            components.set(name, FAILED, panic.to_string());
            failure.send_if_modified(|first| first.is_none() && first.replace(panic).is_none());
        });
        (Floor { name, stop, tasks }, shutdown)
    }

    /// Completes when a floor has failed, also one that is built later.
    pub(crate) fn failed(&self) -> impl Future<Output = TaskPanic> + use<> {
        let mut failure = self.failure.subscribe();
        async move {
            match failure.wait_for(Option::is_some).await {
                Ok(failed) => failed.clone().expect("it was waited for"),
                // Nothing stands any more that could fail.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Ends everything from the top. After a failure not for long: others may wait for what the failed one will never do.
    ///
    /// Errors: the first panic of any task, when all have ended.
    pub(crate) async fn tear_down(self, clock: &dyn Clock) -> anyhow::Result<()> {
        let failure = self.failure.clone();
        let failed = async {
            // The sender is at hand, so that this is no error.
            let _ = failure.subscribe().wait_for(Option::is_some).await;
            clock.sleep(FALL_WITHIN).await;
        };
        tokio::select! {
            biased;
            ended = self.end_all() => ended,
            () = failed => {
                tracing::warn!("Not everything ended after a component had failed");
                Ok(())
            }
        }
    }

    async fn end_all(self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for floor in self.roof.into_iter().chain(self.floors.into_iter().rev()) {
            floor.stop.request();
            let joined = floor.tasks.join().await.with_context(|| format!("end the {}", floor.name));
            outcome = outcome.and(joined);
        }
        outcome
    }
}

/// Runs a part. One that ends before it was told to has failed, also without a panic.
pub(crate) async fn until_told(shutdown: Shutdown, part: impl Future<Output = ()>) {
    part.await;
    if !shutdown.is_requested() {
        std::panic::resume_unwind(Box::new("it ended by itself".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use corten_base::{SimClock, SystemClock};

    use super::*;

    fn floors() -> (Floors, Components) {
        let components = Components::new(SystemClock::shared());
        components.running("kube-scheduler", "");
        (Floors::new(components.clone()), components)
    }

    /// A panicked scheduler once left a process that `corten status` called Running.
    #[tokio::test]
    async fn a_component_that_panics_or_ends_by_itself_has_failed_and_is_told() {
        for panics in [true, false] {
            let (mut floors, components) = floors();
            let failed = floors.failed();
            drop(floors.build("store"));
            let (tasks, shutdown) = floors.build("kube-scheduler");
            tasks.spawn("scheduler", until_told(shutdown, async move { assert!(!panics, "the reason") }));
            let failed = failed.await;
            assert_eq!((failed.set, failed.task), ("kube-scheduler", "scheduler"));
            let said = components.list();
            assert_eq!((said.len(), said[0].state.as_str()), (1, FAILED));
            let why = if panics { "the reason" } else { "it ended by itself" };
            assert!(said[0].detail.ends_with(why), "{}", said[0].detail);
            floors.tear_down(&*SystemClock::shared()).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn the_end_goes_from_the_top_and_is_no_failure() {
        let (mut floors, components) = floors();
        let (ended, order) = std::sync::mpsc::channel();
        for name in ["store", "kube-apiserver", "kube-scheduler"] {
            let ((tasks, shutdown), ended) = (floors.build(name), ended.clone());
            let part = {
                let shutdown = shutdown.clone();
                async move {
                    shutdown.requested().await;
                    ended.send(name).unwrap();
                }
            };
            tasks.spawn("part", until_told(shutdown, part));
        }
        floors.tear_down(&*SystemClock::shared()).await.unwrap();
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["kube-scheduler", "kube-apiserver", "store"]);
        assert_eq!(components.list()[0].state, crate::components::RUNNING);
    }

    #[tokio::test]
    async fn nobody_is_waited_for_long_after_a_failure() {
        let (mut floors, _) = floors();
        let (tasks, _) = floors.build("store");
        tasks.spawn("stubborn", std::future::pending());
        let (tasks, _) = floors.build("kube-scheduler");
        let failed = floors.failed();
        tasks.spawn("scheduler", async { panic!("the reason") });
        failed.await;
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let end = floors.tear_down(&*clock);
        tokio::pin!(end);
        assert!(futures::poll!(&mut end).is_pending());
        while futures::poll!(&mut end).is_pending() {
            clock.advance(FALL_WITHIN);
            tokio::task::yield_now().await;
        }
    }
}
