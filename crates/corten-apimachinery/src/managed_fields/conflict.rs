//! Why an apply is refused.
//!
//! Upstream: managedfields/internal/conflict.go; the messages are part of the protocol, `kubectl apply` prints them.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{
    entries::Manager,
    fields_v1::{FieldSet, path_text},
};
use crate::{
    field::SHOWN_BYTES_MAX,
    status::{Cause, Details, Reason, Status},
};

/// The machine-readable reason of a cause.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// The fields that the configuration wants to change and other managers own. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflicts {
    by_manager: BTreeMap<Manager, FieldSet>,
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
    Conflicts(Conflicts),
}

impl Conflicts {
    /// `None` if there are none.
    pub(super) fn of(mut by_manager: BTreeMap<Manager, FieldSet>) -> Option<Self> {
        by_manager.retain(|_, set| !set.is_empty());
        (!by_manager.is_empty()).then_some(Self { by_manager })
    }

    /// The conflicts about other fields than `allowed`.
    pub(super) fn without(&self, allowed: &FieldSet) -> Option<Self> {
        let left = self.by_manager.iter().map(|(manager, set)| (manager.clone(), set.difference(allowed)));
        Self::of(left.collect())
    }

    /// How many there are, counting a field once for each of its owners.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_manager.values().map(FieldSet::len).sum()
    }

    /// Calls `visit` with the text of each manager and field, as `.spec.replicas`. Of very many conflicts the first.
    fn for_each(&self, visit: &mut impl FnMut(&str, String)) {
        let mut left_bytes = SHOWN_BYTES_MAX;
        for (manager, set) in &self.by_manager {
            let manager = manager.text();
            let walked = set.try_for_each(&mut |path| {
                if left_bytes == 0 {
                    return ControlFlow::Break(());
                }
                let field = path_text(path);
                left_bytes = left_bytes.saturating_sub(manager.len() + field.len());
                visit(&manager, field);
                ControlFlow::Continue(())
            });
            if walked.is_break() {
                return;
            }
        }
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
                let mut causes = Vec::new();
                conflicts.for_each(&mut |manager, field| {
                    let message = format!("conflict with {manager}");
                    causes.push(Cause { reason: FIELD_MANAGER_CONFLICT.into(), message, field });
                });
                let details = Details { causes, ..Details::default() };
                Status { details: Some(Box::new(details)), ..Status::new(Reason::Conflict, text) }
            }
        }
    }
}

fn message(conflicts: &Conflicts) -> String {
    let (count, mut shown) = (conflicts.count(), 0);
    let mut lines = Vec::new();
    let mut last = String::new();
    conflicts.for_each(&mut |manager, field| {
        shown += 1;
        if count == 1 {
            lines.push(format!("conflict with {manager}: {field}"));
            return;
        }
        if last != manager {
            lines.push(format!("conflicts with {manager}:"));
            manager.clone_into(&mut last);
        }
        lines.push(format!("- {field}"));
    });
    if shown < count {
        lines.push(format!("and {} more conflicts, which are not shown", count - shown));
    }
    let plural = if count == 1 { "" } else { "s" };
    format!("Apply failed with {count} conflict{plural}: {}", lines.join("\n"))
}
