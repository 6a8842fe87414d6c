//! What Go's decoders say of a body that is no object at all, or of a value that is of another type than it should be.
//!
//! Upstream: `transformDecodeError` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35), with the words of
//! encoding/json.

use corten_apimachinery::{
    codec::{self, DecodeError, FieldValidation},
    status::Status,
    value::{Map, Value},
};

use super::body::{OBJECTS_MAX, decode_json};
use crate::negotiation::Encoding;

/// The refusal of a body that does not even say of which kind it is: upstream looks for that first, and takes no other error
/// for one of the kind that is wanted. `why` is what reading found. `None` if the body says its kind, or leaves it out.
pub(super) fn unrecognized(bytes: &[u8], encoding: Encoding, why: &str, kind: &str) -> Option<Status> {
    /// The struct that upstream reads the kind into.
    const KIND: &str =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let read = match encoding {
        Encoding::Json => decode_json(bytes, None, FieldValidation::Ignore),
        Encoding::Yaml => codec::yaml::decode_bounded(bytes, None, FieldValidation::Ignore, OBJECTS_MAX),
        Encoding::Protobuf if codec::protobuf::is_whole_envelope(bytes) => return None,
        Encoding::Protobuf => return Some(unrecognizable(kind, &why, bytes)),
        Encoding::Cbor => return None,
    };
    let mismatch = match read {
        Ok(codec::Decoded { value: Value::Object(object), .. }) => {
            let is_wrong = |value: &&Value| !value.is_null() && value.as_str().is_none();
            let wrong =
                ["apiVersion", "kind"].iter().find_map(|field| Some((field, object.get(field).filter(is_wrong)?)));
            let Some((field, value)) = wrong else { return without_version(&object, bytes, kind) };
            format!("json: cannot unmarshal {} into Go struct field .{field} of type string", value.go_json_type())
        }
        Ok(codec::Decoded { value: Value::Null, .. }) => return None,
        Ok(codec::Decoded { value, .. }) => {
            format!("json: cannot unmarshal {} into Go value of type {KIND}", value.go_json_type())
        }
        Err(DecodeError::TooDeep(_)) if encoding == Encoding::Json => {
            // The bound of this server is below Go's: what lies between is no error of the text.
            match too_deep_for_go(bytes) {
                Some(byte) => format!("invalid character '{}' exceeded max depth", char::from(byte)),
                None if bytes.trim_ascii_start().starts_with(b"[") => {
                    format!("json: cannot unmarshal array into Go value of type {KIND}")
                }
                None => return None,
            }
        }
        Err(error) if encoding == Encoding::Json => error.to_string(),
        Err(error) => return Some(unrecognizable(kind, &error, bytes)),
    };
    Some(unrecognizable(kind, &format_args!("couldn't get version/kind; json parse error: {mismatch}"), bytes))
}

/// The refusal of an object in JSON or YAML whose `apiVersion` is none: upstream then does not know of which kind it is.
/// `None` if it is one.
///
/// Upstream: `Interpret` in k8s.io/apimachinery/pkg/runtime/serializer/json/meta.go, `ParseGroupVersion` in runtime/schema
/// (v1.35).
pub(super) fn without_version(object: &Map, bytes: &[u8], kind: &str) -> Option<Status> {
    let version = object.get("apiVersion")?.as_str()?;
    let is_none = version.matches('/').count() > 1;
    is_none.then(|| unrecognizable(kind, &format_args!("unexpected GroupVersion string: {version}"), bytes))
}

/// The bracket with which a text is nested more deeply than Go reads. Upstream: `maxNestingDepth` in encoding/json.
fn too_deep_for_go(bytes: &[u8]) -> Option<u8> {
    const DEPTH_MAX: usize = 10_000;
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for &byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Some(byte);
        }
    }
    None
}

/// The refusal of a body that is of no kind, which shows how it begins.
///
/// Upstream: `transformDecodeError` and `summarizeData` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).
pub(super) fn unrecognizable(kind: &str, why: &dyn std::fmt::Display, bytes: &[u8]) -> Status {
    const SHOWN_BYTES_MAX: usize = 30;
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let text = match shown.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let rest = if bytes.len() > shown.len() { " ..." } else { "" };
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({text}{rest})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_does_not_say_its_kind_is_unrecognized() {
        let check = |encoding: Encoding, body: &str, want: Option<&str>| {
            let got = unrecognized(body.as_bytes(), encoding, "why", "Pod").map(|status| status.message);
            let want = want.map(|want| format!("the object provided is unrecognized (must be of type Pod): {want}"));
            assert_eq!(got, want, "{body}");
        };
        let json = |body: &str, want: &str| {
            check(Encoding::Json, body, Some(&format!("couldn't get version/kind; json parse error: {want}")));
        };
        let as_struct = r#"into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
        json("garbage", "invalid character 'g' looking for beginning of value (67617262616765)");
        json("", "unexpected end of JSON input (<empty>)");
        json("[]", &format!("json: cannot unmarshal array {as_struct} (5b5d)"));
        json(
            r#"{"kind":"Pod","metadata":{"name":"x"}"#,
            r#"unexpected end of JSON input ({"kind":"Pod","metadata":{"nam ...)"#,
        );
        json(
            r#"{"kind":3}"#,
            r#"json: cannot unmarshal number into Go struct field .kind of type string ({"kind":3})"#,
        );
        let nested = |count: usize| "[".repeat(count) + &"]".repeat(count);
        let shown = "5b".repeat(30) + " ...";
        json(&nested(10_000), &format!("json: cannot unmarshal array {as_struct} ({shown})"));
        json(&nested(10_001), &format!("invalid character '[' exceeded max depth ({shown})"));
        check(Encoding::Json, &format!(r#"{{"a":{}}}"#, nested(9_999)), None);
        let version = |body: &str| Some(format!("unexpected GroupVersion string: a/b/c ({body})"));
        let body = r#"{"apiVersion":"a/b/c","spec":3}"#;
        check(Encoding::Json, body, version(&format!("{} ...", &body[..30])).as_deref());
        check(Encoding::Yaml, "apiVersion: a/b/c", version("61706956657273696f6e3a20612f622f63").as_deref());
        check(Encoding::Json, r#"{"apiVersion":"a/b"}"#, None);
        // What says its kind, or leaves it out, is refused as an object of that kind.
        check(Encoding::Json, r#"{"spec":3}"#, None);
        let text =
            format!("couldn't get version/kind; json parse error: json: cannot unmarshal string {as_struct} (61)");
        check(Encoding::Yaml, "a", Some(&text));
        check(Encoding::Protobuf, "abc", Some("why (616263)"));
        check(Encoding::Protobuf, "k8s\0", Some("why (6b387300)"));
        check(Encoding::Protobuf, "k8s\0\x0a\x05v", Some("why (6b3873000a0576)"));
        check(Encoding::Protobuf, "k8s\0\x12\x01\x0a", None);
    }
}
