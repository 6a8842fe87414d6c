//! Reads the body of a patch, in whichever language it is.
//!
//! Upstream: `applyJSPatch`, `strategicPatchObject` and `applyPatcher` in k8s.io/apiserver/pkg/endpoints/handlers/patch.go
//! (v1.35).

use corten_apimachinery::{
    codec::{self, DecodeError, FieldValidation},
    status::Status,
    value::Value,
};

use super::{
    body::{OBJECTS_MAX, decode_json, read_bytes, undecodable},
    strict,
};
use crate::{negotiation::PatchType, request::RequestBody};

/// A patch as the client sent it.
pub(super) struct Patch {
    pub(super) value: Value,
    /// Keys that say nothing, or say it twice; empty if nobody wants to know.
    pub(super) complaints: Vec<String>,
}

/// Reads a patch: a configuration in YAML (or JSON, which is YAML) or CBOR, other patches in JSON.
pub(super) async fn read_patch(
    body: RequestBody,
    patch_type: PatchType,
    validation: FieldValidation,
) -> Result<Patch, Status> {
    if let RequestBody::Tree(value) = body {
        return Ok(Patch { value, complaints: Vec::new() });
    }
    let bytes = read_bytes(body).await?;
    let kind = patch_type.kind();
    match patch_type {
        PatchType::Json | PatchType::Merge | PatchType::Strategic => {
            let malformed = |why: &str| Status::bad_request(format!("{}{why}", before_complaint(patch_type)));
            let mut decoded = decode_json(&bytes, None, validation).map_err(|error| undecodable(&error, malformed))?;
            expect_shape(patch_type, &mut decoded.value, validation)?;
            let complaints = strict::complaints(kind, &decoded, validation);
            Ok(Patch { value: decoded.value, complaints })
        }
        PatchType::ApplyYaml => {
            // Programs send JSON, which is read many times as fast; what is wrong with it is said as for YAML.
            let is_json = bytes.first() == Some(&b'{');
            let json = is_json.then(|| codec::json::decode_bounded(&bytes, None, validation, OBJECTS_MAX));
            let decoded = match json {
                Some(Ok(decoded)) if decoded.complaints().is_empty() => Ok(decoded),
                Some(Err(error @ DecodeError::TooManyObjects(_))) => Err(error),
                _ => codec::yaml::decode_bounded(&bytes, None, validation, OBJECTS_MAX),
            };
            let malformed =
                |why: &str| Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}"));
            let mut decoded = decoded.map_err(|error| undecodable(&error, malformed))?;
            expect_shape(patch_type, &mut decoded.value, validation)?;
            let complaints = if validation == FieldValidation::Ignore { Vec::new() } else { decoded.complaints() };
            Ok(Patch { value: decoded.value, complaints })
        }
        PatchType::ApplyCbor => {
            let decoded = codec::cbor::decode_bounded(&bytes, None, validation, OBJECTS_MAX);
            let malformed = |why: &str| Status::bad_request(format!("{}{why}", before_complaint(patch_type)));
            let mut decoded = decoded.map_err(|error| undecodable(&error, malformed))?;
            expect_shape(patch_type, &mut decoded.value, validation)?;
            // A key that is there twice is no complaint, but a failure.
            Ok(Patch { value: decoded.value, complaints: Vec::new() })
        }
    }
}

/// What upstream's library says of a merge patch that is null or a scalar.
const BAD_MERGE_PATCH: &str = "Invalid JSON Patch";

/// What stands before the complaint of the decoder; of every configuration upstream says that it is YAML.
fn before_complaint(patch_type: PatchType) -> &'static str {
    match patch_type {
        PatchType::Json | PatchType::Merge => "error decoding patch: ",
        PatchType::Strategic => "",
        PatchType::ApplyYaml => "error decoding YAML: error unmarshaling JSON: while decoding JSON: ",
        PatchType::ApplyCbor => "error decoding YAML: ",
    }
}

/// A JSON patch is a list, the others are objects; null is an empty one, but no merge patch.
///
/// Errors: another value, in the words of Go's decoder.
fn expect_shape(patch_type: PatchType, patch: &mut Value, validation: FieldValidation) -> Result<(), Status> {
    let refused_value = |value: &Value, before: &str, wanted: &str| {
        let found = value.go_json_type();
        Err(Status::bad_request(format!("{before}json: cannot unmarshal {found} into Go value of type {wanted}")))
    };
    let refused = |before: &str, wanted: &str| refused_value(patch, before, wanted);
    let before = before_complaint(patch_type);
    match (patch_type, &*patch) {
        (PatchType::Json, Value::Null) => {
            *patch = Value::array([]);
            Ok(())
        }
        (PatchType::Json, Value::Array(operations)) => {
            match operations.iter().find(|operation| !matches!(operation, Value::Object(_) | Value::Null)) {
                None => Ok(()),
                Some(other) if validation == FieldValidation::Ignore => refused_value(other, "", "jsonpatch.Operation"),
                Some(other) => refused_value(other, before, "handlers.jsonPatchOp"),
            }
        }
        (PatchType::Json, _) if validation == FieldValidation::Ignore => refused("", "jsonpatch.Patch"),
        (PatchType::Json, _) => refused(before, "[]handlers.jsonPatchOp"),
        (PatchType::Merge, Value::Null) => Err(Status::bad_request(BAD_MERGE_PATCH)),
        (PatchType::Strategic, Value::Null) => {
            *patch = Value::object();
            Ok(())
        }
        (_, Value::Object(_) | Value::Null) => Ok(()),
        // Then it is the object that the patch makes which is wrong.
        (PatchType::Merge, Value::Array(_)) if validation == FieldValidation::Ignore => Ok(()),
        (PatchType::Merge, _) if validation == FieldValidation::Ignore => Err(Status::bad_request(BAD_MERGE_PATCH)),
        (PatchType::ApplyCbor, value) => {
            let found = cbor_kind(value);
            let why = format!("cbor: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
            Err(Status::bad_request(format!("{before}{why}")))
        }
        _ => refused(before, "map[string]interface {}"),
    }
}

/// How the CBOR library of upstream calls what a value was written as.
///
/// Upstream: `cborType` in github.com/fxamacker/cbor/v2.
fn cbor_kind(value: &Value) -> &'static str {
    match value {
        Value::Int(number) if *number < 0 => "negative integer",
        Value::Int(_) => "positive integer",
        // Programs write texts as bytes.
        Value::String(_) => "byte string",
        Value::Array(_) => "array",
        _ => "primitives",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn read(body: &[u8]) -> Result<Patch, String> {
        let body = RequestBody::Bytes(Bytes::copy_from_slice(body));
        let patch = read_patch(body, PatchType::ApplyCbor, FieldValidation::Strict).await;
        patch.map_err(|status| status.message)
    }

    /// A merge patch `null` was taken, or blamed on the object that it made, and a strategic one was refused.
    #[test]
    fn bodies_that_are_no_objects_are_upstreams() {
        let wanted =
            |found: &str, wanted: &str| format!("json: cannot unmarshal {found} into Go value of type {wanted}");
        let decoding = |found: &str, into: &str| format!("error decoding patch: {}", wanted(found, into));
        let (ignore, warn) = (FieldValidation::Ignore, FieldValidation::Warn);
        let map = "map[string]interface {}";
        let bad = || Err(BAD_MERGE_PATCH.to_owned());
        for (patch_type, body, validation, want) in [
            (PatchType::Json, Value::Null, ignore, Ok(Value::array([]))),
            (PatchType::Json, Value::Null, warn, Ok(Value::array([]))),
            (PatchType::Strategic, Value::Null, ignore, Ok(Value::object())),
            (PatchType::Strategic, Value::Null, warn, Ok(Value::object())),
            (PatchType::Strategic, Value::from("a"), warn, Err(wanted("string", map))),
            (PatchType::Strategic, Value::array([]), ignore, Err(wanted("array", map))),
            (PatchType::Merge, Value::Null, ignore, bad()),
            (PatchType::Merge, Value::Null, warn, bad()),
            (PatchType::Merge, Value::from("a"), ignore, bad()),
            (PatchType::Merge, Value::Int(1), ignore, bad()),
            (PatchType::Merge, Value::Bool(true), warn, Err(decoding("bool", map))),
            (PatchType::Merge, Value::array([]), warn, Err(decoding("array", map))),
            (PatchType::Merge, Value::array([]), ignore, Ok(Value::array([]))),
        ] {
            let mut patch = body.clone();
            let got = expect_shape(patch_type, &mut patch, validation).map(|()| patch).map_err(|status| status.message);
            assert_eq!(got, want, "{patch_type:?} {body:?} {validation:?}");
        }
    }

    #[tokio::test]
    async fn a_configuration_may_be_cbor() {
        let config = Value::object_of([
            ("apiVersion", Value::from("v1")),
            ("kind", "ConfigMap".into()),
            ("data", Value::object_of([("a", Value::from("b"))])),
        ]);
        let patch = read(&codec::cbor::encode(&config)).await.unwrap();
        assert_eq!((patch.value, patch.complaints), (config, Vec::new()));
        for (body, why) in [
            (&b""[..], "unexpected EOF"),
            (b"\xa2\x41a\x01\x41a\x02", "cbor: found duplicate map key \"a\""),
            (b"\x80", "cbor: cannot unmarshal array into Go value of type map[string]interface {}"),
            (b"\x41a", "cbor: cannot unmarshal byte string into Go value of type map[string]interface {}"),
            (b"\x20", "cbor: cannot unmarshal negative integer into Go value of type map[string]interface {}"),
            (b"\xf5", "cbor: cannot unmarshal primitives into Go value of type map[string]interface {}"),
        ] {
            assert_eq!(read(body).await.err(), Some(format!("error decoding YAML: {why}")));
        }
    }
}
