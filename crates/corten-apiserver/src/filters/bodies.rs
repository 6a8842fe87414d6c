//! Bodies are read before a request has its place among those that run: who sends slowly, or never ends, holds up nobody.
//!
//! Instead, what bodies hold until they are complete is bounded: in all, and for each user. Those that turn out to be large
//! wait for their turn before their request has its place (`crate::large`). Upstream reads bodies within the place, but gives each flow of requests places of its own (priority and fairness).

use std::{collections::HashMap, sync::Arc};

use corten_apimachinery::{resource::UserInfo, status::Status, value::Str};
use parking_lot::Mutex;

use super::in_flight::{is_privileged, too_many};
use crate::{
    endpoints::read_stream,
    request::{Origin, Request, RequestBody},
};

/// What all bodies that are not complete may hold.
const UNFINISHED_BYTES_MAX: usize = 256 << 20;

/// What those of one user may hold, so that none can shut out the others alone.
const UNFINISHED_USER_BYTES_MAX: usize = UNFINISHED_BYTES_MAX / 4;

/// What a body counts before its first byte has come: about what its request and stream cost.
const REQUEST_BYTES: usize = 16 << 10;

/// The bodies that are being received.
#[derive(Debug, Default)]
pub struct Bodies {
    unfinished: Arc<Unfinished>,
}

impl Bodies {
    /// Reads the body of a write to its end. What it holds is counted until what this gives is dropped.
    ///
    /// Errors: `TooManyRequests` if bodies hold too much already; those of the body. Cancel-safe: what was read is lost with
    /// the request.
    pub(super) async fn receive(&self, request: &mut Request) -> Result<Option<Held>, Status> {
        if request.is_read() || request.is_long_running() || matches!(request.origin, Origin::InProcess) {
            return Ok(None);
        }
        match std::mem::take(&mut request.body) {
            RequestBody::Stream(stream) => {
                let mut held = Held::new(&self.unfinished, &request.user)?;
                let bytes = read_stream(stream, |size| held.grow(size)).await?;
                request.body = RequestBody::Bytes(bytes);
                Ok(Some(held))
            }
            other => {
                request.body = other;
                Ok(None)
            }
        }
    }
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
