//! Reads request bodies: bounded, in every encoding, strict as the client asks.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/{create,rest}.go (v1.35) for checks and messages.

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec::{self, DecodeError, FieldValidation},
    field::quote,
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

use super::{
    custom, kinds,
    routes::Endpoint,
    strict,
    unrecognized::{unrecognized, without_version},
    write_options::WriteOptions,
};
use crate::{
    negotiation::{self, Encoding},
    request::{Request, RequestBody},
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

/// Reads the body as an object of `endpoint`'s version, with defaults, and advice for the client.
pub(super) async fn decode_object(
    endpoint: &Endpoint,
    request: &mut Request,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Status> {
    let (table, type_id) = endpoint.typed();
    let schema = endpoint.version.schema.as_deref();
    let encoding = Encoding::of_body(request.header(header::CONTENT_TYPE))?;
    let body = std::mem::take(&mut request.body);
    let kind = endpoint.kind();
    let (object, warnings) = match body {
        RequestBody::Tree(mut tree) if schema.is_some() => {
            // A component of this process need not say what the path says.
            kinds::fill_in(&mut tree, &kind);
            (tree, Vec::new())
        }
        RequestBody::Tree(mut tree) => {
            codec::canonicalize(&mut tree, table, type_id);
            (tree, Vec::new())
        }
        body if schema.is_some() => custom::decode(&read_bytes(body).await?, encoding, validation, &kind)?,
        body => decode_bytes(&read_bytes(body).await?, encoding, table, type_id, validation, &kind)?,
    };
    let (mut object, warnings) = match schema {
        Some(schema) => {
            custom::expect_type(&object, &kind)?;
            custom::settle(schema, object, warnings, validation, |why| custom::unusable(&kind, &why))?
        }
        None => (object, warnings),
    };
    if schema.is_none() {
        kinds::check(&mut object, &kind, table)?;
    }
    if let Some(why) = endpoint.version.misfit.and_then(|misfit| misfit(&object)) {
        let (kind, version) = (&kind.kind, quote(&kind.version));
        return Err(Status::bad_request(format!("{kind} in version {version} cannot be handled as a {kind}: {why}")));
    }
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
    let read_as = |type_id: TypeId| match encoding {
        Encoding::Json => decode_json(bytes, Some((table, type_id)), validation),
        Encoding::Protobuf => {
            codec::protobuf::decode_bounded(bytes, table, type_id, OBJECTS_MAX).map(codec::Decoded::of)
        }
        Encoding::Yaml => codec::yaml::decode_bounded(bytes, Some((table, type_id)), validation, OBJECTS_MAX),
        Encoding::Cbor => codec::cbor::decode_bounded(bytes, Some((table, type_id)), validation, OBJECTS_MAX),
    };
    let mut decoded = read_as(type_id);
    let mut said = kind.clone();
    if is_refused(&decoded, validation)
        && let Some((other, other_type)) = kinds::said(bytes, encoding, table, kind)?
    {
        // What is wrong with it as what it is not, nobody asks.
        decoded = read_as(other_type);
        said = other;
    }
    let handled = |why: &dyn std::fmt::Display| {
        Status::bad_request(format!(
            "{said} in version {version} cannot be handled as a {kind}: {why}",
            said = said.kind,
            version = quote(&said.version),
            kind = kind.kind,
        ))
    };
    let decoded = decoded.map_err(|error| {
        undecodable(&error, |why| unrecognized(bytes, encoding, why, &kind.kind).unwrap_or_else(|| handled(&why)))
    })?;
    if let (Encoding::Json | Encoding::Yaml, Value::Object(object)) = (encoding, &decoded.value)
        && let Some(refusal) = without_version(object, bytes, &kind.kind)
    {
        return Err(refusal);
    }
    let complaints = decoded.complaints();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            Err(handled(&format_args!("strict decoding error: {}", complaints.join(", "))))
        }
        FieldValidation::Warn => Ok((decoded.value, strict::warnings(complaints))),
        _ => Ok((decoded.value, Vec::new())),
    }
}

fn is_refused(decoded: &Result<codec::Decoded, DecodeError>, validation: FieldValidation) -> bool {
    match decoded {
        Ok(decoded) => validation == FieldValidation::Strict && !decoded.complaints().is_empty(),
        Err(DecodeError::Malformed(_)) => true,
        Err(_) => false,
    }
}

/// Reads JSON of at most `OBJECTS_MAX` objects as Go does: bytes that are no UTF-8 are replaced, one by one.
pub(super) fn decode_json(
    bytes: &[u8],
    typed: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
) -> Result<codec::Decoded, DecodeError> {
    codec::json::decode_lossy(bytes, typed, validation, OBJECTS_MAX)
}

/// The refusal of bytes that cannot be read, or should not be; `malformed` tells what was wrong with what is no object.
pub(super) fn undecodable(error: &DecodeError, malformed: impl FnOnce(&str) -> Status) -> Status {
    match error {
        DecodeError::Malformed(why) => malformed(why),
        DecodeError::TooDeep(why) => malformed(why),
        DecodeError::TooManyObjects(_) => Status::request_entity_too_large(error),
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

/// `decode_review` of what is written and not made, whose options were read.
pub(super) async fn decode_written(
    request: &mut Request,
    (table, type_id): (&TypeTable, TypeId),
    kind: &GroupVersionKind,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Status> {
    decode_as(request, (table, type_id), kind, &[], validation).await
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
    let validation = WriteOptions::read(&request.query, "CreateOptions")?.validation;
    decode_as(request, (table, type_id), kind, other_versions, validation).await
}

async fn decode_as(
    request: &mut Request,
    (table, type_id): (&TypeTable, TypeId),
    kind: &GroupVersionKind,
    other_versions: &[&str],
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Status> {
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
    kinds::check(&mut object, kind, table)?;
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
