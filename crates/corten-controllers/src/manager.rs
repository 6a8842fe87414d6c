//! Starts the controllers that were selected, and ends them.

use std::{collections::BTreeMap, sync::Arc};

use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::{
    Client,
    events::{EventWriter, Recorder},
};
use corten_controller::{ClientFactory, Context, Controller, ControllerDescriptor};
use corten_informer::InformerFactory;

use crate::{catalog::CONTROLLERS, config::Config};

/// What controllers are built from.
#[derive(Debug)]
pub struct Parts {
    /// Clients by identity.
    pub clients: Arc<dyn ClientFactory>,
    /// The client of the controller manager itself.
    pub manager: Client,
    /// Informers that all of them share.
    pub informers: InformerFactory,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
}

/// The selected controllers, ready to run.
pub struct Controllers {
    built: BTreeMap<&'static str, Box<dyn Controller>>,
    writers: Vec<EventWriter>,
    informers: InformerFactory,
}

/// A name in `--controllers` that no controller has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not in the list of known controllers")]
pub struct UnknownController(pub String);

impl Controllers {
    /// Builds the controllers that `config.controllers` selects.
    ///
    /// Errors: a name is unknown.
    pub fn build(config: Config, parts: Parts, shutdown: &Shutdown) -> Result<Self, UnknownController> {
        Self::build_of(CONTROLLERS, config, parts, shutdown)
    }

    /// Checks a list of `--controllers` before anything is built.
    ///
    /// Errors: a name is unknown.
    pub fn check(selection: &[String]) -> Result<(), UnknownController> {
        check_of(CONTROLLERS, selection)
    }

    /// As `build`, from a given catalog.
    pub fn build_of(
        catalog: &[&'static ControllerDescriptor<Config>],
        config: Config,
        parts: Parts,
        shutdown: &Shutdown,
    ) -> Result<Self, UnknownController> {
        check_of(catalog, &config.controllers)?;
        let config = Arc::new(config);
        let (mut built, mut writers) = (BTreeMap::new(), Vec::new());
        for descriptor in catalog.iter().filter(|descriptor| is_selected(descriptor, &config.controllers)) {
            let (recorder, queue) = Recorder::new(descriptor.identity, "", Arc::clone(&parts.clock));
            writers.push(EventWriter::new(
                parts.clients.client(descriptor.identity),
                queue,
                Arc::clone(&parts.clock),
                Arc::clone(&parts.rng),
            ));
            let controller = (descriptor.build)(Context {
                name: descriptor.name,
                identity: descriptor.identity,
                workers: descriptor.workers,
                clients: Arc::clone(&parts.clients),
                manager: parts.manager.clone(),
                informers: parts.informers.clone(),
                clock: Arc::clone(&parts.clock),
                rng: Arc::clone(&parts.rng),
                recorder,
                shutdown: shutdown.clone(),
                config: Arc::clone(&config),
            });
            built.insert(descriptor.name, controller);
        }
        Ok(Self { built, writers, informers: parts.informers })
    }

    /// Works until shutdown is requested, and returns when all controllers have ended.
    pub async fn run(self, shutdown: Shutdown) {
        let tasks = TaskSet::new("controllers");
        self.informers.start(&tasks, &shutdown);
        for writer in self.writers {
            tasks.spawn("events", writer.run(shutdown.clone()));
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = self.informers.synced() => {
                for (name, controller) in self.built {
                    tasks.spawn(name, controller.run(shutdown.clone()));
                }
            }
        }
        if let Err(panic) = tasks.guard(tasks.join()).await {
            tracing::error!(err = %panic, "Controllers ended with a panic");
        }
    }
}

fn check_of(catalog: &[&'static ControllerDescriptor<Config>], selection: &[String]) -> Result<(), UnknownController> {
    let names = selection.iter().map(|entry| entry.strip_prefix('-').unwrap_or(entry));
    let is_known = |name: &&str| *name == "*" || catalog.iter().any(|descriptor| is_called(descriptor, name));
    match names.into_iter().find(|name| !is_known(name)) {
        Some(name) => Err(UnknownController(name.to_owned())),
        None => Ok(()),
    }
}

fn is_called(descriptor: &ControllerDescriptor<Config>, name: &str) -> bool {
    descriptor.name == name || descriptor.aliases.contains(&name)
}

/// Upstream: `genericcontrollermanager.IsControllerEnabled`: the first entry that names it decides, `*` names the rest.
fn is_selected(descriptor: &ControllerDescriptor<Config>, selection: &[String]) -> bool {
    for entry in selection {
        if is_called(descriptor, entry) {
            return true;
        }
        if entry.strip_prefix('-').is_some_and(|name| is_called(descriptor, name)) {
            return false;
        }
    }
    selection.iter().any(|entry| entry == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    static JOB: ControllerDescriptor<Config> = ControllerDescriptor {
        name: "job-controller",
        aliases: &["job"],
        identity: "job-controller",
        feature_gate: None,
        workers: 1,
        build: |_| unreachable!("never built here"),
    };

    #[track_caller]
    fn check(selection: &[&str], want: bool) {
        let selection: Vec<String> = selection.iter().map(ToString::to_string).collect();
        assert_eq!(is_selected(&JOB, &selection), want, "{selection:?}");
    }

    #[test]
    fn names_aliases_and_a_star_select() {
        check(&["*"], true);
        check(&["job-controller"], true);
        check(&["job"], true);
        check(&["*", "-job"], false);
        check(&["-job-controller", "*"], false);
        check(&["cronjob"], false);
        check(&["*", "-cronjob"], true);
    }
}
