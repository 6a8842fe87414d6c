//! One change in the ring, with what watchers share of it: the object in other versions, and its frames.

use std::sync::Arc;

use bytes::Bytes;
use corten_apimachinery::{stored::Stored, value::Str};
use parking_lot::Mutex;

use super::memory::{Kind, RingMemory};
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
    made: Mutex<Made>,
}

/// What something is made of an event for: two watchers who want the same say the same here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// The group and version, as objects say them.
    pub api_version: Str,
    /// What else there is to tell apart, in numbers of the caller.
    pub form: u32,
}

/// What was made of an event already: nothing of most, so that it has no room in each.
#[derive(Debug, Default)]
struct Made {
    forms: Option<Box<Forms>>,
    /// Where the event is counted, while it is in a ring.
    counted: Option<Arc<RingMemory>>,
}

#[derive(Debug, Default)]
struct Forms {
    shown: Vec<(Purpose, Arc<Stored>)>,
    /// Each with the moment that it was made for.
    frames: Vec<(Purpose, (i64, Bytes))>,
    bytes: usize,
}

impl Made {
    fn forms(&mut self) -> &mut Forms {
        self.forms.get_or_insert_default()
    }

    fn bytes(&self) -> usize {
        self.forms.as_ref().map_or(0, |forms| forms.bytes)
    }

    fn grow(&mut self, bytes: usize) {
        self.forms().bytes += bytes;
        if let Some(memory) = &self.counted {
            memory.add(Kind::Made, bytes);
        }
    }

    fn shrink(&mut self, bytes: usize) {
        self.forms().bytes -= bytes;
        if let Some(memory) = &self.counted {
            memory.subtract(Kind::Made, bytes);
        }
    }
}

fn find<T>(made: &[(Purpose, T)], purpose: &Purpose) -> Option<usize> {
    made.iter().position(|(known, _)| known == purpose)
}

impl CacheEvent {
    pub(super) fn new(change: Change, revision: Revision, object: Arc<Stored>, previous: Option<Arc<Stored>>) -> Self {
        Self { change, revision, object, previous, made: Mutex::default() }
    }

    /// About how many bytes somebody who holds it alone keeps in memory: the object and the one before.
    pub(super) fn bytes(&self) -> usize {
        self.object.json.len() + self.previous_bytes() + size_of::<Self>()
    }

    /// How many bytes are kept in memory because it is in the ring: the object before is not among the live ones any more, and
    /// one that is deleted never was. The object itself is live, or else the one before of a later event.
    fn kept_bytes(&self) -> usize {
        let deleted = if self.change == Change::Delete { self.object.json.len() } else { 0 };
        self.previous_bytes() + deleted + size_of::<Self>()
    }

    fn previous_bytes(&self) -> usize {
        self.previous.as_ref().map_or(0, |previous| previous.json.len())
    }

    /// It is in a ring now, whose `memory` counts what it keeps, with all that will be made of it.
    pub(super) fn enter(&self, memory: &Arc<RingMemory>) {
        let mut made = self.made.lock();
        memory.add(Kind::Kept, self.kept_bytes());
        memory.add(Kind::Made, made.bytes());
        made.counted = Some(Arc::clone(memory));
    }

    /// It is in the ring no more. Who reads it still has it.
    pub(super) fn leave(&self) {
        let mut made = self.made.lock();
        if let Some(memory) = made.counted.take() {
            memory.subtract(Kind::Kept, self.kept_bytes());
            memory.subtract(Kind::Made, made.bytes());
        }
    }

    /// Forgets what was made of it. Who needs it again makes it again.
    pub(super) fn forget_made(&self) {
        let mut made = self.made.lock();
        if let (Some(forms), Some(memory)) = (made.forms.take(), &made.counted) {
            memory.subtract(Kind::Made, forms.bytes);
        }
    }

    /// The object as it is shown for `purpose`, made by `make` for the first watcher that needs it and shared by all others.
    pub fn shown<E>(&self, purpose: &Purpose, make: impl FnOnce() -> Result<Arc<Stored>, E>) -> Result<Arc<Stored>, E> {
        let mut made = self.made.lock();
        let known = &mut made.forms().shown;
        if let Some(at) = find(known, purpose) {
            return Ok(Arc::clone(&known[at].1));
        }
        let shown = make()?;
        known.push((purpose.clone(), Arc::clone(&shown)));
        made.grow(shown.json.len() + size_of::<Stored>());
        Ok(shown)
    }

    /// The frame for `purpose`, made by `make` for the first watcher that needs it and shared by all others.
    pub fn frame<E>(&self, purpose: &Purpose, make: impl FnOnce() -> Result<Bytes, E>) -> Result<Bytes, E> {
        self.frame_at(purpose, 0, make)
    }

    /// The same of a frame that says how long ago something was: one that was made for another `moment` gives way to a new one.
    pub fn frame_at<E>(
        &self,
        purpose: &Purpose,
        moment: i64,
        make: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let mut made = self.made.lock();
        let frames = &made.forms().frames;
        let known = find(frames, purpose);
        if let Some((made_for, frame)) = known.map(|at| &frames[at].1)
            && *made_for == moment
        {
            return Ok(frame.clone());
        }
        let frame = make()?;
        if let Some(at) = known {
            let (_, (_, old)) = made.forms().frames.swap_remove(at);
            made.shrink(old.len());
        }
        made.forms().frames.push((purpose.clone(), (moment, frame.clone())));
        made.grow(frame.len());
        Ok(frame)
    }
}
