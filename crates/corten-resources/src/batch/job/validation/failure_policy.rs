//! Rules of what to do when pods fail.

use std::collections::BTreeSet;

use corten_api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
};

use super::invalid_unshown;
use crate::{
    report::Report,
    view::{each_of, list, or_default, text},
};

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// The rules of `spec.podFailurePolicy` at `path`; `raw` is the spec as a tree.
pub(super) fn check(spec: &JobSpec, raw: &Value, path: &Path, errors: &mut ErrorList) {
    let policy = or_default(&spec.pod_failure_policy);
    let rules_at = path.child("rules");
    if policy.rules.len() > RULES_MAX {
        errors.push_with(|| Error::too_many(&rules_at, policy.rules.len(), RULES_MAX));
    }
    let pod = or_default(&spec.template.spec);
    let containers: BTreeSet<&str> =
        pod.containers.iter().chain(list(&pod.init_containers)).map(|container| container.name.as_str()).collect();
    let raw_rules = raw.items_at(&["podFailurePolicy", "rules"]);
    for (index, (at, rule)) in each_of(&policy.rules, &rules_at).enumerate() {
        action(spec, rule, &at.child("action"), errors);
        let conditions = list(&rule.on_pod_conditions);
        if let Some(codes) = &rule.on_exit_codes {
            let raw = raw_rules.get(index).and_then(|rule| rule.at(&["onExitCodes", "values"]));
            exit_codes(codes, raw, &containers, &at.child("onExitCodes"), errors);
        }
        if !conditions.is_empty() {
            pod_conditions(conditions, &at.child("onPodConditions"), errors);
        }
        let detail = match (rule.on_exit_codes.is_some(), conditions.is_empty()) {
            (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push_with(|| invalid_unshown(&at, detail));
    }
}

/// One of a few words, which the error names in the form of a list.
fn word(path: &Path, value: &str, supported: &[&str], errors: &mut ErrorList) {
    if value.is_empty() {
        let quoted: Vec<String> = supported.iter().map(|word| format!("\"{word}\"")).collect();
        errors.required(path, &format!("valid values: [{}]", quoted.join(" ")));
    } else {
        errors.one_of(path, value, supported);
    }
}

fn action(spec: &JobSpec, rule: &PodFailurePolicyRule, path: &Path, errors: &mut ErrorList) {
    if rule.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
        errors.invalid(path, rule.action.as_str(), "requires the backoffLimitPerIndex to be set");
    }
    word(path, &rule.action, ACTIONS, errors);
}

fn pod_conditions(patterns: &[PodFailurePolicyOnPodConditionsPattern], path: &Path, errors: &mut ErrorList) {
    if patterns.len() > CONDITIONS_MAX {
        errors.push_with(|| Error::too_many(path, patterns.len(), CONDITIONS_MAX));
    }
    for (at, pattern) in each_of(patterns, path) {
        errors.invalids(&at.child("type"), &pattern.type_, is_qualified_name(&pattern.type_));
        word(&at.child("status"), text(&pattern.status), STATUSES, errors);
    }
}

fn exit_codes(
    codes: &PodFailurePolicyOnExitCodesRequirement,
    raw: Option<&Value>,
    containers: &BTreeSet<&str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    word(&path.child("operator"), &codes.operator, OPERATORS, errors);
    if let Some(name) = codes.container_name.as_deref().filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&path.child("containerName"), name, detail);
    }
    let values_at = path.child("values");
    let shown = || raw.cloned().unwrap_or_default();
    if codes.values.is_empty() {
        errors.invalid(&values_at, shown(), "at least one value is required");
    } else if codes.values.len() > EXIT_CODES_MAX {
        errors.push_with(|| Error::too_many(&values_at, codes.values.len(), EXIT_CODES_MAX));
    }
    let mut seen = BTreeSet::new();
    for (at, &code) in each_of(&codes.values, &values_at) {
        if codes.operator == "In" && code == 0 {
            errors.invalid(&at, code, "must not be 0 for the In operator");
        }
        if !seen.insert(code) {
            errors.push_with(|| Error::duplicate(&at, code));
        }
    }
    if !codes.values.is_sorted() {
        errors.invalid(&values_at, shown(), "must be ordered");
    }
}
