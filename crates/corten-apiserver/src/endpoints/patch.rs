//! PATCH in its four languages.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/patch.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::{
    codec::{self, FieldValidation},
    field::{Error, Path, quote},
    gvk::{GroupResource, GroupVersionKind},
    meta::ObjectMeta as _,
    patch as languages,
    resource::Strategy,
    status::{Reason, Status},
    type_table::{TypeId, TypeTable},
    value::Value,
};
use corten_client::PatchKind;
use http::{StatusCode, header};
use parking_lot::Mutex;

use super::{
    body::{OBJECTS_MAX, decode_bytes, undecodable},
    convert, custom,
    patch_body::{Patch, read_patch},
    read::store_of,
    routes::Endpoint,
    strict,
    write::{WriteRequest, dedup_owner_references, reply},
};
use crate::{
    negotiation::Encoding,
    registry::{CreateRight, settle_namespace},
    request::Request,
    response::{Reply, generic},
    server::Server,
};

/// Changes parts of an object under the rules of `strategy`.
pub(super) async fn patch(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
    strategy: &dyn Strategy,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let schema = endpoint.version.schema.as_deref();
    let patch_type = server.encodings().patch_type(request.header(header::CONTENT_TYPE), schema.is_some())?;
    let kind = patch_type.kind();
    let is_apply = kind == PatchKind::Apply;
    let write = WriteRequest::of_patch(endpoint, &request, is_apply)?;
    let validation = write.validation;
    let Patch { value: patch, complaints: own } =
        read_patch(std::mem::take(&mut request.body), patch_type, validation).await?;
    let context = write.context(&request);
    let name = request.info.name.clone();
    let type_id = endpoint.version.type_id;
    let gvk = endpoint.kind();
    let complaints = Mutex::new(Vec::new());
    let transform = |current: Option<&Value>| {
        let in_version = || {
            let mut object = current.cloned().unwrap_or_default();
            if current.is_some() {
                endpoint.from_hub(&mut object);
            }
            object
        };
        let typed = endpoint.typed();
        let (mut object, mut warnings) = if is_apply {
            let applied =
                store.apply(&context, strategy, current, &patch, write.force).map_err(|error| error.to_status())?;
            refuse_doubled(&own, validation)?;
            // The result is read as any body is: strictly, and brought to canonical form.
            let (object, further) = match schema {
                Some(schema) => {
                    custom::settle(schema, applied, Vec::new(), validation, |why| custom::unusable(&gvk, &why))?
                }
                None => {
                    let bytes = codec::json::encode(&applied, None);
                    decode_bytes(&bytes, Encoding::Json, typed.0, type_id, validation, &gvk)?
                }
            };
            (object, strict::warnings(own.clone()).into_iter().chain(further).collect())
        } else {
            let patched = patched(&in_version(), (kind, &patch), typed, &gvk, schema.is_some())?;
            match schema {
                Some(schema) => {
                    let made = patched.clone();
                    let refused = |why: &str| strict::refused(kind, &patch, &codec::json::encode(&made, None), why);
                    custom::settle(schema, patched, own.clone(), validation, refused)?
                }
                None => {
                    let read = read_patched(&patched, typed, validation, (kind, &patch, &own))?;
                    if let Some(why) = endpoint.version.misfit.and_then(|misfit| misfit(&read.0)) {
                        return Err(misfitting(kind, (&patch, &patched), &why));
                    }
                    read
                }
            }
        };
        if current.is_none() && !object.uid().is_empty() {
            return Err(no_such_incarnation(endpoint, &name, object.uid()));
        }
        check_place(endpoint, &mut object, (context.namespace, &name))?;
        warnings.extend(dedup_owner_references(&mut object));
        *complaints.lock() = warnings;
        (endpoint.version.defaults)(&mut object);
        endpoint.to_hub(store, &mut object);
        Ok(object)
    };
    let may_create = is_apply && request.info.subresource.is_empty();
    let create = may_create.then(|| CreateRight::of(&request, &**server.authorizer()));
    let updated = store.update(&context, &name, strategy, &transform, create).await?;
    let mut warnings = complaints.into_inner();
    warnings.extend(updated.warnings);
    let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
    reply(endpoint, store, code, &updated.object, warnings)
}

/// A configuration that says something twice is refused if the client wants it, but only after it was found to fit.
pub(super) fn refuse_doubled(complaints: &[String], validation: FieldValidation) -> Result<(), Status> {
    if validation == FieldValidation::Strict && !complaints.is_empty() {
        let why = format!("error strict decoding YAML: error converting YAML to JSON: {}", complaints.join(", "));
        return Err(Status::bad_request(why));
    }
    Ok(())
}

/// What a patch, other than a configuration, makes of `object`: not read yet, see `read_patched`.
///
/// Errors: the patch does not fit; it makes another kind of the object. Of custom resources the rules say so.
pub(super) fn patched(
    object: &Value,
    (kind, patch): (PatchKind, &Value),
    (table, type_id): (&TypeTable, TypeId),
    want: &GroupVersionKind,
    is_custom: bool,
) -> Result<Value, Status> {
    let fails = |error| patch_failure(kind, error);
    let patched = match kind {
        PatchKind::Json => languages::json::apply(object, patch).map_err(fails)?,
        PatchKind::Merge => languages::merge::apply(object, patch),
        _ => languages::strategic::apply(object, patch, table, type_id).map_err(fails)?,
    };
    if is_custom {
        custom::expect_type_meta(&patched, want)?;
    } else if matches!(kind, PatchKind::Json | PatchKind::Merge) {
        check_kind(&patched, want)?;
    }
    Ok(patched)
}

/// Reads what a patch made of an object, as any body is: strictly. Returns it in canonical form, and advice for the client.
pub(super) fn read_patched(
    patched: &Value,
    (table, type_id): (&TypeTable, TypeId),
    validation: FieldValidation,
    (kind, patch, own): (PatchKind, &Value, &[String]),
) -> Result<(Value, Vec<String>), Status> {
    let bytes = &codec::json::encode(patched, None);
    let refused = |why: &str| strict::refused(kind, patch, bytes, why);
    let decoded = codec::json::decode_bounded(bytes, Some((table, type_id)), validation, OBJECTS_MAX);
    let decoded = decoded.map_err(|error| {
        undecodable(&error, |why| match kind {
            // Not read from a text upstream, but converted as it is.
            PatchKind::Strategic => refused(convert::mismatch(patched, table, type_id).as_deref().unwrap_or(why)),
            _ => refused(why),
        })
    })?;
    let complaints: Vec<String> = own.iter().cloned().chain(decoded.complaints()).collect();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => Err(refused(&strict::strict_error(&complaints))),
        FieldValidation::Ignore => Ok((decoded.value, Vec::new())),
        _ => Ok((decoded.value, complaints)),
    }
}

/// A patch made an object of which upstream cannot make its own form. What it reads from a text it takes for a fault of that, and
/// what it converts as it is for one of its own.
fn misfitting(kind: PatchKind, (patch, patched): (&Value, &Value), why: &str) -> Status {
    match kind {
        PatchKind::Strategic => Status::new(Reason::Unknown, why),
        _ => strict::refused(kind, patch, &codec::json::encode(patched, None), why),
    }
}

/// A configuration of one incarnation of an object does not make another one.
fn no_such_incarnation(endpoint: &Endpoint, name: &str, uid: &str) -> Status {
    let resource = GroupResource::new(endpoint.resource.group.clone(), endpoint.resource.plural.clone());
    let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Status::conflict(&resource, name, why)
}

/// What is written through a path, also as a subresource, is of the namespace and has the name that the path says. An object
/// that says no namespace is put into that one.
///
/// Upstream: `EnsureObjectNamespaceMatchesRequestNamespace` and then `checkName`, both in handlers/update.go and in
/// `applyPatch` of handlers/patch.go of k8s.io/apiserver/pkg/endpoints (v1.35).
pub(super) fn check_place(
    endpoint: &Endpoint,
    object: &mut Value,
    (namespace, name): (&str, &str),
) -> Result<(), Status> {
    settle_namespace(object, endpoint.resource.is_namespaced().then_some(namespace))?;
    check_name(object, name)
}

/// Upstream: `checkName` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).
fn check_name(object: &Value, name: &str) -> Result<(), Status> {
    match object.name() {
        own if own == name => Ok(()),
        "" => Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        own => Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        ))),
    }
}

/// A patch may not make another kind of an object.
fn check_kind(patched: &Value, want: &GroupVersionKind) -> Result<(), Status> {
    let (version, kind) = (patched.api_version(), patched.kind());
    if kind == want.kind && version == want.group_version().to_string() {
        return Ok(());
    }
    let json = String::from_utf8_lossy(&codec::json::encode(patched, None)).into_owned();
    // The last words are where upstream's table of kinds is made.
    let why = format!(
        "no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        quote(kind),
        quote(version)
    );
    let error = Error::invalid(&Path::new("patch"), json, why);
    Err(Status::invalid(&GroupVersionKind::new("", "", ""), "", &[error]))
}

/// A patch that does not fit: upstream keeps the reason to itself, but for a few of strategic patches.
///
/// Upstream: `applyJSPatch`, `interpretStrategicMergePatchError` (v1.35).
fn patch_failure(kind: PatchKind, error: languages::PatchError) -> Status {
    match error {
        languages::PatchError::Invalid(why) => Status::bad_request(why),
        languages::PatchError::Inapplicable(why)
            if kind == PatchKind::Strategic && why != "lists of lists are not supported" =>
        {
            Status::new(Reason::Unknown, why)
        }
        languages::PatchError::Inapplicable(_) => {
            generic(Reason::Invalid, "the server rejected our request due to an error in our request")
        }
        languages::PatchError::TooLarge(why) => Status::request_entity_too_large(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_makes_no_other_kind() {
        let want = GroupVersionKind::new("", "v1", "ConfigMap");
        let object = |kind: &str| Value::object_of([("apiVersion", Value::from("v1")), ("kind", Value::from(kind))]);
        assert_eq!(check_kind(&object("ConfigMap"), &want), Ok(()));
        let status = check_kind(&object("Foo"), &want).unwrap_err();
        assert_eq!(status.code, 422);
        assert!(status.message.contains("no kind \"Foo\" is registered for version \"v1\""), "{}", status.message);
    }

    #[test]
    fn failures_have_upstreams_words() {
        let object = Value::object_of([("data", Value::object_of([("a", Value::from("b"))]))]);
        let check = |object: &Value, patch: &str, want: (u16, &str)| {
            let patch = codec::json::decode(patch.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
            let error = languages::json::apply(object, &patch).unwrap_err();
            let status = patch_failure(PatchKind::Json, error);
            assert_eq!((status.code, status.message.as_str()), want, "{patch:?}");
        };
        let refused = (422, "the server rejected our request due to an error in our request");
        check(&object, r#"[{"op": "shred", "path": "/data"}]"#, refused);
        check(&object, r#"[{"op": "test", "path": "/data/a", "value": "c"}]"#, refused);
        check(&object, r#"[{"op": "remove", "path": "/none"}]"#, refused);
        let doubled = r#"{"op": "copy", "from": "", "path": "/x/-"}"#;
        let object = Value::object_of([("x", Value::array([]))]);
        check(&object, &format!("[{}]", [doubled; 40].join(",")), refused);
        let unfit =
            languages::PatchError::Inapplicable("map: map[a:1] does not contain declared merge key: name".into());
        assert_eq!(patch_failure(PatchKind::Strategic, unfit).code, 500);
    }
}
