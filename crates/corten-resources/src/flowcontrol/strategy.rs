//! Both kinds have a spec, which administrators write, and a status, in which servers report.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::{Context, Strategy},
};

use crate::{
    report::Report,
    rules::{first_generation, keep, next_generation},
    tree::{each_at, text_at},
    view::Seen,
};

/// The object itself.
#[derive(Debug)]
pub(super) struct Main {
    /// The rules of the kind.
    pub(super) validate: fn(&Value) -> ErrorList,
}

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        object.set(&["status"], Value::object());
        first_generation(object);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["status"]);
        next_generation(object, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        (self.validate)(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        (self.validate)(object)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["spec"]);
        // All of the metadata, but who changed what.
        let managed = object.at(&["metadata", "managedFields"]).cloned();
        keep(object, old, &["metadata"]);
        match managed {
            Some(managed) => object.set(&["metadata", "managedFields"], managed),
            None => drop(object.unset(&["metadata", "managedFields"])),
        }
    }

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        conditions(object, &mut errors);
        errors
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["metadata"], &["spec"]]
    }
}

/// Conditions have a type, each its own.
pub(super) fn conditions(object: &Value, errors: &mut ErrorList) {
    let (null, path) = (Value::Null, Path::new("status"));
    let mut seen = Seen::default();
    for (at, condition) in each_at(object.get("status").unwrap_or(&null), "conditions", &path) {
        let (ty, at) = (text_at(condition, &["type"]), at.child("type"));
        if !seen.is_new(ty) {
            errors.push_with(|| Error::duplicate(&at, ty));
        }
        if ty.is_empty() {
            errors.required(&at, "must not be empty");
        }
    }
}
