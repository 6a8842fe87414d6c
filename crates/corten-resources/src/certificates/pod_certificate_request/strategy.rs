//! A request is written once; what becomes of it, its signer says once.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
};

use super::validation;
use crate::{report::Report, rules::keep, status::Status};

/// The request itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, request: &mut Value) {
        request.set(&["status"], Value::object());
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, request: &mut Value, old: &Value) {
        keep(request, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, request: &Value) -> ErrorList {
        validation::create(request)
    }

    fn validate_update(&self, _cx: &Context<'_>, request: &Value, old: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        errors.immutable_struct(
            &Path::new("spec"),
            "io.k8s.api.certificates.v1beta1.PodCertificateRequestSpec",
            request.get("spec"),
            old.get("spec"),
        );
        errors
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|cx, request, old| validation::status(request, old, cx.now))
    .keeping_metadata()
    .versioned()
    .resetting(&[&["spec"]]);
