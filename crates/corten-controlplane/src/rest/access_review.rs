//! What all access reviews share: the question as a request, the decision as a status.
//!
//! Upstream: pkg/registry/authorization/util/helpers.go (v1.35).

use corten_apimachinery::{
    resource::UserInfo,
    selector::{field, label},
    value::{Str, Value},
};
use corten_apiserver::{
    RequestInfo,
    authorization::{Attributes, Authorizer, Decision},
};

/// Answers `review`, whose question is about `user`.
pub(super) async fn answer(authorizer: &dyn Authorizer, user: &UserInfo, review: &mut Value) {
    let Question { request, ignored } = question(review.get("spec").unwrap_or(&Value::Null));
    let decision = authorizer.authorize(Attributes { user, request: &request }).await;
    let mut status = Value::object();
    status.set(&["allowed"], decision.is_allowed());
    if matches!(decision, Decision::Deny { .. }) {
        status.set(&["denied"], true);
    }
    if !decision.reason().is_empty() {
        status.set(&["reason"], decision.reason());
    }
    if !ignored.is_empty() {
        status.set(&["evaluationError"], ignored.join("; "));
    }
    review.set(&["status"], status);
}

/// What is asked.
struct Question {
    request: RequestInfo,
    /// What was left out of it. Requirements all have to hold: without one of them, more is asked for.
    ignored: Vec<String>,
}

fn question(spec: &Value) -> Question {
    let Some(resource) = spec.get("resourceAttributes").filter(|attributes| !attributes.is_null()) else {
        let text = |key: &str| spec.str_at(&["nonResourceAttributes", key]).unwrap_or_default();
        let request =
            RequestInfo { path: text("path").to_owned(), verb: text("verb").into(), ..RequestInfo::default() };
        return Question { request, ignored: Vec::new() };
    };
    let text = |key: &str| Str::from(resource.str_at(&[key]).unwrap_or_default());
    let version = text("version");
    let mut ignored = Vec::new();
    let mut note = |selector: &str, Read { found, failed }: Read| {
        if failed {
            let how_much = if found == 0 { "" } else { "partially " };
            ignored.push(format!("spec.resourceAttributes.{selector} {how_much}ignored due to parse error"));
        }
    };
    let (field_selector, read) = fields(resource.get("fieldSelector").unwrap_or(&Value::Null));
    note("fieldSelector", read);
    // Nobody here decides by labels.
    note("labelSelector", labels(resource.get("labelSelector").unwrap_or(&Value::Null)));
    let request = RequestInfo {
        is_resource: true,
        verb: text("verb"),
        group: text("group"),
        version: if version.is_empty() { "*".into() } else { version },
        namespace: text("namespace"),
        resource: text("resource"),
        subresource: text("subresource"),
        name: text("name"),
        field_selector,
        ..RequestInfo::default()
    };
    Question { request, ignored }
}

/// What came of reading a selector.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    /// How many requirements were understood.
    found: usize,
    /// Whether something was not.
    failed: bool,
}

/// A `FieldSelectorAttributes`: as text, or as requirements, of which those count that are understood.
fn fields(selector: &Value) -> (field::Selector, Read) {
    let requirements = selector.items_at(&["requirements"]);
    if requirements.is_empty() {
        let raw = selector.str_at(&["rawSelector"]).unwrap_or_default();
        return match field::Selector::parse(raw) {
            Ok(selector) => (selector, Read::default()),
            Err(_) => (field::Selector::default(), Read { found: 0, failed: true }),
        };
    }
    let understood: Vec<_> = requirements.iter().filter_map(field_requirement).collect();
    let found = understood.len();
    (field::Selector::new(understood), Read { found, failed: found < requirements.len() })
}

/// Field, value, and whether it has to be the one.
fn field_requirement(requirement: &Value) -> Option<(Str, Str, bool)> {
    let equal = match requirement.str_at(&["operator"])? {
        "In" => true,
        "NotIn" => false,
        _ => return None,
    };
    let [value] = requirement.items_at(&["values"]) else { return None };
    Some((requirement.str_at(&["key"]).unwrap_or_default().into(), value.as_str()?.into(), equal))
}

/// A `LabelSelectorAttributes`.
fn labels(selector: &Value) -> Read {
    let requirements = selector.items_at(&["requirements"]);
    if requirements.is_empty() {
        let raw = selector.str_at(&["rawSelector"]).unwrap_or_default();
        return Read { found: 0, failed: label::Selector::parse(raw).is_err() };
    }
    let found = requirements.iter().filter(|requirement| label::Requirement::from_object(requirement).is_ok()).count();
    Read { found, failed: found < requirements.len() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::tree;

    /// A review left out the selectors, and said no to nodes of what they may.
    #[test]
    fn a_question_has_the_selectors_that_are_understood() {
        const NODE: &str = "spec.nodeName";
        let check = |attributes: serde_json::Value, node: Option<&str>, ignored: &[&str]| {
            let got = question(&tree(json!({"resourceAttributes": attributes})));
            assert_eq!(got.request.field_selector.required_value(NODE), node, "{attributes}");
            assert_eq!(got.ignored, ignored, "{attributes}");
        };
        let fields = |selector: serde_json::Value| json!({"fieldSelector": selector});
        let asked = |operator: &str, values: &[&str]| json!({"key": NODE, "operator": operator, "values": values});
        let all = |requirements: &[serde_json::Value]| fields(json!({"requirements": requirements}));
        let none = ["spec.resourceAttributes.fieldSelector ignored due to parse error"];
        check(json!({}), None, &[]);
        check(fields(json!({"rawSelector": "spec.nodeName=n1,a!=b"})), Some("n1"), &[]);
        check(fields(json!({"rawSelector": "spec.nodeName=n1,x"})), None, &none);
        check(all(&[asked("In", &["n1"])]), Some("n1"), &[]);
        check(all(&[asked("NotIn", &["n1"])]), None, &[]);
        check(all(&[asked("In", &["n1", "n2"])]), None, &none);
        check(all(&[asked("Exists", &[])]), None, &none);
        check(
            all(&[asked("In", &["n1"]), asked("Like", &["n"])]),
            Some("n1"),
            &["spec.resourceAttributes.fieldSelector partially ignored due to parse error"],
        );
        // A key is no text that is read again.
        check(all(&[json!({"key": "a=b,spec.nodeName", "operator": "In", "values": ["n1"]})]), None, &[]);
        let labels = |selector: serde_json::Value| json!({"labelSelector": selector});
        let none = ["spec.resourceAttributes.labelSelector ignored due to parse error"];
        check(labels(json!({"rawSelector": "a in (b)"})), None, &[]);
        check(labels(json!({"rawSelector": "a in b"})), None, &none);
        let (good, bad) = (json!({"key": "a", "operator": "Exists"}), json!({"key": "a", "operator": "Like"}));
        check(labels(json!({"requirements": [good]})), None, &[]);
        check(labels(json!({"requirements": [bad]})), None, &none);
        check(
            labels(json!({"requirements": [good, bad]})),
            None,
            &["spec.resourceAttributes.labelSelector partially ignored due to parse error"],
        );
    }
}
