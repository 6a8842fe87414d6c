//! Turns of objects with very many owners: each owner that is not in the cache is asked for at the API server, so one such
//! object keeps a worker for as long as it has owners. A few of them are looked at at a time; the other workers are for
//! those with as many owners as anybody gives.

use std::{collections::BTreeSet, sync::Arc};

use corten_controller::WorkQueue;
use parking_lot::Mutex;

use super::{Place, Work};

/// From how many owners on an object needs a turn.
const OWNERS_MANY: usize = 64;
/// How many turns there are: a small part of the workers.
const TURNS: usize = 2;

/// Who has a turn, and who waits for one.
pub(super) struct Turns {
    queue: Arc<WorkQueue<Work>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Turns that are taken, or are kept for those who were queued for them.
    taken: usize,
    /// As many as there are objects at most; those that are gone by then are found to be gone.
    waiting: BTreeSet<Place>,
    /// Who was queued for a turn and has not come yet.
    called: BTreeSet<Place>,
}

/// A turn, until it is dropped. Then it is the next one's.
pub(super) struct Turn<'t>(Option<&'t Turns>);

impl Turns {
    /// Those who have waited are put into `queue`.
    pub(super) fn new(queue: Arc<WorkQueue<Work>>) -> Self {
        Self { queue, state: Mutex::default() }
    }

    /// A turn for the object at `place`, which has `owners`; `None` if it has to wait, and is queued when it need not.
    pub(super) fn take(&self, place: &Place, owners: usize) -> Option<Turn<'_>> {
        if owners < OWNERS_MANY {
            return Some(Turn(None));
        }
        let mut state = self.state.lock();
        if !state.called.remove(place) {
            if state.taken >= TURNS {
                state.waiting.insert(place.clone());
                return None;
            }
            state.taken += 1;
        }
        Some(Turn(Some(self)))
    }

    /// The object at `place` was looked at: if it was queued for a turn and needed none, that is the next one's.
    pub(super) fn looked_at(&self, place: &Place) {
        let was_called = self.state.lock().called.remove(place);
        if was_called {
            self.pass_on();
        }
    }

    fn pass_on(&self) {
        let mut state = self.state.lock();
        let Some(next) = state.waiting.pop_first() else {
            state.taken -= 1;
            return;
        };
        state.called.insert(next.clone());
        drop(state);
        self.queue.add(Work::Collect(next));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(turns) = self.0 {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use corten_controller::{Key, RateLimit};

    use super::*;

    /// Twenty objects with tens of thousands of owners each had all workers, and nobody's garbage was collected.
    #[test]
    fn objects_with_very_many_owners_leave_workers_to_others() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
        let turns = Turns::new(Arc::clone(&queue));
        let place = |name: &str| Place { resource: 0, key: Key::new("ns", name) };
        let many = |name: &str| turns.take(&place(name), 50_000);
        let (first, second) = (many("a"), many("b"));
        assert!(first.is_some() && second.is_some());
        assert!(many("c").is_none() && many("c").is_none() && many("d").is_none());
        assert!(turns.take(&place("e"), 3).is_some());
        assert!(queue.is_empty());
        drop(first);
        assert_eq!((queue.len(), queue.try_next()), (1, Some(Work::Collect(place("c")))));
        // The turn is kept for it.
        assert!(many("e").is_none());
        let third = many("c");
        assert!(third.is_some());
        drop(second);
        assert_eq!((queue.len(), queue.try_next()), (1, Some(Work::Collect(place("d")))));
        // It is gone by now.
        turns.looked_at(&place("d"));
        assert_eq!((queue.len(), queue.try_next()), (1, Some(Work::Collect(place("e")))));
        turns.looked_at(&place("e"));
        turns.looked_at(&place("c"));
        drop(third);
        let state = turns.state.lock();
        assert_eq!((state.taken, state.waiting.len(), state.called.len()), (0, 0, 0));
    }
}
