//! Writes of this process that are under way, so that the cache need not decode what a writer has just encoded.
//!
//! Invariant: an announcement is only a shortcut. Bytes that nobody announced, or other ones, are decoded.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::value::Str;
use parking_lot::Mutex;

use crate::object::Pending;

/// The announced writes by cache key; of two writers of one object the later counts.
#[derive(Debug, Default)]
pub(super) struct Announced(Mutex<HashMap<Str, Arc<Pending>>>);

impl Announced {
    /// Takes the announcement of `value` under `key`, if there is one.
    pub(super) fn take(&self, key: &str, value: &Bytes) -> Option<Arc<Pending>> {
        let mut writes = self.0.lock();
        // The engine hands on the writer's own buffer or a copy of it: the former is known without a look at the bytes.
        let same = |pending: &Pending| pending.value().as_ptr() == value.as_ptr() || pending.value() == value;
        if writes.get(key).is_some_and(|pending| same(pending)) { writes.remove(key) } else { None }
    }

    /// Forgets all of them: their events will not come.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// A write that is under way. Dropping it takes the announcement back, unless the write was done.
#[derive(Debug)]
pub struct Announcement<'a> {
    announced: &'a Announced,
    key: Str,
    pending: Arc<Pending>,
    done: bool,
}

impl<'a> Announcement<'a> {
    pub(super) fn new(announced: &'a Announced, key: &str, pending: &Arc<Pending>) -> Self {
        announced.0.lock().insert(key.into(), Arc::clone(pending));
        Self { announced, key: key.into(), pending: Arc::clone(pending), done: false }
    }

    /// The write is durable: its event comes, or has come.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut writes = self.announced.0.lock();
        if writes.get(&self.key).is_some_and(|pending| Arc::ptr_eq(pending, &self.pending)) {
            writes.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::{codec::json::encode_spliceable, stored::Facts, value::Value};

    use super::*;

    fn pending(name: &str) -> Arc<Pending> {
        let object = Value::object_of([("metadata", Value::object_of([("name", Value::from(name))]))]);
        Pending::new(encode_spliceable(&object, None), "".into(), name.into(), "".into(), Facts::default())
    }

    #[test]
    fn an_announcement_is_taken_once_and_only_for_its_bytes() {
        let announced = Announced::default();
        let web = pending("web");
        Announcement::new(&announced, "web", &web).done();
        assert!(announced.take("web", &Bytes::from_static(b"{}")).is_none());
        assert!(announced.take("db", web.value()).is_none());
        let copy = Bytes::copy_from_slice(web.value());
        assert!(Arc::ptr_eq(&announced.take("web", &copy).unwrap(), &web));
        assert!(announced.take("web", web.value()).is_none());
    }

    #[test]
    fn a_write_that_was_not_done_takes_only_its_own_announcement_back() {
        let announced = Announced::default();
        let (first, second) = (pending("web"), pending("web"));
        let lost = Announcement::new(&announced, "web", &first);
        let won = Announcement::new(&announced, "web", &second);
        drop(lost);
        won.done();
        assert!(announced.take("web", second.value()).is_some());
        drop(Announcement::new(&announced, "web", &first));
        assert!(announced.take("web", first.value()).is_none());
    }

    #[test]
    fn writer_and_cache_share_the_served_object() {
        let web = pending("web");
        let served = web.at(7);
        assert!(Arc::ptr_eq(&served, &web.at(7)));
        assert_eq!(&served.json[..], br#"{"metadata":{"name":"web","resourceVersion":"7"}}"#);
        assert_eq!(web.at(8).revision, 8);
    }
}
