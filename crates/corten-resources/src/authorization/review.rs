//! Rules of access reviews.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
    validation::is_path_segment_name,
};

use super::selectors;
use crate::report::Report;

/// An access review.
#[derive(Debug)]
pub(super) struct Review {
    names_subject: bool,
    is_local: bool,
}

/// About anybody, anywhere.
pub(super) const SUBJECT: Review = Review { names_subject: true, is_local: false };
/// About anybody, in one namespace.
pub(super) const LOCAL: Review = Review { names_subject: true, is_local: true };
/// About who asks.
pub(super) const SELF: Review = Review { names_subject: false, is_local: false };

impl Strategy for Review {
    fn validate(&self, _cx: &Context<'_>, review: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let spec = Path::new("spec");
        let get = |field: &str| review.at(&["spec", field]).filter(|value| !value.is_null());
        match (get("resourceAttributes"), get("nonResourceAttributes")) {
            (Some(_), Some(other)) => {
                let detail = "cannot be specified in combination with resourceAttributes";
                errors.invalid(&spec.child("nonResourceAttributes"), shown(other), detail);
            }
            (None, None) => {
                let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                errors.invalid(&spec.child("resourceAttributes"), Value::Null, detail);
            }
            _ => {}
        }
        let user = review.str_at(&["spec", "user"]).unwrap_or_default();
        if self.names_subject && user.is_empty() && review.items_at(&["spec", "groups"]).is_empty() {
            errors.invalid(&spec.child("user"), user, "at least one of user or group must be specified");
        }
        if let Some(attributes) = get("resourceAttributes") {
            selectors::validate(attributes, &spec.child("resourceAttributes"), &mut errors);
        }
        let allowed: &[&str] = if self.is_local { &["namespace", "managedFields"] } else { &["managedFields"] };
        let metadata = review.get("metadata").and_then(Value::as_object);
        let has_more = metadata.is_some_and(|metadata| {
            let extra = |(key, value): (&str, &Value)| !allowed.contains(&key) && !value.is_null();
            metadata.iter().any(extra)
        });
        if has_more {
            let shown = review.get("metadata").cloned().unwrap_or_default();
            let detail = if self.is_local { "must be empty except for namespace" } else { "must be empty" };
            errors.invalid(&Path::new("metadata"), shown, detail);
        }
        if self.is_local {
            let namespace = review.str_at(&["spec", "resourceAttributes", "namespace"]).unwrap_or_default();
            if get("resourceAttributes").is_some() && namespace != review.namespace() {
                let path = spec.child("resourceAttributes").child("namespace");
                errors.invalid(&path, namespace, "must match metadata.namespace");
            }
            if let Some(other) = get("nonResourceAttributes") {
                let detail = "disallowed on this kind of request";
                errors.invalid(&spec.child("nonResourceAttributes"), shown(other), detail);
            }
        }
        errors
    }

    fn validate_update(&self, cx: &Context<'_>, review: &Value, _old: &Value) -> ErrorList {
        self.validate(cx, review)
    }

    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }
}

/// What a review asks of a path, as upstream shows it: in the names of its Go code, each of them.
fn shown(attributes: &Value) -> Value {
    let text = |field: &str| Value::from(attributes.str_at(&[field]).unwrap_or_default());
    Value::object_of([("Path", text("path")), ("Verb", text("verb"))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        authorization::{local_subject_access_review, self_subject_access_review, subject_access_review},
        testing::refuses,
    };

    #[test]
    fn a_question_is_about_somebody_and_something() {
        refuses(
            &subject_access_review::RESOURCE,
            json!({"metadata": {"name": "a"}, "spec": {}}),
            &[
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes \
                 must be specified",
                "spec.user: Invalid value: \"\": at least one of user or group must be specified",
                "metadata: Invalid value: {\"name\":\"a\"}: must be empty",
            ],
        );
        refuses(&self_subject_access_review::RESOURCE, json!({"spec": {"nonResourceAttributes": {"path": "/"}}}), &[]);
    }

    /// It was shown as it came.
    #[test]
    fn a_path_beside_a_resource_is_shown_in_gos_names() {
        let both = json!({"resourceAttributes": {"namespace": "a"}, "nonResourceAttributes": {"path": "/x"}});
        let shown = "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"\"}: ";
        let combined = format!("{shown}cannot be specified in combination with resourceAttributes");
        refuses(&self_subject_access_review::RESOURCE, json!({"spec": both}), &[&combined]);
    }

    #[test]
    fn what_is_selected_is_said_in_one_way() {
        refuses(
            &self_subject_access_review::RESOURCE,
            json!({"spec": {"resourceAttributes": {
                "fieldSelector": {"rawSelector": "a=b", "requirements": [
                    {"key": "", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]},
                    {"key": "a", "operator": "Later", "values": ["b"]},
                ]},
                "labelSelector": {},
            }}}),
            &[
                "spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same \
                 time as requirements",
                "spec.resourceAttributes.fieldSelector.requirements[0].key: Required value: must be specified",
                "spec.resourceAttributes.fieldSelector.requirements[0].values: Required value: must be specified when \
                 `operator` is 'In' or 'NotIn'",
                "spec.resourceAttributes.fieldSelector.requirements[1].values: Forbidden: may not be specified when \
                 `operator` is 'Exists' or 'DoesNotExist'",
                "spec.resourceAttributes.labelSelector.requirements: Required value: when \
                 spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required",
            ],
        );
        let label = json!({"key": "a", "operator": "In", "values": ["b!"]});
        refuses(
            &self_subject_access_review::RESOURCE,
            json!({"spec": {"resourceAttributes": {"labelSelector": {"requirements": [label]}}}}),
            &[
                "spec.resourceAttributes.labelSelector.requirements[0].values[0]: Invalid value: \"b!\": a valid label must be \
               an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
               alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
               '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        );
    }

    #[test]
    fn a_local_question_is_about_its_namespace() {
        refuses(
            &local_subject_access_review::RESOURCE,
            json!({"metadata": {"namespace": "a"}, "spec": {"user": "u", "resourceAttributes": {"namespace": "b"}}}),
            &["spec.resourceAttributes.namespace: Invalid value: \"b\": must match metadata.namespace"],
        );
    }
}
