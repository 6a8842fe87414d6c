//! The names by which other fields mean the requests of a claim.

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::{
    report::Report,
    resource::rules::{
        lists::{each_unique, itself, text},
        names,
    },
};

/// How many requests a claim has, and how many of them a field can name.
pub(crate) const REQUESTS_MAX: usize = 32;

/// The requests of a claim, each with its alternatives.
#[derive(Debug)]
pub(crate) struct Requests<'c>(BTreeMap<&'c str, BTreeSet<&'c str>>);

impl<'c> Requests<'c> {
    /// The requests of `devices`.
    pub(crate) fn of(devices: &'c Value) -> Self {
        let requests = devices.items_at(&["requests"]).iter().map(|request| {
            let alternatives = request.items_at(&["firstAvailable"]).iter();
            (text(request, "name"), alternatives.map(|alternative| text(alternative, "name")).collect())
        });
        Self(requests.collect())
    }

    /// Whether `name` is a request, or a request and one of its alternatives.
    fn has(&self, name: &str) -> bool {
        match name.split_once('/') {
            None => self.0.contains_key(name),
            Some((request, other)) => self.0.get(request).is_some_and(|alternatives| alternatives.contains(other)),
        }
    }

    /// `name` has to be one of them.
    pub(crate) fn reference(&self, name: &str, path: &Path, errors: &mut ErrorList) {
        let detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by \
                      '/'";
        let parts = name.split('/').take(3).count();
        if parts > 2 {
            errors.invalid(path, name, detail);
            return;
        }
        name.split('/').for_each(|part| names::label(part, path, errors));
        if !self.has(name) {
            errors.invalid(path, name, detail);
        }
    }

    /// The field `requests` of `object` names some of them.
    pub(crate) fn references(&self, object: &Value, path: &Path, errors: &mut ErrorList) {
        let check = |name: &Value, at: &Path, errors: &mut ErrorList| self.reference(itself(name), at, errors);
        each_unique(object.items_at(&["requests"]), REQUESTS_MAX, &path.child("requests"), errors, check, itself);
    }
}
