//! The one thread that writes.
//!
//! It takes what waits in the queue, up to 256 writes, and makes it one transaction: callers share the cost of the sync.
//! When nothing waits it compacts in small chunks. A full disk fails values and lets deletions pass, on space that the
//! ballast gives up; after any other failure the store is opened again before the next write.

use std::sync::{Arc, atomic::Ordering};

use corten_base::{ErrorChain, SharedClock};
use corten_storage::{
    kv::{COMMIT_WRITES_MAX, Change, KvError, Outcome, Revision, Write},
    mvcc::ExpiryQueue,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

mod group;

mod compaction;

mod recovery;

use crate::{
    ballast::Ballast,
    config::Config,
    engine::Shared,
    error::{MediumError, failed},
    faults::Step,
    format::State,
    lock::StoreLock,
};

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Perform a batch.
    Commit { batch: Vec<Write>, reply: oneshot::Sender<Result<Vec<Outcome>, KvError>> },
    /// Delete what has expired; false if that failed.
    Expire { reply: oneshot::Sender<bool> },
    /// Forget history.
    Compact { revision: Revision, reply: oneshot::Sender<Result<(), KvError>> },
    /// Stop.
    Close,
}

/// What the writer holds of the store.
pub(crate) struct Disk {
    pub(crate) connection: Connection,
    pub(crate) state: State,
    pub(crate) expiry: ExpiryQueue,
    pub(crate) ballast: Ballast,
    /// Whether there was no space for the ballast.
    pub(crate) ballast_is_out: bool,
    pub(crate) lock: StoreLock,
}

/// The writer.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    config: Arc<Config>,
    clock: SharedClock,
    queue: mpsc::Receiver<Command>,
    /// A command that was taken out of the queue and did not fit into the group.
    carried: Option<Command>,
    /// `None` after a failure other than a full disk: open again before writing.
    connection: Option<Connection>,
    state: State,
    expiry: ExpiryQueue,
    ballast: Ballast,
    /// Whether the ballast was given up, or never fitted: values are taken only while there is other room.
    ballast_is_out: bool,
    /// Whether the last chunk failed: the next `compact` tries again.
    compaction_failed: bool,
    writes_since_chunk: usize,
    _lock: StoreLock,
}

/// Writes that are answered together: the batch of a caller, or a round of expiry.
#[derive(Debug)]
struct Request {
    writes: Vec<Write>,
    reply: Reply,
}

#[derive(Debug)]
enum Reply {
    Commit(oneshot::Sender<Result<Vec<Outcome>, KvError>>),
    /// What expires, to be queued again if it could not be deleted.
    Expire(Vec<(jiff::Timestamp, Revision, bytes::Bytes)>, oneshot::Sender<bool>),
}

impl Request {
    fn only_deletes(&self) -> bool {
        self.writes.iter().all(|write| write.change == Change::Delete)
    }
}

impl Writer {
    /// A writer of `disk` for the commands of `queue`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        config: Arc<Config>,
        clock: SharedClock,
        queue: mpsc::Receiver<Command>,
        disk: Disk,
    ) -> Self {
        let Disk { connection, state, expiry, ballast, ballast_is_out, lock } = disk;
        Self {
            shared,
            config,
            clock,
            queue,
            carried: None,
            connection: Some(connection),
            state,
            expiry,
            ballast,
            ballast_is_out,
            compaction_failed: false,
            writes_since_chunk: 0,
            _lock: lock,
        }
    }

    /// Works until it is told to close or everybody has gone.
    pub(crate) fn run(mut self) {
        while let Some(command) = self.next() {
            match command {
                Command::Close => break,
                Command::Compact { revision, reply } => {
                    // Who asked has gone: compacted it is all the same.
                    let _ = reply.send(self.compact(revision));
                }
                Command::Commit { .. } | Command::Expire { .. } => {
                    let group = self.gather(command);
                    self.commit(group);
                }
            }
        }
        self.close();
    }

    /// The next command. While there is garbage, waiting time goes into compaction, and every so many writes a chunk.
    fn next(&mut self) -> Option<Command> {
        loop {
            if self.carried.is_some() {
                return self.carried.take();
            }
            if !self.chunk_is_due() {
                return self.queue.blocking_recv();
            }
            if self.writes_since_chunk < compaction::WRITES_PER_CHUNK {
                match self.queue.try_recv() {
                    Ok(command) => return Some(command),
                    Err(mpsc::error::TryRecvError::Disconnected) => return None,
                    Err(mpsc::error::TryRecvError::Empty) => {}
                }
            }
            self.writes_since_chunk = 0;
            self.compact_chunk();
        }
    }

    /// Adds to `first` what waits, up to the size of a group.
    fn gather(&mut self, first: Command) -> Vec<Request> {
        let (mut group, mut writes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(command) = next {
            let request = match command {
                Command::Commit { batch, reply } if group.is_empty() || writes + batch.len() <= COMMIT_WRITES_MAX => {
                    Request { writes: batch, reply: Reply::Commit(reply) }
                }
                Command::Expire { reply } if writes < COMMIT_WRITES_MAX => {
                    self.expired(COMMIT_WRITES_MAX - writes, reply)
                }
                other => {
                    self.carried = Some(other);
                    break;
                }
            };
            writes += request.writes.len();
            group.push(request);
            next = self.queue.try_recv().ok();
        }
        group
    }

    /// The deletion of up to `limit` keys that have expired.
    fn expired(&mut self, limit: usize, reply: oneshot::Sender<bool>) -> Request {
        let due = self.expiry.take_due(self.clock.now(), limit);
        let writes = due.iter().map(|(_, revision, key)| Write {
            key: key.clone(),
            expected: corten_storage::kv::Expected::ModRevision(*revision),
            change: Change::Delete,
        });
        Request { writes: writes.collect(), reply: Reply::Expire(due, reply) }
    }

    /// Commits a group and answers it, whatever happens.
    fn commit(&mut self, group: Vec<Request>) {
        let mut group = self.admit(group);
        if group.is_empty() {
            return;
        }
        match self.try_commit(&mut group) {
            Ok(outcomes) => {
                self.answer(group, outcomes);
                // The group is done: there is nothing left to fail.
                let _ = self.config.faults.reached(Step::Answered);
            }
            Err(failure) => self.recover_from(failure, group),
        }
    }

    /// Answers what cannot be written now: everything while the store cannot be opened, values while the disk is full.
    fn admit(&mut self, group: Vec<Request>) -> Vec<Request> {
        if self.connection.is_none()
            && let Err(error) = self.reopen()
        {
            self.fail(group, &Arc::new(MediumError::Reopen(error)), false);
            return Vec::new();
        }
        if !self.ballast_is_out || group.iter().all(Request::only_deletes) {
            return group;
        }
        match self.has_room() {
            Ok(true) => {
                self.shared.is_full.store(false, Ordering::Relaxed);
                group
            }
            Ok(false) => self.refuse_values(group),
            Err(error) => {
                let error = std::io::Error::other(ErrorChain(&error).to_string());
                self.fail(group, &Arc::new(error.into()), false);
                Vec::new()
            }
        }
    }

    /// Fails the requests that write values; returns those that only delete.
    fn refuse_values(&mut self, group: Vec<Request>) -> Vec<Request> {
        let (deletes, values): (Vec<_>, Vec<_>) = group.into_iter().partition(Request::only_deletes);
        if !values.is_empty() {
            self.shared.is_full.store(true, Ordering::Relaxed);
        }
        // A disk that cannot be asked how full it is, is reported as wholly full.
        let free_bytes = self.ballast.free_bytes().unwrap_or(0) + self.reusable_bytes();
        let error = MediumError::DiskFull { free_bytes, needed_bytes: self.ballast.needed_bytes() };
        self.fail(values, &Arc::new(error), false);
        deletes
    }

    fn answer(&mut self, group: Vec<Request>, outcomes: Vec<Vec<Outcome>>) {
        assert_eq!(group.len(), outcomes.len(), "every request has its outcomes");
        // Before anybody hears of the writes, who might ask at once.
        self.shared.writes_fail.store(false, Ordering::Relaxed);
        for (request, outcomes) in group.into_iter().zip(outcomes) {
            // A caller that no longer waits knows that the outcome is unknown to it.
            match request.reply {
                Reply::Commit(reply) => {
                    let _ = reply.send(Ok(outcomes));
                }
                Reply::Expire(_, reply) => {
                    let _ = reply.send(true);
                }
            }
        }
    }

    fn fail(&mut self, group: Vec<Request>, error: &Arc<MediumError>, outcome_unknown: bool) {
        let is_full = error.is_disk_full() && !outcome_unknown;
        self.shared.writes_fail.store(!is_full, Ordering::Relaxed);
        for request in group {
            match request.reply {
                Reply::Commit(reply) => {
                    let source = Arc::clone(error) as Arc<_>;
                    drop(reply.send(Err(if is_full {
                        KvError::NoSpace { source }
                    } else {
                        KvError::Storage { operation: "commit", outcome_unknown, source }
                    })));
                }
                Reply::Expire(due, reply) => {
                    due.into_iter().for_each(|(at, revision, key)| self.expiry.push(at, revision, key));
                    self.shared.next_expiry.set(self.expiry.next());
                    let _ = reply.send(false);
                }
            }
        }
    }

    /// Ends: answers what still waits, closes the database, which empties its log, and gives the lock back.
    fn close(&mut self) {
        self.shared.hub.close();
        self.queue.close();
        while let Some(command) = self.carried.take().or_else(|| self.queue.try_recv().ok()) {
            refuse_closed(command);
        }
        self.shared.readers.discard();
        self.connection = None;
    }
}

fn refuse_closed(command: Command) {
    match command {
        Command::Commit { reply, .. } => drop(reply.send(Err(KvError::Closed))),
        Command::Compact { reply, .. } => drop(reply.send(Err(KvError::Closed))),
        Command::Expire { reply } => {
            let _ = reply.send(false);
        }
        Command::Close => {}
    }
}

/// However the thread ends, also by a panic, watchers and callers learn of it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.hub.close();
    }
}

/// A failure that leaves the writer as it was.
fn compact_failed(error: MediumError) -> KvError {
    failed("compact", Arc::new(error) as Arc<_>)
}
