//! Questions about the rest of the world: a bounded cache in front of the node's resolvers.
//!
//! A small forwarder of our own: the general resolver library brings search lists, hosts files, name server statistics,
//! and a tree of decoded records per cache entry. Here a reply is kept as it came and its TTLs are lowered in place.
//!
//! Loops: equal questions in flight share one exchange, so that a query which comes back to us waits for itself and ends
//! with the deadline instead of multiplying; addresses we listen on are never asked.

pub mod cache;
mod exchange;
pub mod resolvers;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use corten_base::{ErrorChain, SharedClock, SharedRng, timeout};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tracing::debug;

use crate::{
    message::{UpstreamReply, upstream::Question},
    metrics::Metrics,
};
use cache::Cache;

/// How long one resolver may take: what `CoreDNS` and resolver libraries give it.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a question may take in all: a client asks again after five seconds.
const DEADLINE: Duration = Duration::from_millis(4_500);
/// Each resolver is asked at most so often for one question.
const ROUNDS: usize = 2;

/// A reply and how old it is.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the resolver said.
    pub reply: Arc<UpstreamReply>,
    /// How many seconds ago.
    pub age: u32,
}

/// There is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The node has no resolvers.
    #[error("no resolver is configured")]
    NoResolver,
    /// No resolver gave a usable reply in time.
    #[error("no resolver replied")]
    NoReply,
}

type Shared = Result<Answer, ForwardError>;

/// Asks resolvers and remembers what they said.
#[derive(Debug)]
pub struct Forwarder {
    resolvers: RwLock<Arc<[SocketAddr]>>,
    own: Vec<SocketAddr>,
    /// The resolver that replied last is asked first.
    preferred: AtomicUsize,
    cache: Mutex<Cache>,
    in_flight: Mutex<BTreeMap<Question, watch::Receiver<Option<Shared>>>>,
    clock: SharedClock,
    rng: SharedRng,
    metrics: Metrics,
}

impl Forwarder {
    /// A forwarder that never asks the addresses `own`, with a cache of at most `cache_entries`.
    #[must_use]
    pub fn new(
        own: Vec<SocketAddr>,
        cache_entries: usize,
        clock: SharedClock,
        rng: SharedRng,
        metrics: Metrics,
    ) -> Self {
        Self {
            resolvers: RwLock::new([].into()),
            own,
            preferred: AtomicUsize::new(0),
            cache: Mutex::new(Cache::new(cache_entries)),
            in_flight: Mutex::default(),
            clock,
            rng,
            metrics,
        }
    }

    /// Replaces the resolvers. The cache stays: what was true is true for as long as it said.
    pub fn set_resolvers(&self, resolvers: &[SocketAddr]) {
        let others: Vec<SocketAddr> = resolvers.iter().copied().filter(|address| !self.own.contains(address)).collect();
        *self.resolvers.write() = others.into();
        self.preferred.store(0, Ordering::Relaxed);
    }

    /// The resolvers that are asked.
    #[must_use]
    pub fn resolvers(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.resolvers.read())
    }

    /// What is known without asking.
    #[must_use]
    pub fn cached(&self, question: &Question) -> Option<Shared> {
        let known = self.cache.lock().get(question, self.clock.monotonic());
        if known.is_some() {
            self.metrics.cache_hits.inc()
        } else {
            self.metrics.cache_misses.inc()
        };
        known
    }

    /// Asks for `question`, unless somebody already does, then waits for the same reply.
    ///
    /// Cancellation: those who wait for this call's reply get `NoReply`.
    pub async fn resolve(&self, question: &Question) -> Shared {
        let (sender, mut receiver) = {
            let mut in_flight = self.in_flight.lock();
            match in_flight.get(question) {
                Some(receiver) => (None, receiver.clone()),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    in_flight.insert(*question, receiver.clone());
                    (Some(sender), receiver)
                }
            }
        };
        let Some(sender) = sender else {
            let reply = receiver.wait_for(Option::is_some).await.ok().and_then(|reply| reply.clone());
            return reply.unwrap_or(Err(ForwardError::NoReply));
        };
        let entry = InFlight { forwarder: self, question };
        let reply = self.ask(question).await;
        self.remember(question, &reply);
        drop(entry);
        sender.send_replace(Some(reply.clone()));
        reply
    }

    fn remember(&self, question: &Question, reply: &Shared) {
        let now = self.clock.monotonic();
        let mut cache = self.cache.lock();
        let evicted = cache.insert(question, reply, now);
        self.metrics.cache_evictions.inc_by(evicted);
        self.metrics.cache_entries.set(i64::try_from(cache.len()).unwrap_or(i64::MAX));
    }

    async fn ask(&self, question: &Question) -> Shared {
        let resolvers = self.resolvers();
        if resolvers.is_empty() {
            return Err(ForwardError::NoResolver);
        }
        let mut fallback = None;
        let rounds = self.ask_in_turn(question, &resolvers, &mut fallback);
        let reply = timeout(&*self.clock, DEADLINE, rounds).await.ok().flatten();
        reply.or(fallback).map(|reply| Answer { reply: Arc::new(reply), age: 0 }).ok_or(ForwardError::NoReply)
    }

    async fn ask_in_turn(
        &self,
        question: &Question,
        resolvers: &[SocketAddr],
        fallback: &mut Option<UpstreamReply>,
    ) -> Option<UpstreamReply> {
        let first = self.preferred.load(Ordering::Relaxed);
        for turn in 0..resolvers.len() * ROUNDS {
            let at = (first + turn) % resolvers.len();
            let resolver = resolvers[at];
            let exchange = exchange::ask(resolver, question, &*self.rng);
            let error = match timeout(&*self.clock, ATTEMPT, exchange).await {
                Ok(Ok(reply)) if reply.is_conclusive() => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Some(reply);
                }
                // Another resolver may know better; if none does, the client gets this one's word.
                Ok(Ok(reply)) => {
                    *fallback = Some(reply);
                    if turn + 1 >= resolvers.len() {
                        return None;
                    }
                    continue;
                }
                Ok(Err(error)) => ErrorChain(&error).to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            self.metrics.forward_failures.inc();
            debug!(%resolver, name = %question.name, err = error, "Could not ask resolver");
        }
        None
    }
}

/// Takes a question out of those in flight, also when its asker is dropped.
struct InFlight<'a> {
    forwarder: &'a Forwarder,
    question: &'a Question,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.forwarder.in_flight.lock().remove(self.question);
    }
}

#[cfg(test)]
pub(crate) mod tests;
