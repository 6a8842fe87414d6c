//! Addresses and networks of fields that are older than the one form in which they are written.
//!
//! Such fields take what programs read in different ways (`010.0.0.1`, `::ffff:10.0.0.1`, `10.0.0.1/8`) unless the gate
//! `StrictIPCIDRValidation` is on; what a stored object has may stay.
//! Upstream: `IsValidIPForLegacyField`, `IsValidCIDRForLegacyField` in pkg/apis/core/validation/validation.go (v1.35).

use corten_apimachinery::{
    Features,
    field::{ErrorList, Path},
    validation::{validate_cidr_form, validate_ip_form},
};

/// How the addresses and networks of an older field are looked at.
#[derive(Debug, Clone)]
pub(crate) struct OlderAddresses<'o> {
    is_strict: bool,
    /// Those that are not looked at: the stored object has them.
    known: Vec<&'o str>,
}

impl<'o> OlderAddresses<'o> {
    /// As the gate says, for an object in which nothing is known.
    pub(crate) fn new(features: &Features) -> Self {
        Self { is_strict: features.is_enabled("StrictIPCIDRValidation"), known: Vec::new() }
    }

    /// In whatever form they are.
    pub(crate) fn in_any_form() -> Self {
        Self { is_strict: false, known: Vec::new() }
    }

    /// The same, for a field that has `known` in the stored object.
    pub(crate) fn knowing(&self, known: impl Iterator<Item = &'o str>) -> Self {
        Self { known: known.collect(), ..*self }
    }

    /// What is wrong with an address.
    pub(crate) fn ip(&self, path: &Path, text: &str) -> ErrorList {
        if self.known.contains(&text) { ErrorList::new() } else { validate_ip_form(path, text, self.is_strict) }
    }

    /// What is wrong with a network.
    pub(crate) fn cidr(&self, path: &Path, text: &str) -> ErrorList {
        if self.known.contains(&text) { ErrorList::new() } else { validate_cidr_form(path, text, self.is_strict) }
    }
}

#[cfg(test)]
mod tests;
