//! Candidates that share one lease and one clock.

use std::sync::Arc;

use corten_apimachinery::{meta::ObjectMeta as _, stored::Facts};
use corten_base::{Clock as _, ShutdownTrigger, SimClock, SimRng, TaskSet};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::{Answer, Body, Call, Transport, Verb};

/// An API server that holds one lease, and can be cut off.
#[derive(Debug, Default)]
struct LeaseServer {
    lease: Mutex<Option<(u64, Value)>>,
}

impl LeaseServer {
    fn call(&self, call: Call) -> Result<Answer, Status> {
        let mut lease = self.lease.lock();
        let group = call.resource.group_resource();
        let revision = lease.as_ref().map_or(0, |(revision, _)| *revision);
        match (call.verb, call.body) {
            (Verb::Get, _) if lease.is_none() => return Err(Status::not_found(&group, &call.name)),
            (Verb::Get, _) => {}
            (Verb::Create, Body::Tree(_)) if lease.is_some() => return Err(Status::already_exists(&group, "lease")),
            (Verb::Update, Body::Tree(tree)) if tree.resource_version() != revision.to_string() => {
                return Err(Status::modified(&group, &call.name));
            }
            (Verb::Create | Verb::Update, Body::Tree(mut tree)) => {
                tree.set_meta("resourceVersion", (revision + 1).to_string());
                *lease = Some((revision + 1, tree));
            }
            (verb, body) => panic!("an election does not {verb:?} {body:?}"),
        }
        let (revision, tree) = lease.clone().expect("it was found or made above");
        let (namespace, name) = (tree.namespace().into(), tree.name().into());
        let json = json::encode(&tree, None).into();
        Ok(Answer::Object(Arc::new(Stored {
            revision,
            namespace,
            name,
            uid: "u".into(),
            json,
            facts: Facts::default(),
        })))
    }
}

/// One candidate's way to the server.
#[derive(Debug)]
struct Line {
    server: Arc<LeaseServer>,
    is_cut: Arc<Mutex<bool>>,
}

impl Transport for Line {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Answer, Status>> {
        let is_cut = *self.is_cut.lock();
        let answer = if is_cut { Err(Status::service_unavailable("cut")) } else { self.server.call(call) };
        futures::future::ready(answer).boxed()
    }
}

struct Election {
    server: Arc<LeaseServer>,
    clock: Arc<SimClock>,
    tasks: TaskSet,
    said: (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>),
}

impl Election {
    fn new() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        Self { server: Arc::default(), clock, tasks: TaskSet::new("test"), said: mpsc::unbounded_channel() }
    }

    /// A candidate that says when it leads, when it stops, and how it ended.
    fn candidate(&self, identity: &'static str) -> (ShutdownTrigger, Arc<Mutex<bool>>) {
        let is_cut = Arc::new(Mutex::new(false));
        let line = Line { server: Arc::clone(&self.server), is_cut: Arc::clone(&is_cut) };
        let client = Client::new(Arc::new(line), "test");
        let rng = SimRng::shared(u64::from(identity.as_bytes()[0]));
        let election =
            LeaderElection::new(client, ("ns", "lease"), identity, Timing::default(), self.clock.clone(), rng);
        let ((trigger, shutdown), said) = (Shutdown::new(), self.said.0.clone());
        self.tasks.spawn("candidate", async move {
            let lead = |signal: Shutdown| {
                let said = said.clone();
                async move {
                    said.send(format!("{identity} leads")).unwrap();
                    signal.requested().await;
                    said.send(format!("{identity} stops")).unwrap();
                }
            };
            let outcome = election.run(lead, shutdown).await;
            said.send(format!("{identity} {outcome:?}")).unwrap();
        });
        (trigger, is_cut)
    }

    /// Lets time pass until somebody says something, and gives the seconds that it took.
    async fn hear(&mut self, want: &str) -> u64 {
        let start = self.clock.monotonic();
        let heard = loop {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            match self.said.1.try_recv() {
                Ok(heard) => break heard,
                Err(_) => self.clock.advance(Duration::from_millis(500)),
            }
        };
        assert_eq!(heard, want);
        (self.clock.monotonic() - start).as_secs()
    }

    fn lease(&self, field: &str) -> Value {
        self.server.lease.lock().as_ref().unwrap().1.at(&["spec", field]).cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn a_lease_given_back_is_taken_at_once() {
    let mut t = Election::new();
    let (stop_a, _) = t.candidate("a");
    assert_eq!(t.hear("a leads").await, 0);
    let (stop_b, _) = t.candidate("b");
    stop_a.request();
    t.hear("a stops").await;
    t.hear("a Finished").await;
    assert_eq!(t.lease("holderIdentity"), "".into());
    assert!(t.hear("b leads").await <= 5);
    assert_eq!((t.lease("holderIdentity"), t.lease("leaseTransitions")), ("b".into(), 1.into()));
    stop_b.request();
    t.hear("b stops").await;
    t.hear("b Finished").await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_another_starts() {
    let mut t = Election::new();
    let (_stop_a, cut_a) = t.candidate("a");
    t.hear("a leads").await;
    let (_stop_b, _) = t.candidate("b");
    for _ in 0..100 {
        t.clock.advance(Duration::from_millis(500));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    // For 50 seconds a renewed, and b waited.
    assert_eq!((t.said.1.try_recv().ok(), t.lease("leaseTransitions")), (None, 0.into()));
    *cut_a.lock() = true;
    let stopped = t.hear("a stops").await;
    assert!((8..=13).contains(&stopped), "{stopped}");
    t.hear("a Lost").await;
    t.hear("b leads").await;
    assert_eq!(t.lease("leaseTransitions"), 1.into());
}

#[tokio::test]
async fn a_candidate_that_is_never_elected_just_ends() {
    let mut t = Election::new();
    let (_stop_a, _) = t.candidate("a");
    t.hear("a leads").await;
    let (stop_b, _) = t.candidate("b");
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    stop_b.request();
    t.hear("b NeverLed").await;
}

/// Work that hung in a call of ninety seconds once went on beside that of the next leader.
#[tokio::test]
async fn work_that_does_not_end_is_cut_off_a_second_after_the_lease_is_lost() {
    let mut t = Election::new();
    let is_cut = Arc::new(Mutex::new(false));
    let line = Line { server: Arc::clone(&t.server), is_cut: Arc::clone(&is_cut) };
    let client = Client::new(Arc::new(line), "test");
    let election =
        LeaderElection::new(client, ("ns", "lease"), "a", Timing::default(), t.clock.clone(), SimRng::shared(7));
    let ((_stop, shutdown), said) = (Shutdown::new(), t.said.0.clone());
    t.tasks.spawn("candidate", async move {
        let lead = |signal: Shutdown| {
            let said = said.clone();
            async move {
                said.send("a leads".to_owned()).unwrap();
                signal.requested().await;
                said.send("a is told".to_owned()).unwrap();
                std::future::pending::<()>().await;
            }
        };
        let outcome = election.run(lead, shutdown).await;
        said.send(format!("a {outcome:?}")).unwrap();
    });
    t.hear("a leads").await;
    *is_cut.lock() = true;
    t.hear("a is told").await;
    assert_eq!(t.hear("a Lost").await, 1);
}
