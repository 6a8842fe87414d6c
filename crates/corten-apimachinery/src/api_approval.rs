//! Definitions in groups of the Kubernetes community have an annotation that says where their resource was approved, or that
//! it was not. The rules of definitions demand it, and a condition tells it.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apihelpers (v1.35).

use crate::{Value, field::quote, go_url::GoUrl, meta::ObjectMeta as _};

/// The annotation.
pub const ANNOTATION: &str = "api-approved.kubernetes.io";

/// Where one reads about it.
const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Where the resource was approved.
    Approved,
    /// That it was not.
    Bypassed,
    /// Nothing.
    Missing,
    /// Neither.
    Invalid,
}

/// Whether a group is the community's.
#[must_use]
pub fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .into_iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// What the annotation of a definition says, and the same in words for people.
#[must_use]
pub fn approval(definition: &Value) -> (Approval, String) {
    let text = definition.annotation(ANNOTATION).unwrap_or_default();
    let is_place = |url: GoUrl| !url.scheme.is_empty() && !url.host.is_empty();
    let wanted = || format!("protected groups must have approval annotation {}", quote(ANNOTATION));
    match () {
        () if text.is_empty() => (Approval::Missing, format!("{}, {SEE}", wanted())),
        () if text.starts_with("unapproved") => (Approval::Bypassed, format!("not approved: {}", quote(text))),
        () if GoUrl::parse_request(text).is_ok_and(is_place) => (Approval::Approved, format!("approved in {text}")),
        () => {
            let why = format!("{} with either a URL or a reason starting with \"unapproved\", {SEE}", wanted());
            (Approval::Invalid, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_the_community_are_protected() {
        for (group, want) in [
            ("k8s.io", true),
            ("x.k8s.io", true),
            ("a.kubernetes.io", true),
            ("kubernetes.io", true),
            ("xk8s.io", false),
            ("k8s.io.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_protected(group), want, "{group}");
        }
    }
}
