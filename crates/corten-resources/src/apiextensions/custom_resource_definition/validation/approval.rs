//! Definitions in groups of the community say where their resource was approved, or that it was not.
//!
//! Upstream: `validateAPIApproval` in k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation (v1.35).

use corten_apimachinery::{
    Value,
    api_approval::{ANNOTATION, Approval, approval, is_protected},
    field::{Error, ErrorList, Path},
    meta::ObjectMeta as _,
};

pub(super) fn check(definition: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    if !is_protected(definition.str_at(&["spec", "group"]).unwrap_or_default()) {
        return;
    }
    let (state, why) = approval(definition);
    // Who does not touch it need not repair it.
    if old.is_some_and(|old| approval(old).0 == state) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(ANNOTATION);
    match state {
        Approval::Approved | Approval::Bypassed => {}
        Approval::Missing => errors.push(Error::required(&path, why)),
        Approval::Invalid => {
            let value = definition.annotation(ANNOTATION).unwrap_or_default();
            errors.push(Error::invalid(&path, value, why));
        }
    }
}
