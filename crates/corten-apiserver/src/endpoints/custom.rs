//! Custom resources as they come in: read without a type, then brought to their schema.
//!
//! Upstream: `schemaCoercingDecoder` in k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).

use bytes::Bytes;
use corten_apimachinery::{
    codec::{self, FieldValidation},
    field::{Error, Path, quote},
    gvk::{GroupVersion, GroupVersionKind},
    meta::ObjectMeta as _,
    resource::ObjectSchema,
    status::Status,
    value::Value,
};

use super::{
    body::{OBJECTS_MAX, decode_json, undecodable},
    strict,
    unrecognized::unrecognizable,
};
use crate::negotiation::{Encoding, unknown_body};

/// What custom resources are written in; the binary form needs a type that is part of the program.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/yaml"];

/// The refusal of a body that is no `kind`.
pub(super) fn unusable(kind: &GroupVersionKind, why: &dyn std::fmt::Display) -> Status {
    Status::bad_request(format!(
        "{kind} in version {version} cannot be handled as a {kind}: {why}",
        kind = kind.kind,
        version = quote(&kind.version)
    ))
}

/// Reads bytes as an object of no type, and tells what they say twice.
pub(super) fn decode(
    bytes: &Bytes,
    encoding: Encoding,
    validation: FieldValidation,
    kind: &GroupVersionKind,
) -> Result<(Value, Vec<String>), Status> {
    let decoded = match encoding {
        Encoding::Json => decode_json(bytes, None, validation),
        Encoding::Yaml => codec::yaml::decode_bounded(bytes, None, validation, OBJECTS_MAX),
        Encoding::Cbor => codec::cbor::decode_bounded(bytes, None, validation, OBJECTS_MAX),
        Encoding::Protobuf => return Err(unknown_body(&MEDIA_TYPES)),
    };
    let decoded = decoded.map_err(|error| undecodable(&error, |why| unusable(kind, &why)))?;
    let complaints = decoded.complaints();
    if !matches!(decoded.value, Value::Object(_)) {
        return Err(unusable(kind, &"the object provided is unrecognized (must be of type Object)"));
    }
    if decoded.value.kind().is_empty() {
        return Err(without_kind(bytes, validation, kind));
    }
    Ok((decoded.value, complaints))
}

/// Upstream: `transformDecodeError` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go. Who wants to know of unknown fields has
/// their body read in another way, which does not assume the kind of the path.
fn without_kind(bytes: &Bytes, validation: FieldValidation, want: &GroupVersionKind) -> Status {
    let text = String::from_utf8_lossy(bytes);
    let missing = format!("Object 'Kind' is missing in '{text}'");
    if validation == FieldValidation::Ignore {
        return unusable(want, &missing);
    }
    unrecognizable(&want.kind, &missing, bytes)
}

/// Expects an object of the version and of the kind of the path. `apiVersion` is looked at when it is read, `kind` by the
/// rules.
///
/// Errors: `BadRequest` for another version, `Invalid` for another kind.
/// Upstream: `AcceptsGroupVersion` in handlers/create.go, `ValidateTypeMeta` in
/// k8s.io/apiextensions-apiserver/pkg/registry/customresource/validator.go (v1.35).
pub(super) fn expect_type(object: &Value, want: &GroupVersionKind) -> Result<(), Status> {
    let version = want.group_version().to_string();
    if object.api_version() != version {
        let given = object.api_version();
        return Err(Status::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({version})"
        )));
    }
    expect_type_meta(object, want)
}

/// Expects what a patch has made to be of the version and of the kind of the path.
///
/// Errors: `Invalid`.
pub(super) fn expect_type_meta(object: &Value, want: &GroupVersionKind) -> Result<(), Status> {
    let version = want.group_version().to_string();
    let mut errors = Vec::new();
    for (field, given, want) in [("kind", object.kind(), &*want.kind), ("apiVersion", object.api_version(), &version)] {
        if given != want {
            errors.push(Error::invalid(&Path::new(field), given, format!("must be {want}")));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    // It is called what it says to be.
    let given = GroupVersion::parse(object.api_version()).unwrap_or_else(|| GroupVersion::new("", ""));
    Err(Status::invalid(&given.with_kind(object.kind()), object.name(), &errors))
}

/// Brings an object to its schema. `complaints` are those that reading it led to; `refused` makes a refusal of a reason.
pub(super) fn settle(
    schema: &dyn ObjectSchema,
    mut object: Value,
    mut complaints: Vec<String>,
    validation: FieldValidation,
    refused: impl Fn(&str) -> Status,
) -> Result<(Value, Vec<String>), Status> {
    let unknown = schema.settle(&mut object, false).map_err(|error| refused(&error.to_string()))?;
    complaints.extend(unknown.iter().map(|path| format!("unknown field {}", quote(path))));
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => Err(refused(&strict::strict_error(&complaints))),
        FieldValidation::Ignore => Ok((object, Vec::new())),
        _ => Ok((object, strict::warnings(complaints))),
    }
}
