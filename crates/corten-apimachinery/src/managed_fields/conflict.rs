//! Why an apply is refused.
//!
//! Upstream: managedfields/internal/conflict.go; the messages are part of the protocol, `kubectl apply` prints them.

use std::collections::BTreeMap;

use super::{
    entries::Manager,
    fields_v1::{FieldSet, PathElement, path_text},
};
use crate::status::{Cause, Details, Reason, Status};

/// The machine-readable reason of a cause.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// A field that the configuration wants to change and another manager owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    pub(super) manager: Manager,
    pub(super) path: Vec<PathElement>,
}

/// Why an apply is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// The configuration is not one for this object.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration or the stored record cannot be understood.
    #[error("{0}")]
    Unusable(String),
    /// Others own fields that the configuration wants to change.
    #[error("{}", message(.0))]
    Conflicts(Vec<Conflict>),
}

impl Conflict {
    /// All paths of the sets, by manager.
    pub(super) fn of_sets(sets: &BTreeMap<Manager, FieldSet>) -> Vec<Self> {
        let mut conflicts = Vec::new();
        for (manager, set) in sets {
            set.for_each(&mut |path| {
                let path = path.iter().map(|element| (*element).clone()).collect();
                conflicts.push(Self { manager: manager.clone(), path });
            });
        }
        conflicts
    }

    /// The field, as `.spec.replicas`.
    #[must_use]
    pub fn field(&self) -> String {
        path_text(&self.path.iter().collect::<Vec<_>>())
    }
}

impl ApplyError {
    /// The failure that the client gets.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let text = self.to_string();
        match self {
            Self::BadRequest(_) => Status::bad_request(text),
            Self::Unusable(_) => Status::new(Reason::Unknown, text),
            Self::Conflicts(conflicts) => {
                let causes = conflicts.iter().map(|conflict| Cause {
                    reason: FIELD_MANAGER_CONFLICT.into(),
                    message: format!("conflict with {}", conflict.manager.text()),
                    field: conflict.field(),
                });
                let details = Details { causes: causes.collect(), ..Details::default() };
                Status { details: Some(Box::new(details)), ..Status::new(Reason::Conflict, text) }
            }
        }
    }
}

fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager.text(), only.field());
    }
    let mut lines = Vec::new();
    let mut last = None;
    for conflict in conflicts {
        if last != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", conflict.manager.text()));
            last = Some(&conflict.manager);
        }
        lines.push(format!("- {}", conflict.field()));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
