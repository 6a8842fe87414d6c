//! Predicates: which changes of an object are worth a reconcile.

use std::{fmt, sync::Arc};

use corten_apimachinery::stored::Stored;

/// One change, as an informer tells it.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// The object came into view.
    Added(&'a Stored),
    /// The object changed, from the first state to the second.
    Updated(&'a Stored, &'a Stored),
    /// The object went out of view.
    Deleted(&'a Stored),
}

impl<'a> Change<'a> {
    /// The newest state known.
    #[must_use]
    pub fn object(self) -> &'a Stored {
        match self {
            Self::Added(object) | Self::Updated(_, object) | Self::Deleted(object) => object,
        }
    }
}

type Test = dyn Fn(Change<'_>) -> bool + Send + Sync;

/// Decides about changes. Must be cheap: it runs on the reflector's task.
#[derive(Clone)]
pub struct Predicate(Arc<Test>);

impl Predicate {
    /// A predicate of its own.
    pub fn new(test: impl Fn(Change<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(test))
    }

    /// Every change.
    #[must_use]
    pub fn any() -> Self {
        Self::new(|_| true)
    }

    /// Objects that match, in their newest state or, on an update, in the one before.
    pub fn object(test: impl Fn(&Stored) -> bool + Send + Sync + 'static) -> Self {
        Self::new(move |change| match change {
            Change::Updated(old, new) => test(old) || test(new),
            Change::Added(object) | Change::Deleted(object) => test(object),
        })
    }

    /// Updates that really wrote something: an object listed again in the same version is none.
    #[must_use]
    pub fn resource_version_changed() -> Self {
        Self::new(|change| !matches!(change, Change::Updated(old, new) if old.revision == new.revision))
    }

    /// Updates that changed a label.
    #[must_use]
    pub fn labels_changed() -> Self {
        Self::new(|change| !matches!(change, Change::Updated(old, new) if old.facts.labels == new.facts.labels))
    }

    /// Updates that began the deletion.
    #[must_use]
    pub fn deletion_began() -> Self {
        Self::new(|change| match change {
            Change::Updated(old, new) => !old.facts.is_deleting && new.facts.is_deleting,
            Change::Added(object) => object.facts.is_deleting,
            Change::Deleted(_) => false,
        })
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(move |change| self.holds(change) && other.holds(change))
    }

    /// One or both hold.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(move |change| self.holds(change) || other.holds(change))
    }

    /// Whether it holds for `change`.
    #[must_use]
    pub fn holds(&self, change: Change<'_>) -> bool {
        (self.0)(change)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate(..)")
    }
}

#[cfg(test)]
mod tests {
    use corten_informer::testutil::object;

    use super::*;

    #[test]
    fn predicates_look_at_both_states() {
        let (plain, web) = (object("ns/a", 1).build(), object("ns/a", 2).label("app", "web").build());
        let gone = object("ns/a", 3).deleting().build();
        let relisted = Change::Updated(&plain, &plain);
        assert!(!Predicate::resource_version_changed().holds(relisted));
        assert!(Predicate::resource_version_changed().holds(Change::Updated(&plain, &web)));
        assert!(Predicate::labels_changed().holds(Change::Updated(&plain, &web)));
        assert!(!Predicate::labels_changed().holds(Change::Updated(&plain, &gone)));
        let is_web = Predicate::object(|object| object.facts.labels.get("app") == Some("web"));
        assert!(is_web.holds(Change::Updated(&web, &plain)));
        assert!(!is_web.holds(Change::Added(&plain)));
        assert!(Predicate::deletion_began().holds(Change::Updated(&web, &gone)));
        assert!(!Predicate::deletion_began().holds(Change::Updated(&gone, &gone)));
        assert!(is_web.clone().and(Predicate::deletion_began()).holds(Change::Updated(&web, &gone)));
        assert!(is_web.or(Predicate::any()).holds(relisted));
    }
}
