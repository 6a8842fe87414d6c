//! Rules of affinity, tolerations, spreading, and selectors of labels and nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{IntErrorKind, ParseIntError},
};

use corten_api::{
    core::v1::{
        Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Toleration,
        TopologySpreadConstraint, WeightedPodAffinityTerm,
    },
    meta::v1::LabelSelector,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path, quote},
    validation::{is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name},
};

use super::{NOT_POSITIVE, Options};
use crate::{
    report::{Report, with_view},
    view::{Seen, each, each_of, list, text},
};

const SCHEDULING_REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const SCHEDULING_PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(affinity: Option<&Affinity>, path: &Path, errors: &mut ErrorList) {
    let Some(affinity) = affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
            node_selector(required, &path.child(SCHEDULING_REQUIRED), errors);
        }
        let preferred = &node.preferred_during_scheduling_ignored_during_execution;
        for (at, term) in each(preferred, &path.child(SCHEDULING_PREFERRED)) {
            weight(term.weight, &at, errors);
            // A preference for an impossible label value does no harm.
            node_term(&term.preference, false, &at.child("preference"), errors);
        }
    }
    if let Some(pods) = &affinity.pod_affinity {
        pod_terms(
            &pods.required_during_scheduling_ignored_during_execution,
            &pods.preferred_during_scheduling_ignored_during_execution,
            &path.child("podAffinity"),
            errors,
        );
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        pod_terms(
            &pods.required_during_scheduling_ignored_during_execution,
            &pods.preferred_during_scheduling_ignored_during_execution,
            &path.child("podAntiAffinity"),
            errors,
        );
    }
}

fn weight(weight: i32, path: &Path, errors: &mut ErrorList) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn pod_terms(
    required: &Option<Vec<PodAffinityTerm>>,
    preferred: &Option<Vec<WeightedPodAffinityTerm>>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (at, term) in each(required, &path.child(SCHEDULING_REQUIRED)) {
        pod_term(term, &at, errors);
    }
    for (at, term) in each(preferred, &path.child(SCHEDULING_PREFERRED)) {
        weight(term.weight, &at, errors);
        pod_term(&term.pod_affinity_term, &at.child("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &PodAffinityTerm, path: &Path, errors: &mut ErrorList) {
    label_selector(term.label_selector.as_ref(), &path.child("labelSelector"), errors);
    label_selector(term.namespace_selector.as_ref(), &path.child("namespaceSelector"), errors);
    for name in list(&term.namespaces) {
        errors.invalids(&path.child("namespace"), name, is_dns1123_label(name));
    }
    let (matching, mismatching) = (list(&term.match_label_keys), list(&term.mismatch_label_keys));
    label_keys(matching, mismatching, term.label_selector.as_ref(), path, errors);
    if term.topology_key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    errors.invalids(&path.child("topologyKey"), &term.topology_key, is_qualified_name(&term.topology_key));
}

/// Keys of labels whose values are the pod's own: those that others have to have as well, and those that they must not have.
fn label_keys(
    matching: &[String],
    mismatching: &[String],
    selector: Option<&LabelSelector>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (field, keys) in [("matchLabelKeys", matching), ("mismatchLabelKeys", mismatching)] {
        let path = path.child(field);
        if !keys.is_empty() && selector.is_none() {
            errors.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (at, key) in each_of(keys, &path) {
            errors.invalids(&at, key, is_qualified_name(key));
        }
    }
    if let Some(selector) = selector {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, key) in matching.iter().enumerate() {
            places.insert(key, index);
        }
        // The selector has got an expression for each of these keys already, so a second one is the user's.
        let mut seen = Seen::default();
        for key in selector.match_labels.iter().flat_map(|labels| labels.keys()) {
            seen.is_new(key);
        }
        for expression in list(&selector.match_expressions) {
            let at = places.get(expression.key.as_str());
            if let Some(&index) = at.filter(|_| seen.contains(&expression.key)) {
                let detail = "exists in both matchLabelKeys and labelSelector";
                errors.invalid(&path.index(index), expression.key.as_str(), detail);
            }
            seen.is_new(&expression.key);
        }
    }
    let mismatching: BTreeSet<&String> = mismatching.iter().collect();
    for (at, key) in each_of(matching, &path.child("matchLabelKeys")) {
        if mismatching.contains(key) {
            errors.invalid(&at, key.as_str(), "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
}

/// A selector of labels.
pub(crate) fn label_selector(selector: Option<&LabelSelector>, path: &Path, errors: &mut ErrorList) {
    label_selector_with(selector, ExpressionValues::Checked, path, errors);
}

/// A selector of labels after a change: if it was wrong before, the values in its expressions are not looked at.
pub(crate) fn label_selector_update(
    selector: Option<&LabelSelector>,
    old: Option<&Value>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let was_wrong = old.is_some_and(|old| {
        let check = |old: &LabelSelector, errors: &mut ErrorList| label_selector(Some(old), path, errors);
        !with_view(old, check).is_empty()
    });
    let values_are = if was_wrong { ExpressionValues::Any } else { ExpressionValues::Checked };
    label_selector_with(selector, values_are, path, errors);
}

/// Whether the values of expressions have to be label values. Some kinds were not told for a long time, and take old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpressionValues {
    /// They have to be.
    Checked,
    /// They can be anything.
    Any,
}

/// A selector of labels, as strict as `values` says.
pub(crate) fn label_selector_with(
    selector: Option<&LabelSelector>,
    values_are: ExpressionValues,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(selector) = selector else { return };
    let labels_at = path.child("matchLabels");
    for (key, value) in selector.match_labels.iter().flatten() {
        errors.invalids(&labels_at, key, is_qualified_name(key));
        errors.invalids(&labels_at, value, is_label_value(value));
    }
    for (at, expression) in each(&selector.match_expressions, &path.child("matchExpressions")) {
        let values = list(&expression.values);
        operator(&expression.operator, values, &at, errors);
        errors.invalids(&at.child("key"), &expression.key, is_qualified_name(&expression.key));
        if values_are == ExpressionValues::Checked {
            for (at, value) in each_of(values, &at.child("values")) {
                errors.invalids(&at, value, is_label_value(value));
            }
        }
    }
}

/// Whether there are as many values as the operator needs; says whether the operator is known.
fn operator(operator: &str, values: &[String], path: &Path, errors: &mut ErrorList) {
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.forbidden(&path.child("values"), detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.invalid(&path.child("operator"), operator, "not a valid selector operator"),
    }
}

/// A selector of nodes.
pub(crate) fn node_selector(selector: &NodeSelector, path: &Path, errors: &mut ErrorList) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.required(&path, "must have at least one node selector term");
    }
    for (at, term) in each_of(&selector.node_selector_terms, &path) {
        node_term(term, true, &at, errors);
    }
}

fn node_term(term: &NodeSelectorTerm, check_values: bool, path: &Path, errors: &mut ErrorList) {
    for (at, requirement) in each(&term.match_expressions, &path.child("matchExpressions")) {
        let values = list(&requirement.values);
        if matches!(requirement.operator.as_str(), "Gt" | "Lt") {
            if values.len() != 1 {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.required(&at.child("values"), detail);
            }
        } else {
            operator(&requirement.operator, values, &at, errors);
        }
        errors.invalids(&at.child("key"), &requirement.key, is_qualified_name(&requirement.key));
        for (at, value) in each_of(values, &at.child("values")).filter(|_| check_values) {
            errors.invalids(&at, value, is_label_value(value));
        }
    }
    for (at, requirement) in each(&term.match_fields, &path.child("matchFields")) {
        node_field(requirement, &at, errors);
    }
}

fn node_field(requirement: &NodeSelectorRequirement, path: &Path, errors: &mut ErrorList) {
    let values = list(&requirement.values);
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.required(&path.child("values"), detail);
        }
        "In" | "NotIn" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    if requirement.key != "metadata.name" {
        errors.invalid(&path.child("key"), requirement.key.as_str(), "not a valid field selector key");
        return;
    }
    for (at, value) in each_of(values, &path.child("values")) {
        errors.invalids(&at, value, is_dns1123_subdomain(value));
    }
}

/// The effect of a taint, or of a toleration that names one.
pub(crate) fn taint_effect(effect: &str, path: &Path, errors: &mut ErrorList) {
    errors.require_one_of(path, effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}

/// Tolerations of taints, which may compare their values if `compares`.
pub(crate) fn tolerations(tolerations: &[Toleration], compares: bool, path: &Path, errors: &mut ErrorList) {
    for (at, toleration) in each_of(tolerations, path) {
        let (key, value) = (text(&toleration.key), text(&toleration.value));
        let (operator, effect) = (text(&toleration.operator), text(&toleration.effect));
        if !key.is_empty() {
            errors.invalids(&at.child("key"), key, is_qualified_name(key));
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(&at.child("operator"), operator, detail);
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(&at.child("effect"), effect, detail);
        }
        match operator {
            "" | "Equal" => {
                let messages = is_label_value(value);
                if !messages.is_empty() {
                    errors.invalid(&at.child("operator"), value, messages.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.invalid(&at.child("operator"), value, detail);
            }
            "Lt" | "Gt" if compares => {
                errors.invalids(&at.child("value"), value, is_decimal_integer(value));
                if let Err(error) = go_parse_int(value) {
                    errors.invalid(&at.child("value"), value, error);
                }
            }
            "Lt" | "Gt" => {
                let known = ["Equal", "Exists", "Lt", "Gt"];
                errors.push_with(|| Error::not_supported(&at.child("operator"), operator, &known));
            }
            _ => errors.one_of(&at.child("operator"), operator, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            taint_effect(effect, &at.child("effect"), errors);
        }
    }
}

/// A whole number as people write it: no plus, no leading zero.
fn is_decimal_integer(text: &str) -> Vec<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    match (text.is_empty(), is_canonical) {
        (true, _) => vec!["must be non-empty".to_owned()],
        (false, true) => Vec::new(),
        (false, false) => vec!["must be a valid decimal integer in canonical form".to_owned()],
    }
}

/// Go's `strconv.ParseInt` with base 10 and 64 bits, with what it says of what it does not take.
fn go_parse_int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {}: {why}", quote(text))
    })
}

/// Which rules the keys of labels in a constraint have to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpreadKeys {
    /// Those of v1.33 and before: none of them is in the selector.
    Legacy,
    /// Those of affinity terms: the keys become part of the selector of a new pod.
    Merged,
}

impl SpreadKeys {
    /// The rules for a spec: other ones than the gate's where the stored spec breaks those.
    fn of(options: &Options<'_>) -> Self {
        if !options.features.is_enabled("MatchLabelKeysInPodTopologySpread") {
            return Self::Legacy;
        }
        let (wanted, other) = if options.features.is_enabled("MatchLabelKeysInPodTopologySpreadSelectorMerge") {
            (Self::Merged, Self::Legacy)
        } else {
            (Self::Legacy, Self::Merged)
        };
        let breaks = |old: &Value| {
            let constraints = old.items_at(&["topologySpreadConstraints"]);
            constraints.iter().any(|old| {
                let check = |old: &TopologySpreadConstraint, errors: &mut ErrorList| {
                    wanted.check(old, &Path::root(), errors);
                };
                !with_view(old, check).is_empty()
            })
        };
        if options.old.is_some_and(breaks) { other } else { wanted }
    }

    fn check(self, constraint: &TopologySpreadConstraint, path: &Path, errors: &mut ErrorList) {
        let (keys, selector) = (list(&constraint.match_label_keys), constraint.label_selector.as_ref());
        if self == Self::Merged {
            return label_keys(keys, &[], selector, path, errors);
        }
        let keys_at = path.child("matchLabelKeys");
        if selector.is_none() && !keys.is_empty() {
            errors.forbidden(&keys_at, "must not be specified when labelSelector is not set");
        }
        let labels = selector.into_iter().flat_map(|selector| selector.match_labels.iter().flatten());
        let expressions = selector.map(|selector| list(&selector.match_expressions)).unwrap_or_default();
        let selected: BTreeSet<&str> = labels
            .map(|(key, _)| key.as_str())
            .chain(expressions.iter().map(|expression| expression.key.as_str()))
            .collect();
        for (at, key) in each_of(keys, &keys_at) {
            errors.invalids(&at, key, is_qualified_name(key));
            if selected.contains(key.as_str()) {
                errors.invalid(&at, key.as_str(), "exists in both matchLabelKeys and labelSelector");
            }
        }
    }
}

pub(super) fn topology_spread(
    constraints: &Option<Vec<TopologySpreadConstraint>>,
    options: &Options<'_>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let keys = SpreadKeys::of(options);
    let mut last: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (index, constraint) in list(constraints).iter().enumerate() {
        last.insert((&constraint.topology_key, &constraint.when_unsatisfiable), index);
    }
    for (index, (at, constraint)) in each(constraints, path).enumerate() {
        if constraint.max_skew <= 0 {
            errors.invalid(&at.child("maxSkew"), constraint.max_skew, NOT_POSITIVE);
        }
        if constraint.topology_key.is_empty() {
            errors.required(&at.child("topologyKey"), "can not be empty");
        }
        let action = constraint.when_unsatisfiable.as_str();
        errors.one_of(&at.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        if last[&(constraint.topology_key.as_str(), action)] > index {
            let path = at.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&path, format!("{{{}, {action}}}", constraint.topology_key)));
        }
        if let Some(domains) = constraint.min_domains {
            let path = at.child("minDomains");
            if domains <= 0 {
                errors.invalid(&path, domains, NOT_POSITIVE);
            }
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.invalid(&path, domains, detail);
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            if let Some(policy) = policy {
                errors.one_of(&at.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        keys.check(constraint, &at, errors);
        label_selector(constraint.label_selector.as_ref(), &at.child("labelSelector"), errors);
    }
}
