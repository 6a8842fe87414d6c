//! Reads from the store: all objects as of one revision, page by page.

use std::sync::Arc;

use bytes::Bytes;
use corten_apimachinery::stored::Stored;

use super::{Cacher, snapshot::Snapshot};
use crate::{
    kv::{KvError, ListRequest, Revision},
    object::{CorruptObject, cache_key},
};

/// How many objects one page of the first list has at most; the engine bounds its bytes.
const INITIAL_PAGE: usize = 1_000;

/// So many bytes of stored objects are decoded between two yields: some milliseconds.
pub(super) const DECODED_AT_ONCE_BYTES: usize = 256 << 10;

/// Where `read_pages` has an object from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Known,
    Store,
}

impl Cacher {
    /// Reads all objects, those of `namespace` unless it is empty, as of one revision, the newest for `None`, page by page;
    /// returns the revision. Objects that `known` has in the same version are shared with it.
    pub(super) async fn read_pages(
        &self,
        mut at: Option<Revision>,
        namespace: &str,
        known: &Snapshot,
        mut take: impl FnMut(Box<str>, Result<(Arc<Stored>, Source), CorruptObject>) + Send,
    ) -> Result<Revision, KvError> {
        let mut start = Bytes::new();
        let prefix = match namespace {
            "" => Bytes::from(self.inner.keys.prefix().to_owned()),
            namespace => self.inner.keys.full(&cache_key(namespace, "")),
        };
        loop {
            let request = ListRequest { prefix: prefix.clone(), start, limit: INITIAL_PAGE, revision: at };
            let page = self.inner.engine.list(request).await?;
            let revision = *at.get_or_insert(page.revision);
            let mut decoded = 0;
            for kv in &page.kvs {
                if decoded >= DECODED_AT_ONCE_BYTES {
                    decoded = 0;
                    tokio::task::yield_now().await;
                }
                let key = self.key_of(&kv.key);
                match known.get(&key).filter(|object| object.revision == kv.mod_revision) {
                    Some(object) => take(key, Ok((Arc::clone(object), Source::Known))),
                    None => {
                        decoded += kv.value.len();
                        match self.decode(&kv.key, &kv.value, kv.mod_revision) {
                            Ok((key, object)) => take(key, Ok((object, Source::Store))),
                            Err(corrupt) => take(key, Err(corrupt)),
                        }
                    }
                }
            }
            let Some(last) = page.kvs.last().filter(|_| page.has_more) else { return Ok(revision) };
            // The smallest key after the last one of the page.
            start = [&last.key[..], b"\0"].concat().into();
        }
    }

    pub(super) fn decode(
        &self,
        full_key: &[u8],
        value: &Bytes,
        revision: Revision,
    ) -> Result<(Box<str>, Arc<Stored>), CorruptObject> {
        let key = self.inner.keys.relative(full_key).ok_or_else(|| CorruptObject {
            key: String::from_utf8_lossy(full_key).into_owned(),
            revision,
            why: "the key is not one of this resource".to_owned(),
        })?;
        let object = match self.inner.announced.take(key, value) {
            Some(pending) => pending.at(revision),
            None => self.inner.codec.decode(key, value, revision)?,
        };
        Ok((key.into(), object))
    }

    /// The cache key of a full key, or whatever stands there instead.
    pub(super) fn key_of(&self, full_key: &[u8]) -> Box<str> {
        match self.inner.keys.relative(full_key) {
            Some(key) => key.into(),
            None => String::from_utf8_lossy(full_key).into(),
        }
    }
}
