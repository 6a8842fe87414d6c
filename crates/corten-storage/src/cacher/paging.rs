//! Snapshots kept for lists that are read page by page.

use std::{collections::VecDeque, time::Duration};

use super::snapshot::Snapshot;
use crate::kv::Revision;

/// How many snapshots are kept; the one unused for longest goes. They share their objects, so one costs what has changed.
const KEPT_MAX: usize = 64;

/// How long a snapshot is kept without use: as long as upstream's etcd keeps history.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Snapshots by revision, in order of last use.
#[derive(Debug, Default)]
pub(super) struct KeptSnapshots(VecDeque<(Duration, Snapshot)>);

impl KeptSnapshots {
    pub(super) fn keep(&mut self, now: Duration, snapshot: &Snapshot) {
        self.0.retain(|(used, kept)| now.saturating_sub(*used) < KEPT_FOR && kept.revision() != snapshot.revision());
        if self.0.len() == KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, snapshot.clone()));
    }

    pub(super) fn get(&mut self, now: Duration, revision: Revision) -> Option<Snapshot> {
        let at = self.0.iter().position(|(_, kept)| kept.is_at(revision))?;
        let (_, snapshot) = self.0.remove(at)?;
        self.0.push_back((now, snapshot.clone()));
        Some(snapshot)
    }
}
