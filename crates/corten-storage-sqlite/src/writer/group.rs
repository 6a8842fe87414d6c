//! One group commit: decide, insert, commit, publish.

use bytes::Bytes;
use corten_storage::{
    kv::{Event, KeyValue, Outcome, Revision},
    mvcc::{Live, Plan, Row, Verdict},
};
use rusqlite::Connection;

use super::{Request, Writer};
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

impl Writer {
    /// Makes a group durable and known; the callers are still to be answered.
    pub(super) fn try_commit(&mut self, group: &[Request]) -> Result<Vec<Vec<Outcome>>, Failure> {
        let connection = self.connection.as_ref().expect("a group is admitted only to an open store");
        let stored = store(&self.shared, connection, &*self.config.faults, group)?;
        if let (Some(first), Some(last)) = (stored.rows.first(), stored.rows.last()) {
            self.writes_since_chunk += stored.rows.len();
            for row in &stored.rows {
                if let Some(at) = row.expires_at {
                    self.expiry.push(at, row.revision, row.key.clone());
                }
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

fn store(shared: &Shared, connection: &Connection, faults: &dyn Faults, group: &[Request]) -> Result<Stored, Failure> {
    let (verdicts, rows) = {
        let index = shared.index.read();
        let mut plan = Plan::new(&index);
        let verdicts: Vec<Vec<Verdict>> =
            group.iter().map(|request| request.writes.iter().map(|write| plan.decide(write)).collect()).collect();
        (verdicts, plan.into_rows())
    };
    let values = Values { shared, connection, rows: &rows };
    let outcomes = |values: &Values<'_>| -> Result<Vec<Vec<Outcome>>, MediumError> {
        let requests = group.iter().zip(&verdicts);
        requests.map(|(request, verdicts)| values.outcomes(request, verdicts)).collect()
    };
    if rows.is_empty() {
        let outcomes = outcomes(&values)?;
        return Ok(Stored { rows, events: Vec::new(), outcomes });
    }
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    faults.reached(Step::Begun)?;
    {
        let mut insert = connection.prepare_cached(format::INSERT_ROW)?;
        for row in &rows {
            format::insert(&mut insert, row)?;
            faults.reached(Step::Inserted)?;
        }
    }
    // Read what callers and watchers will be told now, when a failure can still stop the group.
    let outcomes = outcomes(&values)?;
    let events = rows.iter().map(|row| values.event(row)).collect::<Result<Vec<_>, _>>()?;
    let committed = faults
        .reached(Step::BeforeCommit)
        .map_err(MediumError::from)
        .and_then(|()| Ok(connection.prepare_cached("COMMIT")?.execute([])?));
    let committed = committed.and_then(|_| Ok(faults.reached(Step::AfterCommit)?));
    committed.map_err(|error| Failure { error, at_commit: true })?;
    Ok(Stored { rows, events, outcomes })
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
