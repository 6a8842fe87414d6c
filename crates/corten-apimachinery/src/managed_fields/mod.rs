//! Who owns which field: server-side apply, and the record that every other write keeps in `metadata.managedFields`.
//!
//! `fields_v1` holds sets of field paths, `typed` relates trees and sets by the type table, `manager` decides what a write
//! does to the entries (`created` at once, for new objects; `schema_change` before all others), `conflict` says whose fields an apply may not take. Pure; the time comes with the write.
//! Upstream: sigs.k8s.io/structured-merge-diff (v6.3), k8s.io/apimachinery/pkg/util/managedfields (v1.35).

mod conflict;
mod created;
mod entries;
mod fields_v1;
mod manager;
mod schema_change;
mod text;
mod typed;

pub use conflict::{ApplyError, Conflicts};
pub use fields_v1::{BadFields, FieldSet, PathElement, path_text};
pub use manager::{Applied, Views, Write, apply, keep_times, update_managed_fields};
pub use typed::{Comparison, Typed};

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod schema_change_tests;
#[cfg(test)]
mod tests;
