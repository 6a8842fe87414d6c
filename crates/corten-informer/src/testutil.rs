//! For tests: objects in one line, and an API server whose every answer the test gives by hand.

use std::{fmt, sync::Arc};

use corten_apimachinery::{
    status::Status,
    stored::{Facts, Stored},
};
use corten_base::{Clock as _, SimClock};
use corten_client::{Answer, Call, Client, ObjectList, Transport, WatchEvent};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use tokio::sync::{mpsc, oneshot};

use crate::key::Key;

/// Builds a served object.
#[derive(Debug, Clone)]
pub struct ObjectBuilder(Stored);

/// An object of no particular kind under `key` (`namespace/name` or `name`) at `revision`; its UID is `uid-<name>`.
#[must_use]
pub fn object(key: &str, revision: u64) -> ObjectBuilder {
    let key: Key = key.parse().expect("tests write well-formed keys");
    ObjectBuilder(Stored {
        revision,
        uid: format!("uid-{}", key.name).into(),
        namespace: key.namespace,
        name: key.name,
        json: "{}".to_owned().into(),
        facts: Facts::default(),
    })
}

impl ObjectBuilder {
    /// Another UID.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        self.0.uid = uid.into();
        self
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        let labels = self.0.facts.labels;
        self.0.facts.labels = labels.iter().chain([(key, value)]).collect();
        self
    }

    /// A controlling owner.
    #[must_use]
    pub fn controller(mut self, uid: &str) -> Self {
        self.0.facts.controller_uid = uid.into();
        self
    }

    /// Deletion has begun.
    #[must_use]
    pub fn deleting(mut self) -> Self {
        self.0.facts.is_deleting = true;
        self
    }

    /// Another JSON text.
    #[must_use]
    pub fn json(mut self, json: &str) -> Self {
        self.0.json = json.to_owned().into();
        self
    }

    /// The object.
    #[must_use]
    pub fn build(self) -> Arc<Stored> {
        Arc::new(self.0)
    }
}

/// Moves `clock` to the deadline of its next sleeper, waiting for one to come. Needs a current-thread runtime.
pub async fn advance_to_next_deadline(clock: &SimClock) {
    let deadline = loop {
        match clock.next_deadline() {
            Some(deadline) => break deadline,
            None => tokio::task::yield_now().await,
        }
    };
    clock.advance(deadline.saturating_sub(clock.monotonic()));
}

/// The test's side of a scripted API server: takes calls in the order in which they come.
#[derive(Debug)]
pub struct ScriptedServer {
    calls: mpsc::UnboundedReceiver<Incoming>,
}

/// A call that waits for its answer. Dropping it unanswered is a lost connection.
pub struct Incoming {
    /// What was asked.
    pub call: Call,
    answer: oneshot::Sender<Result<Answer, Status>>,
}

/// The sending end of a watch; dropping it ends the stream.
pub type WatchSender = mpsc::UnboundedSender<Result<WatchEvent, Status>>;

#[derive(Clone)]
struct ScriptedTransport(mpsc::UnboundedSender<Incoming>);

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedTransport")
    }
}

impl Transport for ScriptedTransport {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Answer, Status>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.0.send(Incoming { call, answer });
        async move {
            sent.map_err(|_| Status::service_unavailable("the scripted server is gone"))?;
            answered.await.map_err(|_| Status::service_unavailable("connection lost"))?
        }
        .boxed()
    }
}

impl ScriptedServer {
    /// A server and a client of it.
    #[must_use]
    pub fn new() -> (Self, Client) {
        let (sender, calls) = mpsc::unbounded_channel();
        (Self { calls }, Client::new(Arc::new(ScriptedTransport(sender)), "test"))
    }

    /// The next call. Waits for it.
    ///
    /// Panics when all clients are gone.
    pub async fn next(&mut self) -> Incoming {
        self.calls.recv().await.expect("somebody still holds a client")
    }

    /// The next call if it is there already.
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.calls.try_recv().ok()
    }
}

impl Incoming {
    /// One parameter of the query; empty if absent.
    #[must_use]
    pub fn query(&self, name: &str) -> &str {
        self.call.query.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// Answers anything. The caller may have given up meanwhile.
    pub fn answer(self, answer: Result<Answer, Status>) {
        let _ = self.answer.send(answer);
    }

    /// Answers with an error.
    pub fn fail(self, status: Status) {
        self.answer(Err(status));
    }

    /// Answers with a whole list.
    pub fn list(self, revision: u64, items: impl IntoIterator<Item = Arc<Stored>>) {
        self.answer(Ok(Answer::List(ObjectList {
            items: items.into_iter().collect(),
            revision,
            ..ObjectList::default()
        })));
    }

    /// Answers with an object.
    pub fn object(self, object: Arc<Stored>) {
        self.answer(Ok(Answer::Object(object)));
    }

    /// Opens a watch.
    #[must_use]
    pub fn watch(self) -> WatchSender {
        let (sender, receiver) = mpsc::unbounded_channel();
        let events = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        self.answer(Ok(Answer::Watch(events.boxed())));
        sender
    }
}
