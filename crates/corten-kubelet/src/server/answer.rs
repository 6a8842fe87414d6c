//! Answers: plain text, JSON, bytes as they come, and the switch to another protocol.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};

/// The body of an answer.
pub(super) type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

/// Plain text.
pub(super) fn text(code: StatusCode, body: impl Into<Bytes>) -> Response<Answer> {
    with_type(code, "text/plain; charset=utf-8", body)
}

/// JSON.
pub(super) fn json(value: &serde_json::Value) -> Response<Answer> {
    with_type(StatusCode::OK, "application/json", value.to_string())
}

/// JSON for people.
pub(super) fn json_indented(value: &serde_json::Value) -> Response<Answer> {
    with_type(StatusCode::OK, "application/json", format!("{value:#}"))
}

/// Bytes of some type.
pub(super) fn with_type(code: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Answer> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    of(code, media_type, body)
}

/// Any body.
pub(super) fn of(code: StatusCode, media_type: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The switch to another protocol.
pub(super) fn switch(headers: HeaderMap) -> Response<Answer> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}

/// A refused upgrade.
pub(super) fn refuse(refusal: corten_streaming::Refusal) -> Response<Answer> {
    let mut response = text(refusal.code, refusal.message);
    response.headers_mut().extend(*refusal.headers);
    response
}
