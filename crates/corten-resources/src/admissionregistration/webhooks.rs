//! Defaults, rules and strategy of webhook configurations, validating and mutating.
//!
//! Rules that are younger than the kinds bind an update only if the stored object keeps them.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::{Column, Context, Strategy, TableDefinition},
    validation::{is_dns1035_label, is_dns1123_subdomain},
    value::semantically_equal,
};

use super::{FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION_POLICIES, expressions, matching, rule};
use crate::{
    core::pod_spec::validation::ExpressionValues,
    defaulting::{each, fill_absent, within},
    report::Report,
    rules::{first_generation, next_generation},
    show,
    tree::{each_at, present, text_at, texts_at},
    view::{Seen, texts},
    webhook,
};

const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun", "Some", "Unknown"];
const NO_SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
/// The versions of the review that servers send.
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const TIMEOUT_SECONDS: std::ops::RangeInclusive<i64> = 1..=30;

/// A webhook configuration.
#[derive(Debug)]
pub(super) struct Main {
    /// Whether the webhooks can be asked again.
    pub(super) is_mutating: bool,
}

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        first_generation(object);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        next_generation(object, old, &[&["webhooks"]]);
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        self.webhooks(object, &Strictness::FULL)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        self.webhooks(object, &Strictness::after(object, old))
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// Which of the younger rules bind.
#[derive(Debug, Clone, Copy)]
struct Strictness {
    match_conditions: bool,
    no_side_effects: bool,
    known_review_version: bool,
    unique_names: bool,
    expression_values: ExpressionValues,
}

impl Strictness {
    const FULL: Self = Self {
        match_conditions: true,
        no_side_effects: true,
        known_review_version: true,
        unique_names: true,
        expression_values: ExpressionValues::Checked,
    };

    /// Those that the stored object keeps.
    fn after(object: &Value, old: &Value) -> Self {
        let (now, before) = (object.items_at(&["webhooks"]), old.items_at(&["webhooks"]));
        let same_conditions = now.len() == before.len()
            && now
                .iter()
                .zip(before)
                .all(|(a, b)| semantically_equal(a.get("matchConditions"), b.get("matchConditions")));
        let has_no_side_effects = |hook: &Value| NO_SIDE_EFFECTS.contains(&text_at(hook, &["sideEffects"]));
        let knows_review = |hook: &Value| {
            let versions = texts_at(hook, &["admissionReviewVersions"]);
            versions.is_empty() || versions.iter().any(|version| REVIEW_VERSIONS.contains(version))
        };
        let mut seen = Seen::default();
        let has_odd_selector = before.iter().any(|hook| {
            let mut errors = ErrorList::new();
            selectors(hook, ExpressionValues::Checked, &Path::root(), &mut errors);
            !errors.is_empty()
        });
        Self {
            match_conditions: !same_conditions,
            no_side_effects: before.iter().all(has_no_side_effects),
            known_review_version: before.iter().all(knows_review),
            unique_names: before.iter().all(|hook| seen.is_new(text_at(hook, &["name"]))),
            expression_values: if has_odd_selector { ExpressionValues::Any } else { ExpressionValues::Checked },
        }
    }
}

impl Main {
    fn webhooks(&self, object: &Value, strictness: &Strictness) -> ErrorList {
        let mut errors = ErrorList::new();
        let mut seen = Seen::default();
        for (path, hook) in each_at(object, "webhooks", &Path::root()) {
            self.webhook(hook, strictness, &path, &mut errors);
            review_versions(hook, strictness.known_review_version, &path, &mut errors);
            let name = text_at(hook, &["name"]);
            if strictness.unique_names && !name.is_empty() && !seen.is_new(name) {
                errors.push_with(|| Error::duplicate(&path.child("name"), name));
            }
            if errors.is_full() {
                break;
            }
        }
        errors
    }

    fn webhook(&self, hook: &Value, strictness: &Strictness, path: &Path, errors: &mut ErrorList) {
        qualified_name(text_at(hook, &["name"]), &path.child("name"), errors);
        for (at, rule) in each_at(hook, "rules", path) {
            rule::with_operations(rule, &at, errors);
        }
        let one_of = |field: &str, supported: &[&str], errors: &mut ErrorList| {
            if let Some(value) = present(hook, &[field]) {
                errors.one_of(&path.child(field), value.as_str().unwrap_or_default(), supported);
            }
        };
        one_of("failurePolicy", FAILURE_POLICIES, errors);
        one_of("matchPolicy", MATCH_POLICIES, errors);
        let side_effects = if strictness.no_side_effects { NO_SIDE_EFFECTS } else { SIDE_EFFECTS };
        if present(hook, &["sideEffects"]).is_none() {
            let detail = format!("must specify one of {}", side_effects.join(", "));
            errors.required(&path.child("sideEffects"), &detail);
        }
        one_of("sideEffects", side_effects, errors);
        if let Some(seconds) = hook.i64_at(&["timeoutSeconds"]).filter(|seconds| !TIMEOUT_SECONDS.contains(seconds)) {
            let detail = "the timeout value must be between 1 and 30 seconds";
            errors.invalid(&path.child("timeoutSeconds"), seconds, detail);
        }
        selectors(hook, strictness.expression_values, path, errors);
        if self.is_mutating {
            one_of("reinvocationPolicy", REINVOCATION_POLICIES, errors);
        }
        let config = hook.get("clientConfig").unwrap_or(&Value::Null);
        webhook::client_config(config, &path.child("clientConfig"), errors);
        if strictness.match_conditions {
            expressions::match_conditions(hook, false, path, errors);
        }
    }
}

fn selectors(hook: &Value, values: ExpressionValues, path: &Path, errors: &mut ErrorList) {
    for field in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = present(hook, &[field]) {
            matching::label_selector(selector, values, &path.child(field), errors);
        }
    }
}

/// Names are those of domains, so that nobody's webhook is taken for another's.
fn qualified_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, name) {
        return;
    }
    let faults = is_dns1123_subdomain(name);
    if !faults.is_empty() {
        errors.invalid(path, name, faults.join(","));
    } else if name.split('.').count() < 3 {
        errors.invalid(path, name, "should be a domain with at least three segments separated by dots");
    }
}

fn review_versions(hook: &Value, needs_known: bool, path: &Path, errors: &mut ErrorList) {
    let path = path.child("admissionReviewVersions");
    let versions = texts_at(hook, &["admissionReviewVersions"]);
    let known = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        errors.required(&path, &format!("must specify one of {known}"));
        return;
    }
    let mut seen = Seen::default();
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        if seen.is_new(*version) {
            errors.invalids(&at, version, is_dns1035_label(version));
        } else {
            errors.invalid(&at, *version, "duplicate version");
        }
    }
    if needs_known && !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        errors.invalid(&path, texts(&versions), format!("must include at least one of {known}"));
    }
}

/// What webhooks of both kinds are unless said otherwise.
pub(super) fn defaults(hook: &mut Value) {
    fill_absent(hook, "failurePolicy", "Fail");
    fill_absent(hook, "matchPolicy", "Equivalent");
    fill_absent(hook, "namespaceSelector", Value::object());
    fill_absent(hook, "objectSelector", Value::object());
    fill_absent(hook, "timeoutSeconds", 10_i64);
    within(hook, &["clientConfig", "service"], |service| fill_absent(service, "port", 443_i64));
    each(hook, &["rules"], rule::defaults);
}

/// The columns of both kinds.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::integer("Webhooks", "How many webhooks it lists."), Column::AGE],
    row: |object, cx| vec![show::name(object), show::count(object, &["webhooks"]).into(), show::age(object, cx)],
    conditions: None,
    rank: None,
};
