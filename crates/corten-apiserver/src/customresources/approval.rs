//! The condition that says whether a definition in a group of the community was approved. Pure.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/controller/apiapproval (v1.35).

use corten_apimachinery::{
    Value,
    api_approval::{Approval, approval, is_protected},
};

use super::conditions::{APPROVAL_CONFORMANT, condition, is_equivalent, set_condition};

/// The definition with the condition; `None` if it has it already, or its group is not the community's.
pub(super) fn judged(definition: &Value) -> Option<Value> {
    // A group never changes, so that there is never a condition that has to go.
    if !is_protected(definition.str_at(&["spec", "group"]).unwrap_or_default()) {
        return None;
    }
    let (state, why) = approval(definition);
    let (status, reason) = match state {
        Approval::Approved => ("True", "ApprovedAnnotation"),
        Approval::Bypassed => ("False", "UnapprovedAnnotation"),
        Approval::Missing => ("False", "MissingAnnotation"),
        Approval::Invalid => ("False", "InvalidAnnotation"),
    };
    let wanted = condition(APPROVAL_CONFORMANT, status, reason, &why);
    if is_equivalent(definition, &wanted) {
        return None;
    }
    let mut judged = definition.clone();
    set_condition(&mut judged, wanted);
    Some(judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::find_condition;

    fn definition(group: &str, annotation: Option<&str>) -> Value {
        let mut definition = Value::object_of([("spec", Value::object_of([("group", Value::from(group))]))]);
        if let Some(text) = annotation {
            definition.set(&["metadata", "annotations", "api-approved.kubernetes.io"], text);
        }
        definition
    }

    /// Definitions of the community never had the condition, for which their installers wait.
    #[test]
    fn definitions_of_the_community_are_judged_by_their_annotation() {
        let wanted = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
        let see = "see https://github.com/kubernetes/enhancements/pull/1111";
        let missing = format!("{wanted}, {see}");
        let bad = format!("{wanted} with either a URL or a reason starting with \"unapproved\", {see}");
        for (annotation, status, reason, message) in [
            (Some("https://a.example/1"), "True", "ApprovedAnnotation", "approved in https://a.example/1"),
            (Some("unapproved, a test"), "False", "UnapprovedAnnotation", "not approved: \"unapproved, a test\""),
            (None, "False", "MissingAnnotation", &*missing),
            (Some(""), "False", "MissingAnnotation", &*missing),
            (Some("maybe"), "False", "InvalidAnnotation", &*bad),
            (Some("/a/path"), "False", "InvalidAnnotation", &*bad),
        ] {
            let judged = judged(&definition("things.k8s.io", annotation)).unwrap();
            let found = find_condition(&judged, "KubernetesAPIApprovalPolicyConformant").unwrap();
            assert_eq!(found, &condition("KubernetesAPIApprovalPolicyConformant", status, reason, message));
            assert_eq!(super::judged(&judged), None, "once is enough");
        }
        assert_eq!(judged(&definition("example.com", None)), None);
    }

    #[test]
    fn another_annotation_is_judged_anew() {
        let mut old = judged(&definition("a.kubernetes.io", Some("unapproved"))).unwrap();
        old.set(&["metadata", "annotations", "api-approved.kubernetes.io"], "https://a.example/1");
        let new = judged(&old).unwrap();
        assert_eq!(new.items_at(&["status", "conditions"]).len(), 1);
        let found = find_condition(&new, APPROVAL_CONFORMANT).unwrap();
        assert_eq!(found.str_at(&["reason"]), Some("ApprovedAnnotation"));
    }
}
