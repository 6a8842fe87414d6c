//! What every write does to metadata before and after the strategy.
//!
//! Upstream: k8s.io/apiserver/pkg/registry/rest/{create,update,meta}.go (v1.35).

use corten_apimachinery::{
    field::{self, ErrorList, Path},
    meta::ObjectMeta as _,
    resource::{Context, Strategy},
    status::Status,
    validation::{validate_object_meta, validate_object_meta_update, validate_standard_finalizers},
    value::Value,
};

use super::store::{Store, WriteContext};

/// Settles name, namespace and the fields that only the server sets.
pub(super) fn fill_create_metadata(store: &Store, cx: &WriteContext<'_>, object: &mut Value) -> Result<(), Status> {
    settle_namespace(object, store.resource.is_namespaced().then_some(cx.namespace))?;
    // Upstream's store passes over what is no number, and over 0.
    if crate::parse_revision(object.resource_version()).is_ok_and(|revision| revision != 0) {
        return Err(Status::new(
            corten_apimachinery::status::Reason::Unknown,
            "resourceVersion should not be set on objects to be created",
        ));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        object.unset_meta(field);
    }
    if object.name().is_empty() && !object.generate_name().is_empty() {
        let name = store.generate_name(object.generate_name());
        object.set_meta("name", name);
    }
    object.set_meta("uid", store.new_uid());
    object.set_meta("creationTimestamp", Store::timestamp(cx));
    Ok(())
}

/// Puts an object into the request's namespace, or takes it out of any if it has to be in none.
///
/// Upstream: `EnsureObjectNamespaceMatchesRequestNamespace` in k8s.io/apiserver/pkg/registry/rest/meta.go (v1.35).
///
/// Errors: `BadRequest` for an object that says another one.
pub fn settle_namespace(object: &mut Value, namespace: Option<&str>) -> Result<(), Status> {
    let Some(namespace) = namespace else {
        object.unset_meta("namespace");
        return Ok(());
    };
    if object.namespace().is_empty() {
        object.set_meta("namespace", namespace);
    } else if object.namespace() != namespace {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(why));
    }
    Ok(())
}

/// Every rule for a new object: metadata first, then the kind's, behind the `errors` that were found before. Returns advice for
/// the client.
pub(super) fn validate_create(
    store: &Store,
    strategy: &dyn Strategy,
    context: &Context<'_>,
    object: &Value,
    mut errors: ErrorList,
) -> Result<Vec<String>, Status> {
    let path = Path::new("metadata");
    let name_rule = |name: &str, prefix: bool| strategy.validate_name_by(context.features, name, prefix);
    errors.extend(validate_object_meta(object, store.resource.is_namespaced(), &name_rule, &path));
    if strategy.wants_standard_finalizers() {
        errors.extend(validate_standard_finalizers(object, &path));
    }
    let mut warnings = Vec::new();
    errors.extend(strategy.validate_with_warnings(context, object, &mut warnings));
    refuse(store, object, &errors).map(|()| warnings)
}

/// Every rule for a change, as `validate_create`.
pub(super) fn validate_update(
    store: &Store,
    strategy: &dyn Strategy,
    context: &Context<'_>,
    (object, old): (&Value, &Value),
    mut errors: ErrorList,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let path = Path::new("metadata");
    errors.extend(validate_object_meta_update(object, old, &path));
    if strategy.wants_standard_finalizers() {
        errors.extend(validate_standard_finalizers(object, &path));
    }
    errors.extend(strategy.validate_update_with_warnings(context, object, old, warnings));
    refuse(store, object, &errors)
}

fn refuse(store: &Store, object: &Value, errors: &[field::Error]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&store.kind, object.name(), errors)) }
}

/// Carries over what no client may change.
pub(super) fn keep_system_metadata(object: &mut Value, old: &Value) {
    for field in ["creationTimestamp", "generation", "uid"] {
        let kept = match field {
            // A client that names another UID means another incarnation: validation tells it so.
            "uid" if !object.uid().is_empty() => continue,
            _ => old.at(&["metadata", field]).cloned(),
        };
        match kept {
            Some(value) => object.set_meta(field, value),
            None => object.unset_meta(field),
        }
    }
    // Deletion is never taken back. Whoever sets these two, or another grace period, hears from validation that only a
    // deletion does.
    if let Some(when) = old.at(&["metadata", "deletionTimestamp"]).filter(|when| !when.is_null()) {
        object.set_meta("deletionTimestamp", when.clone());
    }
    let grace = ["metadata", "deletionGracePeriodSeconds"];
    if let Some(seconds) = old.at(&grace)
        && object.at(&grace).is_none_or(Value::is_null)
    {
        object.set_meta("deletionGracePeriodSeconds", seconds.clone());
    }
    object.unset_meta("selfLink");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both were dropped in silence where the object had none, and another grace period was put back.
    #[test]
    fn only_a_deletion_sets_when_an_object_goes() {
        const NOW: &str = "2026-01-02T03:04:05Z";
        let object = |when: Option<&str>, grace: Option<i64>| {
            let mut object = Value::object();
            object.set_meta("name", "a");
            object.set_meta("resourceVersion", "1");
            when.into_iter().for_each(|when| object.set_meta("deletionTimestamp", when));
            grace.into_iter().for_each(|grace| object.set_meta("deletionGracePeriodSeconds", grace));
            object
        };
        let check = |old: &Value, mut sent: Value, want: Result<&Value, &str>| {
            keep_system_metadata(&mut sent, old);
            let errors = validate_object_meta_update(&sent, old, &Path::new("metadata"));
            let got: Vec<_> = errors.iter().map(ToString::to_string).collect();
            match want {
                Ok(want) => assert_eq!((got, &sent), (Vec::new(), want)),
                Err(want) => assert_eq!(got, [want]),
            }
        };
        let (lives, goes) = (object(None, None), object(Some(NOW), Some(30)));
        check(&lives, lives.clone(), Ok(&lives));
        let when = "metadata.deletionTimestamp: Invalid value: \"2026-01-02T03:04:05Z\": field is immutable";
        check(&lives, object(Some(NOW), None), Err(when));
        let grace = "metadata.deletionGracePeriodSeconds: Invalid value: 30: field is immutable";
        check(&lives, object(None, Some(30)), Err(grace));
        // On its way out, an object keeps both, whatever else is said of the time.
        check(&goes, lives.clone(), Ok(&goes));
        check(&goes, object(Some("2030-01-01T00:00:00Z"), Some(30)), Ok(&goes));
        check(&goes, object(None, Some(5)), Err(&grace.replace("30", "5")));
    }
}
