//! A writer: makes, changes, reads and deletes objects of one resource that others write, too, and records what it asked and
//! was told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, bail};
use corten_base::SharedRng;
use http::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, JSON, JSON_PATCH, MERGE_PATCH},
    history::{Action, Operation, Outcome},
    resources::Resource,
    watching::{MARK, seen},
};

/// How many objects the writers of one resource share.
const OBJECTS: u64 = 12;

/// One client.
pub(crate) struct Writer {
    me: usize,
    resource: &'static Resource,
    rng: SharedRng,
    /// Counts requests and answers of all writers.
    ticks: Arc<AtomicU64>,
    /// The versions and the identities that it knows objects by.
    known: BTreeMap<String, (u64, String)>,
    pub(crate) operations: Vec<Operation>,
}

impl Writer {
    pub(crate) fn new(me: usize, resource: &'static Resource, rng: SharedRng, ticks: Arc<AtomicU64>) -> Self {
        Self { me, resource, rng, ticks, known: BTreeMap::new(), operations: Vec::new() }
    }

    /// Makes some request; says whether something was written.
    ///
    /// Errors: there was no answer, or one that cannot be.
    pub(crate) async fn step(&mut self, client: &Client) -> anyhow::Result<bool> {
        let name = format!("o-{}", self.rng.below(OBJECTS));
        let mark = format!("{}-{}", self.me, self.operations.len());
        let action = match (self.known.get(&name).map(|(version, _)| *version), self.rng.below(10)) {
            (None, 0..=6) => Action::Create { mark },
            (Some(of), 0..=3) => Action::Update { of, mark },
            (Some(_), 4..=6) => Action::Patch { mark },
            (Some(of), 7..=8) => Action::Delete { of },
            _ => Action::Read,
        };
        self.request(client, &name, action).await
    }

    /// Makes an object of its own.
    pub(crate) async fn create(&mut self, client: &Client, name: &str) -> anyhow::Result<bool> {
        let mark = format!("{}-{}", self.me, self.operations.len());
        self.request(client, name, Action::Create { mark }).await
    }

    async fn request(&mut self, client: &Client, name: &str, action: Action) -> anyhow::Result<bool> {
        let invoked = self.ticks.fetch_add(1, Ordering::SeqCst);
        self.operations.push(Operation {
            invoked,
            returned: u64::MAX,
            key: (self.resource.name, name.to_owned()),
            action: action.clone(),
            outcome: Outcome::Unknown,
        });
        let answer = self.ask(client, name, &action).await?;
        let returned = self.ticks.fetch_add(1, Ordering::SeqCst);
        let outcome = match (&action, answer.code) {
            (Action::Create { .. }, 201) | (Action::Update { .. } | Action::Patch { .. } | Action::Read, 200) => {
                Outcome::Done(Some(seen(&answer.body)?))
            }
            (Action::Delete { .. }, 200) | (Action::Read, 404) => Outcome::Done(None),
            (Action::Create { .. }, 409)
            | (Action::Update { .. } | Action::Patch { .. } | Action::Delete { .. }, 404 | 409) => Outcome::Refused,
            _ => bail!("{action:?} of {name} of {}: {answer:?}", self.resource.name),
        };
        match &outcome {
            Outcome::Done(Some(seen)) => {
                let uid = answer.body["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                self.known.insert(name.to_owned(), (seen.version, uid));
            }
            _ => drop(self.known.remove(name)),
        }
        let is_written = action != Action::Read && outcome != Outcome::Refused;
        let operation = self.operations.last_mut().context("it was noted")?;
        (operation.returned, operation.outcome) = (returned, outcome);
        Ok(is_written)
    }

    async fn ask(&self, client: &Client, name: &str, action: &Action) -> anyhow::Result<Answer> {
        let one = format!("{}/{name}", self.resource.path);
        let number = self.rng.below(2_000);
        match action {
            Action::Create { mark } => {
                let object = self.resource.object(name, mark, None, number);
                client.call(self.me, Method::POST, self.resource.path, JSON, &object).await
            }
            Action::Update { of, mark } => {
                let mut object = self.resource.object(name, mark, Some(*of), number);
                // A lease that is gone would be made anew otherwise.
                object["metadata"]["uid"] = self.known.get(name).map(|(_, uid)| json!(uid)).unwrap_or_default();
                client.call(self.me, Method::PUT, &one, JSON, &object).await
            }
            Action::Patch { mark } if number.is_multiple_of(2) => {
                let patch = json!([{"op": "replace", "path": format!("/metadata/annotations/{MARK}"), "value": mark}]);
                client.call(self.me, Method::PATCH, &one, JSON_PATCH, &patch).await
            }
            Action::Patch { mark } => {
                let patch = json!({"metadata": {"annotations": {MARK: mark}}});
                client.call(self.me, Method::PATCH, &one, MERGE_PATCH, &patch).await
            }
            Action::Delete { of } => {
                let options = json!({"preconditions": {"resourceVersion": of.to_string()}});
                client.call(self.me, Method::DELETE, &one, JSON, &options).await
            }
            Action::Read => client.call(self.me, Method::GET, &one, JSON, &Value::Null).await,
        }
    }
}
