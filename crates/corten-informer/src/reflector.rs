//! Follows a collection: lists it, watches from the list's revision, and starts again where it broke off.
//!
//! Flow: `Client::list` (or a watch with initial events) -> `Sink::replace`; `Client::watch` -> `Sink::apply`.
//! Invariants: the sink sees every change after a list exactly once and in order, or another list. A watch that ends
//! resumes from the last revision seen, progress marks included; only a server that no longer has that revision makes
//! the reflector list again.
//! Upstream: k8s.io/client-go/tools/cache/reflector.go (v1.35).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use corten_apimachinery::{
    status::{Reason, Status},
    stored::Stored,
};
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown};
use corten_client::{Client, ListOptions, Target, WatchEvent, WatchOptions, WatchStream};
use futures::StreamExt as _;
use tracing::{debug, warn};

use crate::{key::Key, metrics::Metrics};

/// The first delay after a failure. Upstream: `NewReflectorWithOptions`.
const BACKOFF_INITIAL: Duration = Duration::from_millis(800);

/// The longest delay before jitter, which may double it.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Time without failures after which the delay starts again from the first.
const BACKOFF_RESET: Duration = Duration::from_secs(120);

/// A watch that ends in less than this without an event counts as a failure, so that a server which refuses by ending
/// streams is not asked in a loop.
const SHORT_WATCH: Duration = Duration::from_secs(1);

/// Takes what a reflector learns. Called on the reflector's task.
pub trait Sink: Send + Sync {
    /// The whole collection as of `revision`; what was there before and is not in it is gone.
    fn replace(&self, objects: Vec<Arc<Stored>>, revision: u64);

    /// One change, or a progress mark.
    fn apply(&self, event: WatchEvent);
}

/// Which objects of a resource are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selection {
    /// A label selector in its text form; empty for all.
    pub labels: String,
    /// A field selector in its text form; empty for all.
    pub fields: String,
}

/// How the first state is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InitialList {
    /// One LIST. In one process it is a vector of shared objects and costs nearly nothing.
    #[default]
    List,
    /// A watch that sends the objects first: bounded memory on both ends of a connection. Falls back to LIST for good
    /// when the server does not know it.
    WatchList,
}

/// Follows one collection into one sink.
#[derive(Debug)]
pub struct Reflector {
    /// Where to read.
    pub client: Client,
    /// What to read.
    pub target: Target,
    /// Which of it.
    pub selection: Selection,
    /// How to begin.
    pub initial: InitialList,
    /// For delays.
    pub clock: SharedClock,
    /// For jitter.
    pub rng: SharedRng,
    /// What to count.
    pub metrics: Arc<Metrics>,
}

/// Where the reflector is in the history of the collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Nothing is known yet: any state will do to begin with.
    Start,
    /// Everything up to this revision was handed over.
    At(u64),
    /// The server does not have the revision after `0`: the next list must be at least as new as that, if it can be.
    Lost(u64),
    /// Not even that: the next list is of the newest state, whatever its revision.
    Newest,
}

/// What the next delay depends on.
#[derive(Debug)]
struct Progress {
    backoff: Backoff,
    last_failure: Duration,
}

impl Reflector {
    /// Follows the collection until shutdown is requested.
    ///
    /// Cancel-safe: the sink has seen a prefix of the history.
    pub async fn run(mut self, sink: &dyn Sink, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = self.follow(sink) => {}
        }
    }

    async fn follow(&mut self, sink: &dyn Sink) {
        let mut position = Position::Start;
        let mut progress = Progress {
            backoff: Backoff::doubling(BACKOFF_INITIAL, BACKOFF_MAX).with_jitter(1.0),
            last_failure: Duration::ZERO,
        };
        loop {
            let Err(failure) = self.step(&mut position, sink).await else { continue };
            Metrics::count(&self.metrics.failures);
            let delay = self.delay_after(&failure, &mut progress);
            warn!(
                resource = %self.target.resource.group_resource(),
                namespace = %self.target.namespace,
                retry_in_ms = delay.as_millis() as u64,
                err = %ErrorChain(&failure),
                "Could not follow resource"
            );
            self.clock.sleep(delay).await;
        }
    }

    fn delay_after(&self, failure: &Status, progress: &mut Progress) -> Duration {
        let now = self.clock.monotonic();
        if now.saturating_sub(progress.last_failure) > BACKOFF_RESET {
            progress.backoff.reset();
        }
        let delay = progress.backoff.next(&*self.rng);
        progress.last_failure = now + delay;
        let advised = failure.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        delay.max(Duration::from_secs(advised.try_into().unwrap_or(0)))
    }

    /// Does the next thing: lists, or watches until the watch ends. `Ok` means: go on at once.
    async fn step(&mut self, position: &mut Position, sink: &dyn Sink) -> Result<(), Status> {
        if let Position::At(revision) = *position {
            let options = WatchOptions { resource_version: revision.to_string(), ..self.watch_options() };
            let stream = match self.client.watch(self.target.clone(), &options).await {
                Err(status) if status.is_expired() => {
                    *position = Position::Lost(revision);
                    return Ok(());
                }
                other => other?,
            };
            Metrics::count(&self.metrics.watches);
            return self.apply_all(stream, revision, position, sink).await;
        }
        match self.initial {
            InitialList::List => self.list(position, sink).await,
            InitialList::WatchList => match self.watch_list(position, sink).await {
                Err(status) if matches!(status.reason, Reason::Invalid | Reason::BadRequest) => {
                    debug!(resource = %self.target.resource, err = %status, "Fell back from a watch list to a list");
                    self.initial = InitialList::List;
                    Ok(())
                }
                other => other,
            },
        }
    }

    /// Reads the whole collection, in as many pages as the server makes of it.
    async fn list(&self, position: &mut Position, sink: &dyn Sink) -> Result<(), Status> {
        let mut options = ListOptions {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            resource_version: match *position {
                Position::Start => "0".to_owned(),
                Position::At(revision) | Position::Lost(revision) => revision.to_string(),
                Position::Newest => String::new(),
            },
            ..ListOptions::default()
        };
        let (mut objects, mut revision) = (Vec::new(), 0);
        loop {
            let page = match self.client.list(self.target.clone(), &options).await {
                Err(status) if is_unavailable_revision(&status) && *position != Position::Newest => {
                    *position = Position::Newest;
                    return Ok(());
                }
                other => other?,
            };
            // All pages of one list show one revision.
            revision = if objects.is_empty() { page.revision } else { revision.max(page.revision) };
            objects.extend(page.items);
            if page.continue_token.is_empty() {
                break;
            }
            options.continue_token = page.continue_token;
            // The token carries the revision; servers refuse both together.
            options.resource_version.clear();
        }
        Metrics::count(&self.metrics.lists);
        sink.replace(objects, revision);
        *position = Position::At(revision);
        Ok(())
    }

    /// Reads the whole collection as the first part of a watch and goes on with the same watch.
    async fn watch_list(&self, position: &mut Position, sink: &dyn Sink) -> Result<(), Status> {
        let options = WatchOptions {
            send_initial_events: true,
            resource_version: match *position {
                Position::At(revision) | Position::Lost(revision) => revision.to_string(),
                Position::Start | Position::Newest => String::new(),
            },
            ..self.watch_options()
        };
        let mut stream = match self.client.watch(self.target.clone(), &options).await {
            Err(status) if is_unavailable_revision(&status) && *position != Position::Newest => {
                *position = Position::Newest;
                return Ok(());
            }
            other => other?,
        };
        Metrics::count(&self.metrics.watches);
        let mut objects = BTreeMap::new();
        while let Some(event) = stream.next().await {
            Metrics::count(&self.metrics.events);
            match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    objects.insert(Key::of(&object), object);
                }
                Ok(WatchEvent::Deleted(object)) => {
                    objects.remove(&Key::of(&object));
                }
                Ok(WatchEvent::Bookmark { revision, initial_events_end: true }) => {
                    Metrics::count(&self.metrics.lists);
                    sink.replace(objects.into_values().collect(), revision);
                    *position = Position::At(revision);
                    return self.apply_all(stream, revision, position, sink).await;
                }
                Ok(WatchEvent::Bookmark { .. }) => {}
                Err(status) if is_unavailable_revision(&status) && *position != Position::Newest => {
                    *position = Position::Newest;
                    return Ok(());
                }
                Err(status) => return Err(status),
            }
        }
        Err(Status::service_unavailable("the watch ended before all initial objects were sent"))
    }

    fn watch_options(&self) -> WatchOptions {
        WatchOptions {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            allow_bookmarks: true,
            ..WatchOptions::default()
        }
    }

    /// Hands over the events of a watch until it ends.
    async fn apply_all(
        &self,
        mut stream: WatchStream,
        mut revision: u64,
        position: &mut Position,
        sink: &dyn Sink,
    ) -> Result<(), Status> {
        let (opened, mut is_empty) = (self.clock.monotonic(), true);
        while let Some(event) = stream.next().await {
            Metrics::count(&self.metrics.events);
            let event = match event {
                Ok(event) => event,
                // At once after progress; a server that expires every watch at its start is asked with delays.
                Err(status) if status.is_expired() => {
                    *position = Position::Lost(revision);
                    return if is_empty { Err(status) } else { Ok(()) };
                }
                Err(status) => return Err(status),
            };
            is_empty = false;
            revision = match &event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                    object.revision
                }
                WatchEvent::Bookmark { revision, .. } => *revision,
            };
            sink.apply(event);
            *position = Position::At(revision);
        }
        if is_empty && self.clock.monotonic().saturating_sub(opened) < SHORT_WATCH {
            return Err(Status::service_unavailable("very short watch: it ended at once and without an event"));
        }
        Ok(())
    }
}

/// Whether the server cannot show the revision asked for: too old to be kept, or newer than what it has.
fn is_unavailable_revision(status: &Status) -> bool {
    let is_too_large = || {
        let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
        causes.iter().any(|cause| cause.reason == "ResourceVersionTooLarge")
            || status.message.contains("Too large resource version")
    };
    status.is_expired() || (status.reason == Reason::Timeout && is_too_large())
}

#[cfg(test)]
mod tests;
