//! Rules in CEL of a definition: what can be said of them without a compiler, what the compiler finds, and what they cost.
//!
//! Upstream: also k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/cel_validation.go (v1.35).

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    schema::{Structural, resolve_field_path},
};
use corten_cel::{
    limits::{ESTIMATED_DEFINITION, ESTIMATED_RULE},
    rules::{Findings, RuleTypes},
};

use crate::report::Report;

/// How many of the most expensive rules are named if all together cost too much.
const EXPENSIVE_SHOWN: usize = 4;

/// The type of a rule.
const RULE: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ValidationRule";
const REASONS: &[&str] = &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// A node with rules.
pub(in super::super) struct RuleContext<'r> {
    pub(in super::super) structural: &'r Structural,
    /// How often the node can be in one object, if the schema bounds it.
    pub(in super::super) cardinality: Option<u64>,
    /// The highest place above it whose parts have nothing to be compared with.
    pub(in super::super) uncorrelatable: Option<&'r Path>,
}

/// What the rules of a schema cost together.
#[derive(Debug)]
pub(in super::super) struct Budget {
    /// The schema is as it was, so that its single rules may cost what they did.
    suppresses_single: bool,
    total: u64,
    most_expensive: Vec<(u64, Path)>,
}

impl Budget {
    pub(in super::super) fn new(suppresses_single: bool) -> Self {
        Self { suppresses_single, total: 0, most_expensive: Vec::new() }
    }

    fn observe(&mut self, path: Path, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost >= ESTIMATED_DEFINITION / 100 {
            let at = self.most_expensive.partition_point(|(other, _)| *other >= cost);
            self.most_expensive.insert(at, (cost, path));
            self.most_expensive.truncate(EXPENSIVE_SHOWN);
        }
    }

    /// All rules together do not cost too much.
    pub(in super::super) fn check_total(&self, path: &Path, errors: &mut ErrorList) {
        if self.total <= ESTIMATED_DEFINITION {
            return;
        }
        for (_, rule) in &self.most_expensive {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.forbidden(rule, detail);
        }
        let name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.forbidden(path, too_expensive(name, self.total, ESTIMATED_DEFINITION));
    }
}

/// Checks what rules say besides their expressions. Without a tree nothing is said of their paths.
pub(super) fn check_texts(schema: &Value, structural: Option<&Structural>, path: &Path, errors: &mut ErrorList) {
    for (index, rule) in schema.items_at(&["x-kubernetes-validations"]).iter().enumerate() {
        let at = path.child("x-kubernetes-validations").index(index);
        let text = |field: &str| rule.str_at(&[field]).unwrap_or_default();
        let (expression, message) = (text("rule").trim(), text("message").trim());
        if expression.is_empty() {
            errors.required(&at.child("rule"), "rule is not specified");
        } else if !text("message").is_empty() && message.is_empty() {
            errors.invalid(&at.child("message"), text("message"), "message must be non-empty if specified");
        } else if has_line_breaks(message) {
            errors.invalid(&at.child("message"), text("message"), "message must not contain line breaks");
        } else if has_line_breaks(expression) && message.is_empty() {
            errors.required(&at.child("message"), "message must be specified if rule contains line breaks");
        }
        let message_expression = text("messageExpression");
        if !message_expression.is_empty() && message_expression.trim().is_empty() {
            errors.required(&at.child("messageExpression"), "messageExpression must be non-empty if specified");
        }
        if let Some(reason) = rule.str_at(&["reason"]) {
            errors.one_of(&at.child("reason"), reason, REASONS);
        }
        let (field_path, at) = (text("fieldPath"), at.child("fieldPath"));
        if field_path.is_empty() {
            continue;
        }
        if field_path.trim().is_empty() {
            errors.invalid(&at, field_path, "fieldPath must be non-empty if specified");
        }
        if has_line_breaks(field_path) {
            errors.invalid(&at, field_path, "fieldPath must not contain line breaks");
        }
        if structural.is_some_and(|schema| resolve_field_path(field_path, schema, true).is_err()) {
            errors.invalid(&at, field_path, "fieldPath must be a valid path");
        }
    }
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

/// Compiles the rules of a node whose values are of these types.
pub(super) fn check_compiled(
    types: Option<&RuleTypes>,
    context: &RuleContext<'_>,
    budget: &mut Budget,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(types) = types else {
        let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to \
                      convert structural schema to CEL declarations";
        errors.push(Error::internal(&path.child("x-kubernetes-validations"), detail));
        return;
    };
    check_findings(types.examine(context.structural), context, budget, path, errors);
}

/// Tells what was found of each rule of a node.
pub(in super::super) fn check_findings(
    findings: Vec<Findings>,
    context: &RuleContext<'_>,
    budget: &mut Budget,
    path: &Path,
    errors: &mut ErrorList,
) {
    let rules = &context.structural.extensions.validations;
    for (index, (rule, found)) in rules.iter().zip(findings).enumerate() {
        let at = path.child("x-kubernetes-validations").index(index);
        let (rule_path, message_path) = (at.child("rule"), at.child("messageExpression"));
        let cost = found.cost.saturating_mul(context.cardinality.unwrap_or(found.max_cardinality));
        if !budget.suppresses_single && cost > ESTIMATED_RULE {
            errors.forbidden(&rule_path, too_expensive("estimated rule cost", cost, ESTIMATED_RULE));
        }
        budget.observe(rule_path.clone(), cost);
        if let Some(detail) = found.error {
            errors.invalid_struct(&rule_path, RULE, Some(&rule_value(rule)), detail);
        }
        if let Some(detail) = found.message_error {
            errors.invalid_struct(&message_path, RULE, Some(&rule_value(rule)), detail);
        } else if let Some(cost) = found.message_cost {
            if !budget.suppresses_single && cost > ESTIMATED_RULE {
                let detail = too_expensive("estimated messageExpression cost", cost, ESTIMATED_RULE);
                errors.forbidden(&message_path, detail);
            }
            budget.observe(message_path, cost);
        }
        if found.uses_old_self {
            if let Some(place) = context.uncorrelatable {
                let detail =
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {place}");
                errors.push(Error::invalid(&rule_path, rule.rule.clone(), detail));
            }
        } else if let Some(optional) = rule.optional_old_self {
            let detail = "may not be set if oldSelf is not used in rule";
            errors.invalid(&at.child("optionalOldSelf"), optional, detail);
        }
    }
}

/// A rule as clients write it.
fn rule_value(rule: &corten_apimachinery::schema::ValidationRule) -> Value {
    let mut shown = Value::object();
    let texts = [
        ("rule", Some(&rule.rule)),
        ("message", Some(&rule.message)),
        ("messageExpression", Some(&rule.message_expression)),
        ("reason", rule.reason.as_ref()),
        ("fieldPath", Some(&rule.field_path)),
    ];
    for (field, text) in texts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            shown.set(&[field], text.clone());
        }
    }
    if let Some(optional) = rule.optional_old_self {
        shown.set(&["optionalOldSelf"], optional);
    }
    shown
}

#[expect(clippy::cast_precision_loss, reason = "the factor is shown with a digit or two")]
fn too_expensive(name: &str, cost: u64, max: u64) -> String {
    let factor = cost as f64 / max as f64;
    let factor = match factor {
        // Beyond that it is most often the square of something, and the figure says nothing.
        factor if factor > 100.0 => "more than 100x".to_owned(),
        factor if factor < 1.5 => format!("{factor:.6}x"),
        factor => format!("{factor:.1}x"),
    };
    format!(
        "{name} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
