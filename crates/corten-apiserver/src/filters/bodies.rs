//! Bodies are read before a request has its place among those that run: who sends slowly, or never ends, holds up nobody.
//!
//! Instead, what bodies hold until they are complete is bounded: in all, and for each user. Bodies that may become many
//! objects run one after the other, since each object costs hundreds of times its bytes; each user has one in the queue.
//! Upstream reads bodies within the place, but gives each flow of requests places of its own (priority and fairness).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use corten_apimachinery::{resource::UserInfo, status::Status, value::Str};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::in_flight::{is_privileged, too_many};
use crate::{
    endpoints::{OBJECTS_MAX, read_stream},
    request::{Origin, Request, RequestBody},
};

/// What all bodies that are not complete may hold.
const UNFINISHED_BYTES_MAX: usize = 256 << 20;

/// What those of one user may hold, so that none can shut out the others alone.
const UNFINISHED_USER_BYTES_MAX: usize = UNFINISHED_BYTES_MAX / 4;

/// What a body counts before its first byte has come: about what its request and stream cost.
const REQUEST_BYTES: usize = 16 << 10;

/// Up to so many objects a body is as good as any other: two hundred of them, which may run at once, are bearable.
const FEW_OBJECTS: usize = 2_000;

/// The bodies that are being received, and those that are large.
#[derive(Debug)]
pub struct Bodies {
    unfinished: Arc<Unfinished>,
    large: Large,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { unfinished: Arc::default(), large: Large::new() }
    }
}

/// A body is complete.
#[derive(Debug)]
pub(super) struct Received {
    /// What it holds until its request has a place.
    pub(super) held: Option<Held>,
    /// What it may become, until its request is answered.
    pub(super) objects: Option<Turn>,
}

impl Bodies {
    /// Reads the body of a write to its end. Cancel-safe: what was read is lost with the request.
    ///
    /// Errors: `TooManyRequests` if bodies hold too much already; those of the body.
    pub(super) async fn receive(&self, request: &mut Request) -> Result<Received, Status> {
        let mut received = Received { held: None, objects: None };
        if request.is_read() || request.is_long_running() || matches!(request.origin, Origin::InProcess) {
            return Ok(received);
        }
        request.body = match std::mem::take(&mut request.body) {
            RequestBody::Stream(stream) => {
                let mut held = Held::new(&self.unfinished, &request.user)?;
                let bytes = read_stream(stream, |size| held.grow(size)).await?;
                received.held = Some(held);
                RequestBody::Bytes(bytes)
            }
            other => other,
        };
        if let RequestBody::Bytes(bytes) = &request.body {
            let count = objects_at_most(bytes, request.header(http::header::CONTENT_TYPE));
            if count > FEW_OBJECTS && !is_privileged(&request.user) {
                received.objects = Some(self.large.turn(&request.user, count).await);
            }
        }
        Ok(received)
    }
}

/// The bodies that may become many objects.
#[derive(Debug)]
struct Large {
    /// A permit for each object that they may have.
    objects: Arc<Semaphore>,
    /// Where each user's wait for each other, so that who sends many of them holds up nobody else.
    by_user: Mutex<HashMap<Str, Weak<Semaphore>>>,
}

/// It is the turn of a large body, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _objects: OwnedSemaphorePermit,
    _of_user: OwnedSemaphorePermit,
}

impl Large {
    fn new() -> Self {
        Self { objects: Arc::new(Semaphore::new(OBJECTS_MAX)), by_user: Mutex::default() }
    }

    /// Waits for the turn of a body of `user` with `count` objects. Cancel-safe: the place in the queue is lost.
    async fn turn(&self, user: &UserInfo, count: usize) -> Turn {
        let permits = u32::try_from(count.min(OBJECTS_MAX)).unwrap_or(u32::MAX);
        let of_user = self.of_user(&user.name).acquire_owned().await.expect("is never closed");
        let objects = Arc::clone(&self.objects).acquire_many_owned(permits).await.expect("is never closed");
        Turn { _objects: objects, _of_user: of_user }
    }

    fn of_user(&self, name: &Str) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock();
        by_user.retain(|_, queue| queue.strong_count() > 0);
        if let Some(queue) = by_user.get(name).and_then(Weak::upgrade) {
            return queue;
        }
        let queue = Arc::new(Semaphore::new(1));
        by_user.insert(name.clone(), Arc::downgrade(&queue));
        queue
    }
}

/// How many objects may be in a body: in JSON, which YAML may be, each has its brace. Elsewhere a few bytes make one.
fn objects_at_most(bytes: &[u8], content_type: &str) -> usize {
    let is_json = content_type.is_empty()
        || content_type.contains("json")
        || (content_type.contains("yaml") && bytes.first() == Some(&b'{'));
    if is_json { count(bytes) } else { bytes.len() / 4 }
}

fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'{').count()
}

/// What the bodies hold that are not complete.
#[derive(Debug, Default)]
struct Unfinished(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    all: usize,
    by_user: HashMap<Str, usize>,
}

/// The part of one body, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    unfinished: Arc<Unfinished>,
    user: Str,
    bytes: usize,
    is_bounded: bool,
}

impl Held {
    fn new(unfinished: &Arc<Unfinished>, user: &UserInfo) -> Result<Self, Status> {
        let (unfinished, is_bounded) = (Arc::clone(unfinished), !is_privileged(user));
        let mut held = Self { unfinished, user: user.name.clone(), bytes: 0, is_bounded };
        held.grow(REQUEST_BYTES)?;
        Ok(held)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        if !self.is_bounded {
            return Ok(());
        }
        let mut sums = self.unfinished.0.lock();
        let of_user = sums.by_user.get(&self.user).copied().unwrap_or_default() + bytes;
        if sums.all + bytes > UNFINISHED_BYTES_MAX || of_user > UNFINISHED_USER_BYTES_MAX {
            return Err(too_many());
        }
        sums.all += bytes;
        sums.by_user.insert(self.user.clone(), of_user);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut sums = self.unfinished.0.lock();
        sums.all -= self.bytes;
        let of_user = sums.by_user.get(&self.user).copied().unwrap_or_default() - self.bytes;
        match of_user {
            0 => drop(sums.by_user.remove(&self.user)),
            left => drop(sums.by_user.insert(self.user.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        UserInfo {
            name: name.into(),
            groups: groups.iter().map(|group| (*group).into()).collect(),
            ..UserInfo::default()
        }
    }

    /// A user who may do nothing sent one after the other, and everybody else's waited behind them for most of a minute.
    #[test]
    fn each_user_has_one_large_body_in_the_queue() {
        let large = Large::new();
        let (robot, person) = (user("robot", &[]), user("person", &[]));
        let first = large.turn(&robot, OBJECTS_MAX).now_or_never().expect("nobody is before it");
        let mut more: Vec<_> = (0..3).map(|_| Box::pin(large.turn(&robot, OBJECTS_MAX))).collect();
        more.iter_mut().for_each(|turn| assert!(turn.now_or_never().is_none()));
        let mut other = Box::pin(large.turn(&person, OBJECTS_MAX));
        assert!((&mut other).now_or_never().is_none());
        drop(first);
        more.iter_mut().for_each(|turn| assert!(turn.now_or_never().is_none(), "the other is before it"));
        let other = other.now_or_never().expect("only one was before it");
        drop((other, more));
        large.turn(&person, 1).now_or_never().expect("nobody is left");
        assert_eq!(large.by_user.lock().len(), 1);
    }

    #[test]
    fn objects_are_counted_by_their_braces_where_they_have_some() {
        let check = |body: &str, content_type: &str, want: usize| {
            assert_eq!(objects_at_most(body.as_bytes(), content_type), want, "{body} as {content_type}");
        };
        check("{\"a\": {}}", "application/json", 2);
        check("{\"a\": {}}", "application/apply-patch+yaml", 2);
        check("a: 12345", "application/apply-patch+yaml", 2);
    }

    #[test]
    fn no_user_alone_holds_all_that_bodies_may() {
        let unfinished = Arc::default();
        let large = UNFINISHED_USER_BYTES_MAX - REQUEST_BYTES;
        let full = |name: &str| {
            let mut held = Held::new(&unfinished, &user(name, &[])).unwrap();
            held.grow(large).unwrap();
            held
        };
        let mut all = vec![full("a")];
        assert_eq!(Held::new(&unfinished, &user("a", &[])).unwrap_err().code, 429);
        all.extend(["b", "c", "d"].map(full));
        assert_eq!(Held::new(&unfinished, &user("e", &[])).unwrap_err().code, 429);
        Held::new(&unfinished, &user("admin", &["system:masters"])).unwrap().grow(large).unwrap();
        all.remove(0);
        all.push(full("e"));
        drop(all);
        let sums = unfinished.0.lock();
        assert_eq!((sums.all, sums.by_user.len()), (0, 0));
    }
}
