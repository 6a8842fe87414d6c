//! What happens to an object, given what became of its owners. Pure.
//!
//! Upstream: attemptToDeleteItem in pkg/controller/garbagecollector/garbagecollector.go (v1.35).

use corten_apimachinery::value::Str;

/// What became of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// It is there and stays, or goes without caring for its dependents.
    Solid,
    /// It waits for its dependents to go first.
    Waiting,
    /// There is no such object.
    Absent,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its owners, by UID.
    pub owners: Vec<(Str, OwnerState)>,
    /// Whether it has dependents of its own.
    pub has_dependents: bool,
    /// Whether its own dependents are to be orphaned.
    pub wants_orphans: bool,
    /// Whether its own dependents are to go first.
    pub wants_foreground: bool,
}

/// How a deletion treats dependents: `propagationPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They go later.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Policy {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: an owner wants it, or it never had one.
    Keep,
    /// An owner wants it, others no longer count: take these UIDs out of its references.
    RemoveOwners(Vec<Str>),
    /// Delete it.
    Delete(Policy),
}

/// Decides.
#[must_use]
pub fn action(observed: &Observed) -> Action {
    let in_state = |state| observed.owners.iter().filter(move |(_, other)| *other == state);
    if observed.owners.is_empty() {
        return Action::Keep;
    }
    if in_state(OwnerState::Solid).next().is_some() {
        let others = in_state(OwnerState::Absent).chain(in_state(OwnerState::Waiting));
        let uids: Vec<Str> = others.map(|(uid, _)| uid.clone()).collect();
        return if uids.is_empty() { Action::Keep } else { Action::RemoveOwners(uids) };
    }
    if in_state(OwnerState::Waiting).next().is_some() && observed.has_dependents {
        // The owner asked for its dependents to go first, which means all levels.
        return Action::Delete(Policy::Foreground);
    }
    Action::Delete(if observed.wants_orphans {
        Policy::Orphan
    } else if observed.wants_foreground {
        Policy::Foreground
    } else {
        Policy::Background
    })
}
