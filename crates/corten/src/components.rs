//! Which parts of the process run, for `corten status`.

use std::{sync::Arc, time::Duration};

use corten_base::SharedClock;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// One part, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Component {
    /// Its name.
    pub(crate) name: String,
    /// `Running`, or why not.
    pub(crate) state: String,
    /// What else there is to say: an address, a version.
    pub(crate) detail: String,
    /// For how long it has been so.
    pub(crate) seconds: u64,
}

/// All parts. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Components {
    entries: Arc<Mutex<Vec<Entry>>>,
    changed: watch::Sender<()>,
    clock: SharedClock,
}

#[derive(Debug, Clone)]
struct Entry {
    name: &'static str,
    state: String,
    detail: String,
    since: Duration,
}

/// The state of a part that does what it should.
pub(crate) const RUNNING: &str = "Running";

/// The state of a part that does not work any more.
pub(crate) const FAILED: &str = "Failed";

impl Components {
    /// None yet.
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { entries: Arc::default(), changed: watch::Sender::new(()), clock }
    }

    /// Notes that a part runs.
    pub(crate) fn running(&self, name: &'static str, detail: impl Into<String>) {
        self.set(name, RUNNING, detail);
    }

    /// Notes the state of a part.
    pub(crate) fn set(&self, name: &'static str, state: &str, detail: impl Into<String>) {
        let entry = Entry { name, state: state.to_owned(), detail: detail.into(), since: self.clock.monotonic() };
        {
            let mut entries = self.entries.lock();
            match entries.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = entry,
                None => entries.push(entry),
            }
        }
        self.changed.send_replace(());
    }

    /// Completes once a part is in this state; gives what else there is to say of it. Cancel-safe.
    pub(crate) async fn until(&self, name: &str, state: &str) -> String {
        let mut changed = self.changed.subscribe();
        loop {
            let found = |entry: &&Entry| entry.name == name && entry.state == state;
            let detail = self.entries.lock().iter().find(found).map(|entry| entry.detail.clone());
            if let Some(detail) = detail {
                return detail;
            }
            // The sender lives in `self`, so waiting cannot fail.
            let _ = changed.changed().await;
        }
    }

    /// All of them, in the order of their start.
    pub(crate) fn list(&self) -> Vec<Component> {
        let now = self.clock.monotonic();
        let shown = |entry: &Entry| Component {
            name: entry.name.to_owned(),
            state: entry.state.clone(),
            detail: entry.detail.clone(),
            seconds: now.saturating_sub(entry.since).as_secs(),
        };
        self.entries.lock().iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SystemClock;

    use super::*;

    #[tokio::test]
    async fn a_state_is_waited_for() {
        let components = Components::new(SystemClock::shared());
        components.running("dns", "");
        let fails = async {
            components.set("proxy", FAILED, "not this one");
            components.set("dns", FAILED, "its port is taken");
        };
        let (why, ()) = tokio::join!(components.until("dns", FAILED), fails);
        assert_eq!(why, "its port is taken");
        assert_eq!(components.until("dns", FAILED).await, why, "what is so already is told at once");
    }
}
