//! What all versions of a definition have in common.

use corten_apimachinery::{Value, value::semantically_equal};

use crate::internal_form;

/// What is the same in all versions: it is validated once, above them, and is absent in each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hoisted<'s> {
    versions: &'s [Value],
    /// Which of `FIELDS` all versions have alike.
    common: [bool; FIELDS.len()],
}

const VERSION: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion";

/// The fields that are hoisted.
const FIELDS: [&str; 4] = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"];

impl<'s> Hoisted<'s> {
    pub(super) fn of(spec: &'s Value) -> Self {
        let versions = spec.items_at(&["versions"]);
        let common = FIELDS.map(|field| {
            let Some((first, others)) = versions.split_first() else { return false };
            others.iter().all(|version| semantically_equal(version.get(field), first.get(field)))
        });
        Self { versions, common }
    }

    fn is_common(self, field: &str) -> bool {
        debug_assert!(FIELDS.contains(&field));
        FIELDS.iter().zip(self.common).any(|(other, is_common)| *other == field && is_common)
    }

    /// The field that all versions have alike.
    pub(super) fn common(self, field: &str) -> Option<&'s Value> {
        let first = self.versions.first()?;
        if self.is_common(field) { first.get(field).filter(|value| !value.is_null()) } else { None }
    }

    /// The field of one version, unless all have it alike.
    pub(super) fn own(self, version: &'s Value, field: &str) -> Option<&'s Value> {
        if self.is_common(field) { None } else { version.get(field).filter(|value| !value.is_null()) }
    }

    /// All versions, without what they have in common, on one line.
    pub(super) fn shown(self) -> String {
        let own = self.versions.iter().map(|version| {
            let mut own = version.clone();
            for field in FIELDS.iter().filter(|field| self.is_common(field)) {
                own.unset(&[field]);
            }
            internal_form::of_type(VERSION, &own)
        });
        format!("[{}]", own.collect::<Vec<_>>().join(","))
    }

    /// Whether a version has `status`, of its own or as all have.
    pub(super) fn has_status(version: &Value) -> bool {
        version.at(&["subresources", "status"]).is_some_and(|status| !status.is_null())
    }
}
