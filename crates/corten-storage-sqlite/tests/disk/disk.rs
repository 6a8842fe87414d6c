//! A disk under test: what was done to the files of one directory, in order, and which of it is to fail.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use parking_lot::Mutex;

/// What SQLite asks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done. A sync that fails loses what it should have made durable, as Linux does: it marks the pages clean.
    Error,
    /// Half of it is written.
    Torn,
    /// There is no space; half of it is written.
    Full,
}

/// One change of a file, or what a test noted in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Write {
        file: String,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        length: u64,
    },
    Sync {
        file: String,
    },
    /// A sync that failed.
    Lost {
        file: String,
    },
    Delete {
        file: String,
        durable: bool,
    },
    /// The caller knows that everything up to this revision is durable.
    Acknowledged(u64),
    /// The caller knows that this revision is compacted.
    Compacted(u64),
}

/// Decides about the n-th call of a kind on a file of this name.
pub(crate) type Plan = Box<dyn FnMut(Kind, &str) -> Option<Fault> + Send>;

/// The files of one directory.
#[derive(Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    operations: Vec<Operation>,
    plan: Option<Plan>,
    calls: BTreeMap<Kind, u64>,
}

impl Disk {
    /// What happened so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.state.lock().operations.clone()
    }

    /// How many calls of a kind there were.
    pub(crate) fn calls(&self, kind: Kind) -> u64 {
        self.state.lock().calls.get(&kind).copied().unwrap_or(0)
    }

    pub(crate) fn note(&self, operation: Operation) {
        self.state.lock().operations.push(operation);
    }

    /// From now on `plan` says what fails.
    pub(crate) fn fail(&self, plan: Plan) {
        self.state.lock().plan = Some(plan);
    }

    /// From now on nothing fails.
    pub(crate) fn heal(&self) {
        self.state.lock().plan = None;
    }

    pub(super) fn decide(&self, kind: Kind, file: &str) -> Option<Fault> {
        let mut state = self.state.lock();
        *state.calls.entry(kind).or_default() += 1;
        state.plan.as_mut()?(kind, file)
    }
}

/// The directories that are watched, by the path that they were registered with.
static DISKS: Mutex<BTreeMap<String, Arc<Disk>>> = Mutex::new(BTreeMap::new());

/// Watches the files in `directory` as long as the process runs; other files are left alone.
pub(crate) fn watch(directory: &Path) -> Arc<Disk> {
    super::vfs::install();
    let disk = Arc::new(Disk::default());
    let directory = directory.canonicalize().unwrap().to_str().unwrap().to_owned();
    DISKS.lock().insert(directory, Arc::clone(&disk));
    disk
}

/// The disk that a file is on, with the name of the file on it.
pub(super) fn find(path: &str) -> Option<(Arc<Disk>, String)> {
    let (directory, name) = path.rsplit_once('/')?;
    DISKS.lock().get(directory).map(|disk| (Arc::clone(disk), name.to_owned()))
}
