//! Decides a group of writes against the index, without changing it: pure, so that both engines decide alike.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::index::{KeyIndex, Live};
use crate::kv::{Change, Event, Expected, Revision, Write};

/// What one successful write stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value; `None` for a deletion.
    pub value: Option<Bytes>,
    /// The write's revision.
    pub revision: Revision,
    /// The key's create revision; of the deleted incarnation, for a deletion.
    pub create_revision: Revision,
    /// When the key goes by itself.
    pub expires_at: Option<Timestamp>,
    /// The row that this one replaces.
    pub previous: Option<Revision>,
}

impl Row {
    /// The create revision as the index wants it: `None` for a deletion.
    #[must_use]
    pub fn created(&self) -> Option<Revision> {
        self.value.as_ref().map(|_| self.create_revision)
    }

    /// The row as watchers see it.
    #[must_use]
    pub fn event(&self, prev_value: Option<Bytes>) -> Event {
        Event {
            key: self.key.clone(),
            value: self.value.clone(),
            prev_value,
            create_revision: self.create_revision,
            revision: self.revision,
        }
    }
}

/// What becomes of one write if the group gets durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It happens at this revision.
    Done(Revision),
    /// It does not: the key is in this state at `revision`, which may lie inside the group.
    Conflict {
        /// The key's state.
        current: Option<Live>,
        /// The store's revision at that point of the group.
        revision: Revision,
    },
}

/// The decision about a group of writes.
#[derive(Debug)]
pub struct Plan<'a> {
    index: &'a KeyIndex,
    revision: Revision,
    /// The state of the keys that the group itself has touched.
    touched: BTreeMap<Bytes, Option<Live>>,
    rows: Vec<Row>,
}

impl<'a> Plan<'a> {
    /// An empty group on top of what `index` holds.
    #[must_use]
    pub fn new(index: &'a KeyIndex) -> Self {
        Self { index, revision: index.revision(), touched: BTreeMap::new(), rows: Vec::new() }
    }

    /// Adds a write and decides it, seeing the writes added before.
    pub fn decide(&mut self, write: &Write) -> Verdict {
        let Write { key, expected, change } = write;
        let current = match self.touched.get(key) {
            Some(state) => *state,
            None => self.index.current(key),
        };
        let holds = match (*expected, current) {
            // A deletion of nothing changes nothing, so it cannot get a revision.
            (Expected::Absent, None) => matches!(change, Change::Put { .. }),
            (Expected::ModRevision(revision), Some(live)) => live.mod_revision == revision,
            (Expected::Absent, Some(_)) | (Expected::ModRevision(_), None) => false,
        };
        if !holds {
            return Verdict::Conflict { current, revision: self.revision };
        }
        self.revision += 1;
        let revision = self.revision;
        let create_revision = current.map_or(revision, |live| live.create_revision);
        let (value, expires_at) = match change {
            Change::Put { value, expires_at } => (Some(value.clone()), *expires_at),
            Change::Delete => (None, None),
        };
        let state = value.as_ref().map(|_| Live { mod_revision: revision, create_revision });
        self.touched.insert(key.clone(), state);
        let previous = current.map(|live| live.mod_revision);
        self.rows.push(Row { key: key.clone(), value, revision, create_revision, expires_at, previous });
        Verdict::Done(revision)
    }

    /// The rows so far.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows to store, in the order of revisions.
    #[must_use]
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &'static str, expected: Expected, value: Option<&'static str>) -> Write {
        let change = match value {
            Some(value) => Change::Put { value: value.into(), expires_at: None },
            None => Change::Delete,
        };
        Write { key: key.into(), expected, change }
    }

    #[test]
    fn writes_of_a_group_see_each_other() {
        let mut index = KeyIndex::new(0);
        index.apply(b"a", 4, Some(2));
        let mut plan = Plan::new(&index);
        let live = |m, c| Some(Live { mod_revision: m, create_revision: c });
        let conflict = |current, revision| Verdict::Conflict { current, revision };
        use Expected::{Absent, ModRevision};
        for (step, want) in [
            (write("a", Absent, Some("x")), conflict(live(4, 2), 4)),
            (write("a", ModRevision(4), Some("x")), Verdict::Done(5)),
            (write("a", ModRevision(4), Some("y")), conflict(live(5, 2), 5)),
            (write("a", ModRevision(5), None), Verdict::Done(6)),
            (write("a", ModRevision(5), None), conflict(None, 6)),
            (write("a", Absent, None), conflict(None, 6)),
            (write("a", Absent, Some("z")), Verdict::Done(7)),
            (write("b", Absent, Some("z")), Verdict::Done(8)),
        ] {
            assert_eq!(plan.decide(&step), want, "{step:?}");
        }
        let rows: Vec<_> = plan.into_rows().iter().map(|r| (r.revision, r.create_revision, r.previous)).collect();
        assert_eq!(rows, [(5, 2, Some(4)), (6, 2, Some(5)), (7, 7, None), (8, 8, None)]);
    }
}
