//! Reads request bodies: bounded, in every encoding, strict as the client asks.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/{create,rest}.go (v1.35) for checks and messages.

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec::{self, DecodeError, FieldValidation},
    field::{Error, Path, quote},
    gvk::{GroupVersion, GroupVersionKind},
    meta::ObjectMeta as _,
    status::Status,
    type_table::{TypeId, TypeTable},
    value::Value,
};
use http::header;
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::routes::Endpoint;
use crate::{
    negotiation::{self, Encoding},
    request::{Query, Request, RequestBody},
};

/// The largest body. Upstream: `MaxRequestBodyBytes`.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The most objects within one body, not counting those in sets of managed fields. As bytes they are nothing; each costs some
/// thousand bytes once it has its defaults and is looked at. What can be stored at all has fewer in practice.
pub(crate) const OBJECTS_MAX: usize = 100_000;

/// Reads the whole body.
///
/// Errors: `RequestEntityTooLarge`; `BadRequest` if the connection breaks.
pub async fn read_bytes(body: RequestBody) -> Result<Bytes, Status> {
    match body {
        RequestBody::Empty => Ok(Bytes::new()),
        RequestBody::Bytes(bytes) => Ok(bytes),
        RequestBody::Tree(tree) => Ok(codec::json::encode(&tree, None)),
        RequestBody::Stream(stream) => read_stream(stream, |_| Ok(())).await,
    }
}

/// Reads the whole of `stream`. `grow` hears of every piece before it is kept.
///
/// Errors: as `read_bytes`; those of `grow`.
pub(crate) async fn read_stream(
    mut stream: Incoming,
    mut grow: impl FnMut(usize) -> Result<(), Status>,
) -> Result<Bytes, Status> {
    let mut whole = BytesMut::new();
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("unable to read request body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            discard(stream, BODY_BYTES_MAX).await;
            return Err(Status::request_entity_too_large(format_args!("limit is {BODY_BYTES_MAX}")));
        }
        grow(data.len())?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Takes what a client still sends, up to a limit: an HTTP/2 stream that ends before its body was read is reset, and the
/// client would miss the answer.
async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, limit: usize) {
    let mut taken = 0;
    while taken <= limit {
        match body.frame().await {
            Some(Ok(frame)) => taken += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

/// How unknown and duplicate fields are met.
pub(super) fn field_validation(query: &Query, options_kind: &str) -> Result<FieldValidation, Status> {
    match query.get("fieldValidation") {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => {
            let error = Error::not_supported(&Path::new("fieldValidation"), other, &["", "Ignore", "Strict", "Warn"]);
            Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", options_kind), "", &[error]))
        }
    }
}

/// Reads the body as an object of `endpoint`'s version, with defaults, and advice for the client.
pub(super) async fn decode_object(
    endpoint: &Endpoint,
    request: &mut Request,
    table: &TypeTable,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Status> {
    let type_id = endpoint.type_id;
    let encoding = Encoding::of_body(request.header(header::CONTENT_TYPE))?;
    let body = std::mem::take(&mut request.body);
    let kind = endpoint.kind();
    let (mut object, warnings) = match body {
        RequestBody::Tree(mut tree) => {
            codec::canonicalize(&mut tree, table, type_id);
            (tree, Vec::new())
        }
        body => decode_bytes(&read_bytes(body).await?, encoding, table, type_id, validation, &kind)?,
    };
    check_kind(&mut object, &kind, table)?;
    (endpoint.version.defaults)(&mut object);
    Ok((object, warnings))
}

/// Reads bytes as a `kind` and reports what is wrong with them in upstream's words.
pub(super) fn decode_bytes(
    bytes: &Bytes,
    encoding: Encoding,
    table: &TypeTable,
    type_id: TypeId,
    validation: FieldValidation,
    kind: &GroupVersionKind,
) -> Result<(Value, Vec<String>), Status> {
    let typed = Some((table, type_id));
    let decoded = match encoding {
        Encoding::Json => decode_json(bytes, typed, validation),
        Encoding::Protobuf => {
            codec::protobuf::decode_bounded(bytes, table, type_id, OBJECTS_MAX).map(codec::Decoded::of)
        }
        Encoding::Yaml => codec::yaml::decode_bounded(bytes, typed, validation, OBJECTS_MAX),
        Encoding::Cbor => codec::cbor::decode_bounded(bytes, typed, validation, OBJECTS_MAX),
    };
    let handled = |why: &dyn std::fmt::Display| {
        Status::bad_request(format!(
            "{kind} in version {version} cannot be handled as a {kind}: {why}",
            kind = kind.kind,
            version = quote(&kind.version)
        ))
    };
    let decoded = decoded.map_err(|error| {
        undecodable(&error, |why| unrecognized(bytes, encoding, why, &kind.kind).unwrap_or_else(|| handled(&why)))
    })?;
    let complaints = decoded.complaints();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            Err(handled(&format_args!("strict decoding error: {}", complaints.join(", "))))
        }
        FieldValidation::Warn => Ok((decoded.value, complaints)),
        _ => Ok((decoded.value, Vec::new())),
    }
}

/// The refusal of a body that does not even say of which kind it is: upstream looks for that first, and takes no other error
/// for one of the kind that is wanted. `why` is what reading found. `None` if the body says its kind, or leaves it out.
fn unrecognized(bytes: &[u8], encoding: Encoding, why: &str, kind: &str) -> Option<Status> {
    /// The struct that upstream reads the kind into.
    const KIND: &str =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let read = match encoding {
        Encoding::Json => decode_json(bytes, None, FieldValidation::Ignore),
        Encoding::Yaml => codec::yaml::decode_bounded(bytes, None, FieldValidation::Ignore, OBJECTS_MAX),
        Encoding::Protobuf if codec::protobuf::is_envelope(bytes) => return None,
        Encoding::Protobuf => return Some(unrecognizable(kind, &why, bytes)),
        Encoding::Cbor => return None,
    };
    let mismatch = match read {
        Ok(codec::Decoded { value: Value::Object(object), .. }) => {
            let is_wrong = |value: &&Value| !value.is_null() && value.as_str().is_none();
            let (field, value) =
                ["apiVersion", "kind"].iter().find_map(|field| Some((field, object.get(field).filter(is_wrong)?)))?;
            format!("json: cannot unmarshal {} into Go struct field .{field} of type string", go_kind(value))
        }
        Ok(codec::Decoded { value: Value::Null, .. }) => return None,
        Ok(codec::Decoded { value, .. }) => {
            format!("json: cannot unmarshal {} into Go value of type {KIND}", go_kind(&value))
        }
        Err(error) if encoding == Encoding::Json && error.to_string().contains("exceeded max depth") => {
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

/// What Go's decoder of JSON calls a value.
pub(super) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Upstream: `transformDecodeError` and `summarizeData` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).
fn unrecognizable(kind: &str, why: &dyn std::fmt::Display, bytes: &[u8]) -> Status {
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

/// Reads JSON of at most `OBJECTS_MAX` objects as Go does: bytes that are no UTF-8 are replaced, one by one.
pub(super) fn decode_json(
    bytes: &[u8],
    typed: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
) -> Result<codec::Decoded, DecodeError> {
    let decoded = codec::json::decode_bounded(bytes, typed, validation, OBJECTS_MAX);
    if decoded.is_ok() || std::str::from_utf8(bytes).is_ok() {
        return decoded;
    }
    let mut text = String::with_capacity(bytes.len() + 64);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len()));
    }
    codec::json::decode_bounded(text.as_bytes(), typed, validation, OBJECTS_MAX)
}

/// The refusal of bytes that cannot be read, or should not be; `malformed` tells what was wrong with what is no object.
pub(super) fn undecodable(error: &DecodeError, malformed: impl FnOnce(&str) -> Status) -> Status {
    match error {
        DecodeError::Malformed(why) => malformed(why),
        DecodeError::TooManyObjects(_) => Status::request_entity_too_large(error),
    }
}

fn check_kind(object: &mut Value, want: &GroupVersionKind, table: &TypeTable) -> Result<(), Status> {
    let want_version = want.group_version().to_string();
    if object.api_version().is_empty() {
        object.set(&["apiVersion"], want_version.as_str());
    }
    if object.kind().is_empty() {
        object.set(&["kind"], want.kind.clone());
    }
    if object.kind() == want.kind && object.api_version() == want_version {
        return Ok(());
    }
    let given = GroupVersion::parse(object.api_version()).unwrap_or_else(|| GroupVersion::new("", ""));
    if table.find_kind(&given.group, &given.version, object.kind()).is_none() {
        // The last words are where upstream's table of kinds is made.
        return Err(Status::bad_request(format!(
            "{kind} in version {version} cannot be handled as a {want}: no kind {quoted} is registered for version \
             {group_version} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            kind = object.kind(),
            version = quote(&given.version),
            want = want.kind,
            quoted = quote(object.kind()),
            group_version = quote(object.api_version()),
        )));
    }
    if object.kind() != want.kind {
        return Err(Status::bad_request(format!(
            "{given_kind} in version {quoted} cannot be handled as a {kind}: converting ({version}.{given_kind}) to \
             ({hub}.{kind}): unknown conversion",
            given_kind = object.kind(),
            quoted = quote(&given.version),
            version = given.version,
            hub = hub_package(&want.group),
            kind = want.kind,
        )));
    }
    Err(Status::bad_request(format!(
        "the API version in the data ({}) does not match the expected API version ({want_version})",
        object.api_version()
    )))
}

/// The package of a group's internal types in upstream.
fn hub_package(group: &str) -> &str {
    match group {
        // Events of both groups are one type there.
        "" | "events.k8s.io" => "core",
        _ => group.split('.').next().unwrap_or(group),
    }
}

/// Reads the body of a create that is answered and not stored: a review, a binding, an eviction, a token request.
///
/// `type_name` is the name of its type in the table. Returns the object, and advice for the client.
pub async fn decode_review(
    request: &mut Request,
    table: &TypeTable,
    type_name: &str,
    kind: &GroupVersionKind,
) -> Result<(Value, Vec<String>), Status> {
    decode_review_of(request, table, type_name, kind, &[]).await
}

/// `decode_review` of a kind that is also taken in `other_versions` of the same form; the object comes out in that of `kind`.
pub async fn decode_review_of(
    request: &mut Request,
    table: &TypeTable,
    type_name: &str,
    kind: &GroupVersionKind,
    other_versions: &[&str],
) -> Result<(Value, Vec<String>), Status> {
    let type_id =
        table.find(type_name).ok_or_else(|| Status::internal(format_args!("type {type_name} is not in the table")))?;
    let validation = field_validation(&request.query, "CreateOptions")?;
    let encoding = Encoding::of_body(request.header(header::CONTENT_TYPE))?;
    let (mut object, warnings) = match std::mem::take(&mut request.body) {
        RequestBody::Tree(mut tree) => {
            codec::canonicalize(&mut tree, table, type_id);
            (tree, Vec::new())
        }
        body => decode_bytes(&read_bytes(body).await?, encoding, table, type_id, validation, kind)?,
    };
    let is_other = |version: &&str| object.api_version() == GroupVersion::new(kind.group.clone(), *version).to_string();
    if other_versions.iter().any(is_other) {
        object.set(&["apiVersion"], kind.group_version().to_string());
    }
    check_kind(&mut object, kind, table)?;
    Ok((object, warnings))
}

/// Reads the options in the body of a delete; null if there are none.
pub(super) async fn decode_delete_options(request: &mut Request, table: &TypeTable) -> Result<Value, Status> {
    const TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
    let body = match std::mem::take(&mut request.body) {
        RequestBody::Tree(tree) => return Ok(tree),
        body => read_bytes(body).await?,
    };
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let encoding =
        Encoding::of_body(request.header(header::CONTENT_TYPE)).map_err(|_| negotiation::unsupported_media_type())?;
    let type_id = table.find(TYPE).ok_or_else(|| Status::internal("DeleteOptions is not in the type table"))?;
    let kind = GroupVersionKind::new("", "v1", "DeleteOptions");
    let options = decode_bytes(&body, encoding, table, type_id, FieldValidation::Ignore, &kind)?.0;
    // Of which group they say to be does not matter.
    if !options.kind().is_empty() && options.kind() != kind.kind {
        return Err(Status::bad_request("decoded object cannot be converted to DeleteOptions"));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

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
        // What says its kind, or leaves it out, is refused as an object of that kind.
        check(Encoding::Json, r#"{"spec":3}"#, None);
        let text =
            format!("couldn't get version/kind; json parse error: json: cannot unmarshal string {as_struct} (61)");
        check(Encoding::Yaml, "a", Some(&text));
        check(Encoding::Protobuf, "abc", Some("why (616263)"));
    }

    /// Text in another encoding was refused as a whole.
    #[test]
    fn what_is_no_utf8_is_replaced() {
        let decoded = decode_json(b"{\"a\": \"caf\xe9 \xe2\x82!\"}", None, FieldValidation::Ignore).unwrap();
        assert_eq!(decoded.value.str_at(&["a"]), Some("caf\u{fffd} \u{fffd}\u{fffd}!"));
        assert!(decode_json(b"{\"a\": \xe9}", None, FieldValidation::Ignore).is_err());
    }

    /// A body of 4 MB over HTTP/2 was not read to its end, so that the stream was reset and curl saw no answer.
    #[tokio::test]
    async fn what_is_too_large_is_taken_to_its_end_if_that_is_near() {
        for (limit, want_left) in [(100, 0), (25, 7)] {
            let mut left = 10;
            let frames = std::iter::from_fn(|| {
                left = usize::checked_sub(left, 1)?;
                Some(Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(b"0123456789"))))
            });
            discard(StreamBody::new(futures::stream::iter(frames)), limit).await;
            assert_eq!(left, want_left, "{limit}");
        }
    }
}
