//! Which pods and claims a quota counts.

use corten_api::core::v1::ResourceQuotaSpec;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use crate::{
    core::pod_spec::validation::is_standard_in_quota,
    internal_form,
    report::Report,
    view::{Seen, list, texts},
};

const KNOWN: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// No pod is in both.
const CONFLICTING: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
const OF_PODS: &[&str] = &["cpu", "limits.cpu", "limits.memory", "memory", "pods", "requests.cpu", "requests.memory"];
const UNSUPPORTED: &str = "unsupported scope";
const NOT_OF_RESOURCE: &str = "unsupported scope applied to resource";
const ONLY_EXISTS: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
     ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
     ResourceQuotaScopeCrossNamespacePodAffinity";

/// Whether a scope can tell which of a resource it counts.
fn covers(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            OF_PODS.contains(&resource)
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

/// How many of a quota's resources each known scope does not cover: counted once, because many scopes may be said.
struct NotCovered(Vec<(&'static str, usize)>);

impl NotCovered {
    fn of(spec: &ResourceQuotaSpec) -> Self {
        let hard = || spec.hard.iter().flat_map(|hard| hard.keys());
        let count = |scope: &str| hard().filter(|name| is_standard_in_quota(name) && !covers(scope, name)).count();
        Self(KNOWN.iter().map(|scope| (*scope, count(scope))).collect())
    }

    /// One error for each resource that `scope` does not cover.
    fn report(&self, scope: &str, shown: impl Fn() -> Error, errors: &mut ErrorList) {
        let count = self.0.iter().find(|(known, _)| *known == scope).map_or(0, |(_, count)| *count);
        for _ in 0..count {
            if errors.is_full() {
                break;
            }
            errors.push_with(&shown);
        }
    }
}

fn conflicts(seen: &Seen, path: &Path, spec: &ResourceQuotaSpec, errors: &mut ErrorList) {
    for pair in CONFLICTING {
        if pair.iter().all(|scope| seen.contains(scope)) {
            errors.push_with(|| Error::invalid(path, shown_scopes(spec), "conflicting scopes"));
        }
    }
}

fn shown_scopes(spec: &ResourceQuotaSpec) -> Value {
    spec.scopes.as_deref().map_or(Value::Null, texts)
}

/// Every rule that scopes and scope selector break. `path` is that of the spec.
pub(super) fn validate(spec: &ResourceQuotaSpec, path: &Path, errors: &mut ErrorList) {
    let not_covered = NotCovered::of(spec);
    let at = path.child("scopes");
    let mut seen = Seen::default();
    for scope in list(&spec.scopes) {
        if !KNOWN.contains(&scope.as_str()) {
            errors.push_with(|| Error::invalid(&at, shown_scopes(spec), UNSUPPORTED));
        }
        not_covered.report(scope, || Error::invalid(&at, shown_scopes(spec), NOT_OF_RESOURCE), errors);
        seen.is_new(scope);
    }
    conflicts(&seen, &at, spec, errors);
    if spec.scope_selector.is_some() {
        selector(spec, &not_covered, &path.child("scopeSelector").child("matchExpressions"), errors);
    }
}

fn selector(spec: &ResourceQuotaSpec, not_covered: &NotCovered, path: &Path, errors: &mut ErrorList) {
    let expressions =
        spec.scope_selector.as_ref().map(|selector| list(&selector.match_expressions)).unwrap_or_default();
    let mut seen = Seen::default();
    for expression in expressions {
        let scope = expression.scope_name.as_str();
        if !KNOWN.contains(&scope) {
            errors.invalid(&path.child("scopeName"), scope, UNSUPPORTED);
        }
        not_covered.report(scope, || with_selector(spec, path, NOT_OF_RESOURCE), errors);
        let (operator, values) = (expression.operator.as_str(), list(&expression.values));
        let only_exists = !matches!(scope, "PriorityClass" | "VolumeAttributesClass") && KNOWN.contains(&scope);
        if only_exists && operator != "Exists" {
            errors.invalid(&path.child("operator"), operator, ONLY_EXISTS);
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.required(&path.child("values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push_with(|| {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                Error::invalid(&path.child("values"), texts(values), detail)
            }),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.invalid(&path.child("operator"), operator, "not a valid selector operator"),
        }
        seen.is_new(scope);
    }
    conflicts(&seen, path, spec, errors);
}

/// An error that shows the whole selector.
fn with_selector(spec: &ResourceQuotaSpec, path: &Path, detail: &str) -> Error {
    let shown = spec.scope_selector.as_ref().map(|selector| internal_form::core_view("ScopeSelector", selector));
    Error::invalid(path, Value::Null, detail).showing(shown.unwrap_or_default())
}
