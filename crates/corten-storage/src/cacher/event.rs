//! One change in the ring, with the frames that watchers share.

use std::sync::Arc;

use bytes::Bytes;
use corten_apimachinery::stored::Stored;
use parking_lot::Mutex;

use crate::kv::Revision;

/// What happened to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was created or changed.
    Put,
    /// It was deleted.
    Delete,
}

/// One change of one object.
#[derive(Debug)]
pub struct CacheEvent {
    /// What happened.
    pub change: Change,
    /// When.
    pub revision: Revision,
    /// The object after the change; for a delete its last state, with the revision of the delete.
    pub object: Arc<Stored>,
    /// The object before the change; `None` for a create.
    pub previous: Option<Arc<Stored>>,
    /// What was framed for the wire already, by the caller's key for type, version and encoding.
    frames: Mutex<Vec<(u32, Bytes)>>,
}

impl CacheEvent {
    pub(super) fn new(change: Change, revision: Revision, object: Arc<Stored>, previous: Option<Arc<Stored>>) -> Self {
        Self { change, revision, object, previous, frames: Mutex::default() }
    }

    /// About how many bytes it keeps in memory: the object and a frame of it. The object before is that of an older event.
    pub(super) fn bytes(&self) -> usize {
        2 * self.object.json.len() + size_of::<Self>()
    }

    /// The frame for `key`, made by `make` for the first watcher that needs it and shared by all others.
    pub fn frame(&self, key: u32, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut frames = self.frames.lock();
        if let Some((_, frame)) = frames.iter().find(|(known, _)| *known == key) {
            return frame.clone();
        }
        let frame = make();
        frames.push((key, frame.clone()));
        frame
    }
}
