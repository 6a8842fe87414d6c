//! What writers and watchers of objects recorded: what they asked, what they were told, and when.

use std::collections::BTreeMap;

/// A resource and the name of an object of it.
pub(crate) type Key = (&'static str, String);

/// One state of an object: its version, and the mark that the write has left which made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: u64,
    pub(crate) mark: String,
}

/// All objects of a resource, by name.
pub(crate) type Objects = BTreeMap<String, Seen>;

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// To make an object that there is not.
    Create { mark: String },
    /// To replace an object of this version.
    Update { of: u64, mark: String },
    /// To change an object, whatever its version.
    Patch { mark: String },
    /// To delete an object of this version.
    Delete { of: u64 },
    /// To be told the newest state.
    Read,
}

impl Action {
    /// The mark that it leaves.
    pub(crate) fn mark(&self) -> Option<&str> {
        match self {
            Self::Create { mark } | Self::Update { mark, .. } | Self::Patch { mark } => Some(mark),
            Self::Delete { .. } | Self::Read => None,
        }
    }
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was written, or is so; `None` for an object that is gone, or was not there to be read.
    Done(Option<Seen>),
    /// Nothing has happened.
    Refused,
    /// No answer came: it may have happened.
    Unknown,
}

/// One request. Time is a counter that is read before it is sent and after its answer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
    pub(crate) key: Key,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
}

/// What happened to an object, as a watch says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One thing that a watcher was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// All objects at a version: it begins, or begins again.
    Listed { version: u64, objects: Objects },
    /// A change of one object.
    Changed { change: Change, name: String, seen: Seen },
    /// Everything up to a version was said.
    Marked { version: u64 },
}

/// What one watcher was told, over all the watches by which it went on from the last version it knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watcher {
    pub(crate) resource: &'static str,
    pub(crate) heard: Vec<Heard>,
}

/// Everything that was recorded, and what there was in the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) last: BTreeMap<&'static str, (u64, Objects)>,
}
