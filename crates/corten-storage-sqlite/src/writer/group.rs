//! One group commit: decide, insert, commit, publish.

use bytes::Bytes;
use corten_storage::{
    kv::{COMMIT_WRITES_MAX, Event, KeyValue, Outcome, Revision},
    mvcc::{Live, Plan, Row, Verdict},
};
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{Command, Reply, Request, Writer};
use crate::{
    engine::{Shared, key_value},
    error::MediumError,
    faults::{Faults, Step},
    format,
};

/// Why a group was not committed, as far as is known.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: MediumError,
    /// Whether `COMMIT` had been reached: then the group may be in the log all the same.
    pub(super) at_commit: bool,
}

impl<E: Into<MediumError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), at_commit: false }
    }
}

/// A group that is durable: its rows, what watchers are told, what callers are told.
struct Stored {
    rows: Vec<Row>,
    events: Vec<Event>,
    outcomes: Vec<Vec<Outcome>>,
}

/// Takes one more request for a group that has room for so many writes.
type TakeLate<'a> = &'a mut dyn FnMut(usize) -> Option<Request>;

impl Writer {
    /// Makes a group durable and known; the callers are still to be answered. Callers that come while the group is being
    /// written are added to it.
    pub(super) fn try_commit(&mut self, group: &mut Vec<Request>) -> Result<Vec<Vec<Outcome>>, Failure> {
        let connection = self.connection.as_ref().expect("a group is admitted only to an open store");
        // Who comes late is not looked at for whether there is room.
        let takes_late = !self.ballast_is_out;
        let (queue, carried) = (&mut self.queue, &mut self.carried);
        let mut late = |room| if takes_late { take_late(queue, carried, room) } else { None };
        let stored = store(&self.shared, connection, &*self.config.faults, group, &mut late)?;
        if let (Some(first), Some(last)) = (stored.rows.first(), stored.rows.last()) {
            self.writes_since_chunk += stored.rows.len();
            for row in &stored.rows {
                self.expiry.written(&row.key, row.revision, row.expires_at);
            }
            let mut index = self.shared.index.write();
            assert_eq!(first.revision, index.revision() + 1, "revisions are dense");
            for row in &stored.rows {
                index.apply(&row.key, row.revision, row.created());
            }
            assert_eq!(last.revision, index.revision(), "the index is where the store is");
            // Under the lock: who reads a revision finds its watchers told, and who hears of it finds it readable.
            self.shared.hub.publish(stored.events);
        }
        self.shared.next_expiry.set(self.expiry.next());
        // Everything is done: there is nothing left to fail.
        let _ = self.config.faults.reached(Step::Published);
        Ok(stored.outcomes)
    }
}

fn take_late(queue: &mut mpsc::Receiver<Command>, carried: &mut Option<Command>, room: usize) -> Option<Request> {
    if carried.is_some() {
        return None;
    }
    match queue.try_recv().ok()? {
        Command::Commit { batch, reply } if batch.len() <= room => {
            Some(Request { writes: batch, reply: Reply::Commit(reply) })
        }
        other => {
            *carried = Some(other);
            None
        }
    }
}

fn store(
    shared: &Shared,
    connection: &Connection,
    faults: &dyn Faults,
    group: &mut Vec<Request>,
    late: TakeLate<'_>,
) -> Result<Stored, Failure> {
    // Nobody but this thread changes the index, so holding it makes nobody wait.
    let index = shared.index.read();
    let mut plan = Plan::new(&index);
    let mut verdicts: Vec<Vec<Verdict>> = group.iter().map(|request| decide(&mut plan, request)).collect();
    let mut writes = verdicts.iter().map(Vec::len).sum();
    let is_transaction = !plan.rows().is_empty();
    if is_transaction {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        faults.reached(Step::Begun)?;
        let mut insert = connection.prepare_cached(format::INSERT_ROW)?;
        let mut inserted = 0;
        loop {
            for row in &plan.rows()[inserted..] {
                format::insert(&mut insert, row)?;
                faults.reached(Step::Inserted)?;
            }
            inserted = plan.rows().len();
            // The callers of the last group come back about now: taking them along nearly doubles the groups of a few
            // callers at once, and the sync is most of what a commit costs.
            let Some(request) = late(COMMIT_WRITES_MAX.saturating_sub(writes)) else { break };
            verdicts.push(decide(&mut plan, &request));
            writes += request.writes.len();
            group.push(request);
        }
    }
    let rows = plan.into_rows();
    drop(index);
    // Read what callers and watchers will be told now, when a failure can still stop the group.
    let values = Values { shared, connection, rows: &rows };
    let told = group.iter().zip(&verdicts).map(|(request, verdicts)| values.outcomes(request, verdicts));
    let outcomes = told.collect::<Result<Vec<_>, _>>()?;
    let events = rows.iter().map(|row| values.event(row)).collect::<Result<Vec<_>, _>>()?;
    if is_transaction {
        let committed = faults
            .reached(Step::BeforeCommit)
            .map_err(MediumError::from)
            .and_then(|()| Ok(connection.prepare_cached("COMMIT")?.execute([])?))
            .and_then(|_| Ok(faults.reached(Step::AfterCommit)?));
        committed.map_err(|error| Failure { error, at_commit: true })?;
    }
    Ok(Stored { rows, events, outcomes })
}

fn decide(plan: &mut Plan<'_>, request: &Request) -> Vec<Verdict> {
    request.writes.iter().map(|write| plan.decide(write)).collect()
}

/// Finds values by revision: in the group, among the recent ones, in the table.
struct Values<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    rows: &'a [Row],
}

impl Values<'_> {
    fn value(&self, revision: Revision) -> Result<Bytes, MediumError> {
        let own = self.rows.first().and_then(|first| revision.checked_sub(first.revision));
        match own.map(|n| &self.rows[n as usize]) {
            Some(row) => Ok(row.value.clone().expect("a live row has a value")),
            None => self.shared.value(self.connection, revision),
        }
    }

    fn event(&self, row: &Row) -> Result<Event, MediumError> {
        let previous = row.previous.map(|previous| self.value(previous)).transpose()?;
        Ok(row.event(previous))
    }

    fn outcomes(&self, request: &Request, verdicts: &[Verdict]) -> Result<Vec<Outcome>, MediumError> {
        let outcome = |(write, verdict): (&corten_storage::kv::Write, &Verdict)| match *verdict {
            Verdict::Done(revision) => Ok(Outcome::Done { revision }),
            Verdict::Conflict { current, revision } => {
                let current = current.map(|live| self.key_value(&write.key, live)).transpose()?;
                Ok(Outcome::Conflict { current, revision })
            }
        };
        request.writes.iter().zip(verdicts).map(outcome).collect()
    }

    fn key_value(&self, key: &Bytes, live: Live) -> Result<KeyValue, MediumError> {
        Ok(key_value(key.clone(), live, self.value(live.mod_revision)?))
    }
}
