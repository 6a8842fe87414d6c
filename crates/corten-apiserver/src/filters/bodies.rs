//! Bodies are read before a request has its place among those that run: who sends slowly, or never ends, holds up nobody.
//!
//! Instead, what bodies hold until they are complete is bounded: in all, and for each user. Bodies that may become many
//! objects run one after the other, since each object costs hundreds of times its bytes.
//! Upstream reads bodies within the place, but gives each flow of requests places of its own (priority and fairness).

use std::{collections::HashMap, sync::Arc};

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
    /// A permit for each object that the bodies with many of them may have.
    objects: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { unfinished: Arc::default(), objects: Arc::new(Semaphore::new(OBJECTS_MAX)) }
    }
}

/// A body is complete.
#[derive(Debug)]
pub(super) struct Received {
    /// What it holds until its request has a place.
    pub(super) held: Option<Held>,
    /// What it may become, until its request is answered.
    pub(super) objects: Option<OwnedSemaphorePermit>,
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
            if count > FEW_OBJECTS {
                let permits = u32::try_from(count.min(OBJECTS_MAX)).unwrap_or(u32::MAX);
                received.objects = Arc::clone(&self.objects).acquire_many_owned(permits).await.ok();
            }
        }
        Ok(received)
    }
}

/// How many objects may be in a body: in JSON each has its brace. Elsewhere a few bytes make one.
fn objects_at_most(bytes: &[u8], content_type: &str) -> usize {
    match content_type {
        "" => count(bytes),
        json if json.contains("json") => count(bytes),
        _ => bytes.len() / 4,
    }
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
    use super::*;

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        UserInfo {
            name: name.into(),
            groups: groups.iter().map(|group| (*group).into()).collect(),
            ..UserInfo::default()
        }
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
