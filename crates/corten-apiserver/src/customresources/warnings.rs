//! Advice about custom resources.
//!
//! Upstream: `generateWarningsFromObj` in k8s.io/apiextensions-apiserver/pkg/registry/customresource/strategy.go (v1.35).

use std::collections::BTreeSet;

use corten_apimachinery::{Value, field::quote, meta::ObjectMeta as _, validation::is_qualified_name};

/// Finalizers that need no domain.
const STANDARD: [&str; 2] = ["foregroundDeletion", "orphan"];

/// What there is to say of the finalizers that `object` has and `old` had not.
pub(super) fn of_finalizers(object: &Value, old: Option<&Value>) -> Vec<String> {
    let known: BTreeSet<&str> = old.into_iter().flat_map(|old| old.finalizers()).collect();
    let added: BTreeSet<&str> = object.finalizers().filter(|finalizer| !known.contains(finalizer)).collect();
    let mut warnings = Vec::new();
    for finalizer in added {
        let mut said = is_qualified_name(finalizer);
        if !finalizer.contains('/') && !STANDARD.contains(&finalizer) {
            said.push(
                "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other \
                 finalizer writers"
                    .to_owned(),
            );
        }
        warnings.extend(said.into_iter().map(|why| format!("metadata.finalizers: {}: {why}", quote(finalizer))));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(finalizers: &[&str]) -> Value {
        let mut object = Value::object();
        object.set(&["metadata", "finalizers"], Value::array(finalizers.iter().map(|&name| Value::from(name))));
        object
    }

    #[test]
    fn new_finalizers_without_a_domain_are_advised_against() {
        let check = |old: Option<&[&str]>, new: &[&str], want: &[&str]| {
            assert_eq!(of_finalizers(&with(new), old.map(with).as_ref()), want, "{old:?} {new:?}");
        };
        let advice = "metadata.finalizers: \"x\": prefer a domain-qualified finalizer name including a path (/) to avoid \
                      accidental conflicts with other finalizer writers";
        check(None, &["example.com/x", "orphan", "foregroundDeletion"], &[]);
        check(None, &["x"], &[advice]);
        check(Some(&["x"]), &["x", "example.com/x"], &[]);
        check(Some(&["example.com/x"]), &["example.com/x", "x", "x"], &[advice]);
        assert_eq!(of_finalizers(&with(&["a b"]), None).len(), 2, "no name at all, and without a domain");
    }
}
