//! Look, decide, and write or answer without a write: the loop that every change of a stored object is.
//!
//! Rule: the engine compares what is written with what was looked at. Nobody compares what is answered without a write: that
//! there is nothing to do, a refusal, what a dry run would come to. And what the watch cache shows may be overtaken already.
//! So such an answer holds only for the newest state, or for one that was known to be that since the request came; from any
//! other the attempt is made again.
//! Upstream: `GuaranteedUpdate` in k8s.io/apiserver/pkg/storage/etcd3/store.go, which keeps this rule for what it is given from
//! the cache (v1.35).

use std::{ops::ControlFlow, sync::Arc};

use corten_apimachinery::{status::Status, stored::Stored, value::Value};
use corten_storage::kv::{KeyValue, Revision};

use super::store::{Put, Store};

/// An object as an attempt finds it, and since when it is so; `None` if there is none.
pub(super) type Found = Option<(Value, Revision)>;

/// What one attempt came to, unless it was refused.
pub(super) enum Attempt<T> {
    /// The engine has done it, or has failed: then nobody knows whether another attempt would be the second.
    Wrote(Result<T, Status>),
    /// This is the answer, and nothing was written.
    Answered(T),
    /// Somebody else was faster: what the engine has instead, if anything.
    Overtaken(Option<KeyValue>),
}

impl<T> Attempt<T> {
    /// What a write came to.
    pub(super) fn of(put: Put, done: impl FnOnce(Arc<Stored>) -> T) -> Self {
        match put {
            Put::Done(stored) => Self::Wrote(Ok(done(stored))),
            Put::Failed(status) => Self::Wrote(Err(status)),
            Put::Conflict(current) => Self::Overtaken(current),
        }
    }
}

/// The attempts at one object.
pub(super) struct Attempts<'a> {
    store: &'a Store,
    key: &'a str,
    /// Whether what the next attempt begins with was the newest state after the request had come.
    is_fresh: bool,
}

impl<'a> Attempts<'a> {
    /// What the first attempt begins with: mostly what the cache has at hand.
    pub(super) async fn begin(store: &'a Store, key: &'a str) -> Result<(Self, Found), Status> {
        match store.cacher.get(key) {
            Some(stored) => Ok((Self { store, key, is_fresh: false }, Some(store.tree(key, &stored)?))),
            None => Ok((Self { store, key, is_fresh: true }, store.newest(key).await?)),
        }
    }

    /// The answer that an attempt at the object of `revision` came to, or what the next one begins with.
    ///
    /// Errors: a refusal that holds, and what the engine says.
    pub(super) async fn judge<T>(
        &mut self,
        revision: Revision,
        attempt: Result<Attempt<T>, Status>,
    ) -> Result<ControlFlow<T, Found>, Status> {
        let answer = match attempt {
            Ok(Attempt::Wrote(ended)) => return ended.map(ControlFlow::Break),
            Ok(Attempt::Overtaken(current)) => {
                self.is_fresh = true;
                return self.store.overtaken(self.key, current).map(ControlFlow::Continue);
            }
            Ok(Attempt::Answered(answer)) => Ok(answer),
            Err(refusal) => Err(refusal),
        };
        if !self.is_fresh {
            let newest = self.store.consistent().await?;
            self.is_fresh = true;
            if newest.get(self.key).is_none_or(|stored| stored.revision != revision) {
                return self.store.found(&newest, self.key).map(ControlFlow::Continue);
            }
        }
        answer.map(ControlFlow::Break)
    }

    /// What the next attempt begins with when somebody else has made the object: what the engine has, of which the cache need
    /// not have heard.
    pub(super) async fn made_by_another(&mut self) -> Result<Found, Status> {
        let stored = self.store.stored_now(self.key).await?;
        self.is_fresh = true;
        self.store.overtaken(self.key, stored)
    }
}
