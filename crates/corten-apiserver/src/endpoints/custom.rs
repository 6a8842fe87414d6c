//! Custom resources as they come in: read without a type, then brought to their schema.
//!
//! Upstream: `schemaCoercingDecoder` in k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).

use bytes::Bytes;
use corten_apimachinery::{
    codec::{self, FieldValidation},
    field::quote,
    gvk::GroupVersionKind,
    resource::ObjectSchema,
    status::Status,
    value::Value,
};

use super::body::{OBJECTS_MAX, decode_json, undecodable};
use crate::negotiation::{Encoding, unknown_body};

/// What custom resources are written in; the binary form needs a type that is part of the program.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/yaml"];

fn unusable(kind: &GroupVersionKind, why: &dyn std::fmt::Display) -> Status {
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
    Ok((decoded.value, complaints))
}

/// Brings an object to its schema. `complaints` are those that reading it led to.
pub(super) fn settle(
    schema: &dyn ObjectSchema,
    mut object: Value,
    mut complaints: Vec<String>,
    validation: FieldValidation,
    kind: &GroupVersionKind,
) -> Result<(Value, Vec<String>), Status> {
    let unknown = schema.settle(&mut object, false).map_err(|error| unusable(kind, &error))?;
    complaints.extend(unknown.iter().map(|path| format!("unknown field {}", quote(path))));
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            Err(unusable(kind, &format_args!("strict decoding error: {}", complaints.join(", "))))
        }
        FieldValidation::Ignore => Ok((object, Vec::new())),
        _ => Ok((object, complaints)),
    }
}
