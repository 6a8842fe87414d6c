//! The key index: every key with its kept versions, in key order, in memory.
//!
//! An engine rebuilds it from its rows at start by calling `apply` in the order of revisions, and calls `apply` for each
//! write once that is durable. It also knows which rows no longer matter, so that compaction never searches for them.
//! Invariant: `revision` is the revision of the last row applied (or the compacted one, if that row was removed).

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU64,
    ops::Bound,
};

use smallvec::SmallVec;

use crate::kv::{KvError, Revision};

/// One kept version of a key, 16 bytes: there is one per object and one per update until compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    modified: Revision,
    /// `None` marks a deletion. Revisions start at 1, so that 0 is free to be the niche.
    created: Option<NonZeroU64>,
}

/// A key that exists, as of some revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// When the value was written.
    pub mod_revision: Revision,
    /// When the key was created.
    pub create_revision: Revision,
}

/// A key of a page, with its state.
pub type LiveKey = (Box<[u8]>, Live);

impl Version {
    fn live(self) -> Option<Live> {
        self.created.map(|created| Live { mod_revision: self.modified, create_revision: created.get() })
    }
}

/// A row that may go once the store is compacted at `since` or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Garbage {
    since: Revision,
    row: Revision,
}

/// Every key with its kept versions.
#[derive(Debug, Default)]
pub struct KeyIndex {
    keys: BTreeMap<Box<[u8]>, SmallVec<[Version; 1]>>,
    /// Ordered by `since`, because rows are superseded in the order of revisions.
    garbage: VecDeque<Garbage>,
    revision: Revision,
    compacted: Revision,
}

impl KeyIndex {
    /// An empty index of a store that has been compacted at `compacted` (0 if never).
    #[must_use]
    pub fn new(compacted: Revision) -> Self {
        Self { compacted, revision: compacted, ..Self::default() }
    }

    /// The revision of the last write.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The revision below which history is forgotten.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// The revision to read at: `requested`, or the current one.
    ///
    /// Errors: `Compacted`, `FutureRevision`.
    pub fn readable(&self, requested: Option<Revision>) -> Result<Revision, KvError> {
        match requested {
            None => Ok(self.revision),
            Some(requested) if requested < self.compacted => {
                Err(KvError::Compacted { requested, compacted: self.compacted })
            }
            Some(requested) if requested > self.revision => {
                Err(KvError::FutureRevision { requested, current: self.revision })
            }
            Some(requested) => Ok(requested),
        }
    }

    /// The key as it is now.
    #[must_use]
    pub fn current(&self, key: &[u8]) -> Option<Live> {
        self.keys.get(key)?.last()?.live()
    }

    /// The key as it was at `revision`, which must be readable.
    #[must_use]
    pub fn at(&self, key: &[u8], revision: Revision) -> Option<Live> {
        version_at(self.keys.get(key)?, revision)
    }

    /// The keys under `prefix` from `start` on, at `revision`: at most `limit` (0 for all), and whether others follow.
    #[must_use]
    pub fn page(&self, prefix: &[u8], start: &[u8], limit: usize, revision: Revision) -> (Vec<LiveKey>, bool) {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let mut live = self
            .range(prefix, start)
            .filter_map(|(key, versions)| version_at(versions, revision).map(|live| (key, live)));
        // The rest is not walked through: of a large store, each page would cost as much as all of them.
        let page = live.by_ref().take(limit).map(|(key, live)| (key.clone(), live)).collect();
        (page, live.next().is_some())
    }

    /// How many keys exist under `prefix` now.
    #[must_use]
    pub fn count(&self, prefix: &[u8]) -> u64 {
        let live = |versions: &SmallVec<[Version; 1]>| versions.last().is_some_and(|v| v.created.is_some());
        self.range(prefix, &[]).filter(|(_, versions)| live(versions)).count() as u64
    }

    fn range(&self, prefix: &[u8], start: &[u8]) -> impl Iterator<Item = (&Box<[u8]>, &SmallVec<[Version; 1]>)> {
        let from = prefix.max(start);
        self.keys
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Takes in the row of a write: a put with the key's create revision, or a deletion (`None`).
    ///
    /// Panics if revisions do not rise: the caller has verified its rows.
    pub fn apply(&mut self, key: &[u8], revision: Revision, created: Option<Revision>) {
        let last = self.garbage.back().map_or(0, |garbage| garbage.since);
        assert!(revision > last, "row {revision} comes after a row was superseded at {last}");
        let version = Version { modified: revision, created: created.and_then(NonZeroU64::new) };
        match self.keys.get_mut(key) {
            Some(versions) => {
                let previous = versions.last().expect("a key in the index has a version");
                assert!(revision > previous.modified, "row {revision} comes after row {}", previous.modified);
                // A deletion is garbage from its own revision on: that was recorded when it came.
                if previous.created.is_some() {
                    self.garbage.push_back(Garbage { since: revision, row: previous.modified });
                }
                versions.push(version);
            }
            None => {
                self.keys.insert(key.into(), SmallVec::from_buf([version]));
            }
        }
        if version.created.is_none() {
            self.garbage.push_back(Garbage { since: revision, row: revision });
        }
        self.revision = self.revision.max(revision);
    }

    /// Forgets history before `revision`: reads and watches below it are refused from now on.
    ///
    /// Errors: `FutureRevision`. A revision that is compacted already changes nothing.
    pub fn compact(&mut self, revision: Revision) -> Result<(), KvError> {
        if revision > self.revision {
            return Err(KvError::FutureRevision { requested: revision, current: self.revision });
        }
        self.compacted = self.compacted.max(revision);
        Ok(())
    }

    /// Up to `limit` rows that compaction at `revision` makes superfluous, oldest first.
    #[must_use]
    pub fn garbage(&self, revision: Revision, limit: usize) -> Vec<Revision> {
        self.garbage.iter().take(limit).take_while(|garbage| garbage.since <= revision).map(|g| g.row).collect()
    }

    /// Whether compaction has rows to remove.
    #[must_use]
    pub fn has_garbage(&self) -> bool {
        self.garbage.front().is_some_and(|garbage| garbage.since <= self.compacted)
    }

    /// Forgets rows that the engine has removed: the first of `garbage`, in that order, each with its key.
    pub fn removed<'a>(&mut self, rows: impl IntoIterator<Item = (&'a [u8], Revision)>) {
        for (key, row) in rows {
            let garbage = self.garbage.pop_front().expect("removed rows were garbage");
            assert_eq!(garbage.row, row, "rows are removed in the order of the garbage list");
            let versions = self.keys.get_mut(key).expect("a removed row was indexed under its key");
            versions.retain(|version| version.modified != row);
            if versions.is_empty() {
                self.keys.remove(key);
            } else {
                versions.shrink_to_fit();
            }
        }
    }
}

fn version_at(versions: &[Version], revision: Revision) -> Option<Live> {
    versions.iter().rev().find(|version| version.modified <= revision)?.live()
}

#[cfg(test)]
mod tests;
