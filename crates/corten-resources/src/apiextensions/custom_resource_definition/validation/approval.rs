//! Groups of the community have an annotation that says where their resource was approved, or that it was not.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apihelpers (v1.35).

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path, quote},
    go_url::GoUrl,
    meta::ObjectMeta as _,
};

const ANNOTATION: &str = "api-approved.kubernetes.io";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Approval {
    Approved,
    Bypassed,
    Missing,
    Invalid,
}

pub(super) fn check(definition: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let approval = approval(definition);
    // Who does not touch it need not repair it.
    if !is_protected(group) || old.is_some_and(|old| self::approval(old) == approval) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(ANNOTATION);
    let wanted = format!("protected groups must have approval annotation {}", quote(ANNOTATION));
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    match approval {
        Approval::Approved | Approval::Bypassed => {}
        Approval::Missing => errors.push(Error::required(&path, format!("{wanted}, {see}"))),
        Approval::Invalid => {
            let value = definition.annotation(ANNOTATION).unwrap_or_default();
            let detail = format!("{wanted} with either a URL or a reason starting with \"unapproved\", {see}");
            errors.push(Error::invalid(&path, value, detail));
        }
    }
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .into_iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn approval(definition: &Value) -> Approval {
    let text = definition.annotation(ANNOTATION).unwrap_or_default();
    let is_place = |url: GoUrl| !url.scheme.is_empty() && !url.host.is_empty();
    match () {
        () if text.is_empty() => Approval::Missing,
        () if text.starts_with("unapproved") => Approval::Bypassed,
        () if GoUrl::parse_request(text).is_ok_and(is_place) => Approval::Approved,
        () => Approval::Invalid,
    }
}
