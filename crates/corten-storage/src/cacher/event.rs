//! One change in the ring, with what watchers share of it: the object in other versions, and its frames.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

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
///
/// Its lock is held for as long as it takes to look a form up or to count it, never while one is made.
#[derive(Debug, Default)]
struct Made {
    /// The form that was added last.
    forms: Option<Arc<Form>>,
    /// Where the event is counted, while it is in a ring.
    counted: Option<Arc<RingMemory>>,
}

/// What was made for one purpose. Who makes it holds its lock: who wants the same waits for it, and nobody else does.
#[derive(Debug)]
struct Form {
    purpose: Purpose,
    shown: Mutex<Option<Arc<Stored>>>,
    /// With the moment that it was made for.
    frame: Mutex<Option<(i64, Bytes)>>,
    /// How many bytes were made. It changes under the lock of `Made` alone.
    bytes: AtomicUsize,
    /// The one that was added before it: there are as many as there are versions and encodings of one resource.
    next: Option<Arc<Form>>,
}

impl Made {
    fn forms(&self) -> impl Iterator<Item = &Arc<Form>> {
        std::iter::successors(self.forms.as_ref(), |form| form.next.as_ref())
    }

    fn bytes(&self) -> usize {
        self.forms().map(|form| form.bytes.load(Ordering::Relaxed)).sum()
    }
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
        self.uncount(&mut self.made.lock());
    }

    /// The same, unless somebody just looks for a form of it: who cannot wait for that calls `leave` later.
    pub(super) fn leave_at_once(&self) {
        if let Some(mut made) = self.made.try_lock() {
            self.uncount(&mut made);
        }
    }

    fn uncount(&self, made: &mut Made) {
        if let Some(memory) = made.counted.take() {
            memory.subtract(Kind::Kept, self.kept_bytes());
            memory.subtract(Kind::Made, made.bytes());
        }
    }

    /// Forgets what was made of it. Who needs it again makes it again.
    pub(super) fn forget_made(&self) {
        let mut made = self.made.lock();
        let bytes = made.bytes();
        made.forms = None;
        if let Some(memory) = &made.counted {
            memory.subtract(Kind::Made, bytes);
        }
    }

    /// What there is for `purpose`, of which nothing may have been made yet.
    fn form(&self, purpose: &Purpose) -> Arc<Form> {
        let mut made = self.made.lock();
        if let Some(known) = made.forms().find(|form| form.purpose == *purpose) {
            return Arc::clone(known);
        }
        let form = Arc::new(Form {
            purpose: purpose.clone(),
            shown: Mutex::default(),
            frame: Mutex::default(),
            bytes: AtomicUsize::new(0),
            next: made.forms.take(),
        });
        made.forms = Some(Arc::clone(&form));
        form
    }

    /// Counts what was made in `form`, `more` bytes in the place of `less`, unless it was forgotten meanwhile: then it goes with
    /// those who have it.
    fn count(&self, form: &Arc<Form>, less: usize, more: usize) {
        let made = self.made.lock();
        if !made.forms().any(|known| Arc::ptr_eq(known, form)) {
            return;
        }
        form.bytes.store(form.bytes.load(Ordering::Relaxed) - less + more, Ordering::Relaxed);
        if let Some(memory) = &made.counted {
            memory.add(Kind::Made, more);
            memory.subtract(Kind::Made, less);
        }
    }

    /// The object as it is shown for `purpose`, made by `make` for the first watcher that needs it and shared by all others.
    pub fn shown<E>(&self, purpose: &Purpose, make: impl FnOnce() -> Result<Arc<Stored>, E>) -> Result<Arc<Stored>, E> {
        let form = self.form(purpose);
        let mut known = form.shown.lock();
        if let Some(shown) = &*known {
            return Ok(Arc::clone(shown));
        }
        let shown = make()?;
        *known = Some(Arc::clone(&shown));
        self.count(&form, 0, shown.json.len() + size_of::<Stored>());
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
        let form = self.form(purpose);
        let mut known = form.frame.lock();
        if let Some((made_for, frame)) = &*known
            && *made_for == moment
        {
            return Ok(frame.clone());
        }
        let frame = make()?;
        let old = known.replace((moment, frame.clone()));
        self.count(&form, old.map_or(0, |(_, old)| old.len()), frame.len());
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use corten_apimachinery::stored::Facts;

    use super::*;

    fn event() -> Arc<CacheEvent> {
        let object = Stored {
            revision: 1,
            namespace: "".into(),
            name: "a".into(),
            uid: "u".into(),
            json: "{}".into(),
            facts: Facts::default(),
        };
        Arc::new(CacheEvent::new(Change::Put, 1, Arc::new(object), None))
    }

    fn purpose(form: u32) -> Purpose {
        Purpose { api_version: "v1".into(), form }
    }

    /// A frame was made under the lock that the writer of the cache takes when an event leaves the ring: one slow conversion
    /// stopped every reader of the resource.
    #[test]
    fn nobody_else_waits_while_a_form_is_made() {
        let (event, memory) = (event(), Arc::<RingMemory>::default());
        event.enter(&memory);
        let slow = || {
            assert!(event.made.try_lock().is_some(), "what is made holds nobody up who wants something else");
            let shown = event.shown(&purpose(1), || Ok::<_, ()>(Arc::clone(&event.object)));
            assert!(Arc::ptr_eq(&shown?, &event.object));
            event.frame(&purpose(2), || Ok("other".into()))?;
            event.leave();
            Ok::<_, ()>(Bytes::from_static(b"slow"))
        };
        assert_eq!(event.frame(&purpose(1), slow), Ok("slow".into()));
        assert_eq!((memory.bytes(Kind::Made), memory.bytes(Kind::Kept)), (0, 0), "it left meanwhile");
    }

    #[test]
    fn who_wants_what_another_makes_waits_for_it() {
        let (event, memory) = (event(), Arc::<RingMemory>::default());
        event.enter(&memory);
        let (begun, goes_on) = (Barrier::new(2), Barrier::new(2));
        let made = std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                event.frame(&purpose(1), || {
                    begun.wait();
                    goes_on.wait();
                    Ok::<_, ()>("first".into())
                })
            });
            begun.wait();
            let second = scope.spawn(|| event.frame(&purpose(1), || Ok::<_, ()>("second".into())));
            // The event has the form, the first, and then the second, who has nothing left to do but to wait for its lock.
            let holders = || event.made.lock().forms().map(Arc::strong_count).sum::<usize>();
            while holders() < 3 {
                std::thread::yield_now();
            }
            goes_on.wait();
            [first, second].map(|made| made.join().unwrap().unwrap())
        });
        assert_eq!(made, ["first", "first"]);
        assert_eq!(memory.bytes(Kind::Made), "first".len());
    }

    #[test]
    fn what_is_forgotten_while_it_is_made_counts_no_more() {
        let (event, memory) = (event(), Arc::<RingMemory>::default());
        event.enter(&memory);
        let forgotten = || {
            event.forget_made();
            Ok::<_, ()>("12345".into())
        };
        assert_eq!(event.frame(&purpose(1), forgotten), Ok("12345".into()));
        assert_eq!(memory.bytes(Kind::Made), 0);
        assert_eq!(event.frame_at(&purpose(1), 1, || Ok::<_, ()>("123".into())), Ok("123".into()));
        assert_eq!(event.frame_at(&purpose(1), 2, || Ok::<_, ()>("1234".into())), Ok("1234".into()));
        assert_eq!(memory.bytes(Kind::Made), 4);
        event.leave();
        assert_eq!(memory.bytes(Kind::Made), 0);
    }

    /// There may be sixteen thousand of them for each resource.
    #[test]
    fn an_event_has_no_room_for_what_nobody_made() {
        assert_eq!(size_of::<CacheEvent>(), 7 * size_of::<usize>());
    }
}
