//! `Status`: the only form in which the API reports failure, and some kinds of success.
//!
//! Upstream: k8s.io/apimachinery/pkg/api/errors (v1.35): codes, reasons and messages are part of the protocol.

use std::fmt;

use crate::{
    field,
    gvk::{GroupResource, GroupVersionKind},
    value::{Str, Value},
};

/// The machine-readable reason of a failure, with its HTTP code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason is known.
    Unknown,
    /// 401: no valid credentials.
    Unauthorized,
    /// 403: the user may not do this, or nobody may.
    Forbidden,
    /// 404: no such object or path.
    NotFound,
    /// 409: the name is taken.
    AlreadyExists,
    /// 409: the object was changed by somebody else.
    Conflict,
    /// 410: no longer available at this address.
    Gone,
    /// 422: the object breaks a rule.
    Invalid,
    /// 500: a part of the server took too long; try again.
    ServerTimeout,
    /// 415: the request body's media type is not understood.
    UnsupportedMediaType,
    /// 504: the request took too long.
    Timeout,
    /// 429: slow down.
    TooManyRequests,
    /// 400: the request makes no sense.
    BadRequest,
    /// 405: this resource does not have this verb.
    MethodNotAllowed,
    /// 406: none of the media types asked for can be given.
    NotAcceptable,
    /// 413: the body is too large.
    RequestEntityTooLarge,
    /// 500: a bug, or something the server depends on failed.
    InternalError,
    /// 410: the version asked for is too old.
    Expired,
    /// 503: not now.
    ServiceUnavailable,
    /// 507: object is stored in a form that cannot be read.
    StoreReadError,
}

impl Reason {
    /// The HTTP status code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::ServerTimeout | Self::InternalError | Self::StoreReadError | Self::Unknown => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The word on the wire; empty for `Unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::StoreReadError => "StorageReadError",
        }
    }

    /// Reads the word on the wire; anything unknown is `Unknown`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        const ALL: [Reason; 19] = [
            Reason::Unauthorized,
            Reason::Forbidden,
            Reason::NotFound,
            Reason::AlreadyExists,
            Reason::Conflict,
            Reason::Gone,
            Reason::Invalid,
            Reason::ServerTimeout,
            Reason::UnsupportedMediaType,
            Reason::Timeout,
            Reason::TooManyRequests,
            Reason::BadRequest,
            Reason::MethodNotAllowed,
            Reason::NotAcceptable,
            Reason::RequestEntityTooLarge,
            Reason::InternalError,
            Reason::Expired,
            Reason::ServiceUnavailable,
            Reason::StoreReadError,
        ];
        ALL.into_iter().find(|reason| reason.as_str() == word).unwrap_or(Self::Unknown)
    }
}

/// One of several causes of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// A machine-readable word.
    pub reason: Str,
    /// What is wrong.
    pub message: String,
    /// The field it is about; empty for none.
    pub field: String,
}

/// What a failure is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name.
    pub name: Str,
    /// The group.
    pub group: Str,
    /// The resource, or the kind for `Invalid`.
    pub kind: Str,
    /// The object's UID.
    pub uid: Str,
    /// All causes.
    pub causes: Vec<Cause>,
    /// When to try again; 0 for no advice.
    pub retry_after_seconds: i32,
}

/// A failure as the API reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// Why.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// What it is about. Boxed: failures are rare and results are passed by value.
    pub details: Option<Box<Details>>,
    /// The token to finish a list with that can only be finished in another state; else empty. Upstream:
    /// `metadata.continue`.
    pub continue_token: String,
}

impl std::error::Error for Status {}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Status {
    /// A failure with the code of its reason and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { code: reason.code(), reason, message: message.into(), details: None, continue_token: String::new() }
    }

    fn about(reason: Reason, resource: &GroupResource, name: &str, message: String) -> Self {
        let details = Details {
            name: name.into(),
            group: resource.group.clone(),
            kind: resource.resource.clone(),
            ..Details::default()
        };
        Self { details: Some(Box::new(details)), ..Self::new(reason, message) }
    }

    /// The object does not exist.
    #[must_use]
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::about(Reason::NotFound, resource, name, format!("{resource} {} not found", field::quote(name)))
    }

    /// The name is taken.
    #[must_use]
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::about(Reason::AlreadyExists, resource, name, format!("{resource} {} already exists", field::quote(name)))
    }

    /// The generated name is taken, several times over.
    #[must_use]
    pub fn generate_name_conflict(resource: &GroupResource, name: &str) -> Self {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            field::quote(name)
        );
        let mut status = Self::about(Reason::AlreadyExists, resource, name, message);
        status.details.get_or_insert_default().retry_after_seconds = 1;
        status
    }

    /// Somebody else changed the object.
    #[must_use]
    pub fn conflict(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {why}", field::quote(name));
        Self::about(Reason::Conflict, resource, name, message)
    }

    /// The write was based on an older version than the current one.
    #[must_use]
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Not allowed: `why` says who may not do what, or which policy refuses.
    #[must_use]
    pub fn forbidden(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} {} is forbidden: {why}", field::quote(name)),
        };
        Self::about(Reason::Forbidden, resource, name, message)
    }

    /// The credentials are missing or wrong.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// The object breaks rules. Of very many errors the first are shown.
    #[must_use]
    pub fn invalid(kind: &GroupVersionKind, name: &str, errors: &[field::Error]) -> Self {
        let qualified =
            if kind.group.is_empty() { kind.kind.to_string() } else { format!("{}.{}", kind.kind, kind.group) };
        let message = format!("{qualified} {} is invalid: {}", field::quote(name), field::aggregate(errors));
        let mut left_bytes = field::SHOWN_BYTES_MAX;
        let mut causes = Vec::new();
        for error in errors {
            if left_bytes == 0 {
                break;
            }
            let cause = Cause { reason: error.kind.reason().into(), message: error.body(), field: error.field.clone() };
            left_bytes = left_bytes.saturating_sub(cause.message.len() + cause.field.len());
            causes.push(cause);
        }
        let details = Details {
            name: name.into(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            causes,
            ..Details::default()
        };
        Self { details: Some(Box::new(details)), ..Self::new(Reason::Invalid, message) }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// The resource does not have this verb.
    #[must_use]
    pub fn method_not_supported(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        let mut status = Self::about(Reason::MethodNotAllowed, resource, "", message);
        status.details.get_or_insert_default().name = Str::default();
        status
    }

    /// A list or watch asks for a version that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// Something failed that is not the client's fault.
    pub fn internal(error: impl fmt::Display) -> Self {
        let text = error.to_string();
        let cause = Cause { message: text.clone(), ..Cause::default() };
        let details = Details { causes: vec![cause], ..Details::default() };
        Self {
            details: Some(Box::new(details)),
            ..Self::new(Reason::InternalError, format!("Internal error occurred: {text}"))
        }
    }

    /// The server cannot do it now.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, message)
    }

    /// The client has to slow down.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(Reason::TooManyRequests, message) }
    }

    /// The request took too long.
    pub fn timeout(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(Reason::Timeout, format!("Timeout: {}", message.into())) }
    }

    /// The body is larger than allowed.
    pub fn request_entity_too_large(message: impl fmt::Display) -> Self {
        Self::new(Reason::RequestEntityTooLarge, format!("Request entity too large: {message}"))
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason == Reason::NotFound
    }

    /// Whether somebody else changed the object.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason == Reason::Conflict
    }

    /// Whether the name is taken.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason == Reason::AlreadyExists
    }

    /// Whether the version asked for is no longer kept.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.reason, Reason::Expired | Reason::Gone)
    }

    /// The object on the wire.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut metadata = Value::object();
        if !self.continue_token.is_empty() {
            metadata.set(&["continue"], self.continue_token.as_str());
        }
        let mut status = Value::object_of([
            ("apiVersion", Value::from("v1")),
            ("kind", "Status".into()),
            ("metadata", metadata),
            ("status", "Failure".into()),
            ("message", self.message.as_str().into()),
            ("code", Value::Int(self.code.into())),
        ]);
        if self.reason != Reason::Unknown {
            status.set(&["reason"], self.reason.as_str());
        }
        if let Some(details) = &self.details {
            status.set(&["details"], details.to_value());
        }
        status
    }

    /// Reads a failure that a server sent; whatever is absent stays empty.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let text = |value: &Value, key: &str| Str::from(value.str_at(&[key]).unwrap_or_default());
        let details = value.get("details").map(|details| {
            let causes = details.items_at(&["causes"]).iter().map(|cause| Cause {
                reason: text(cause, "reason"),
                message: text(cause, "message").into(),
                field: text(cause, "field").into(),
            });
            Box::new(Details {
                name: text(details, "name"),
                group: text(details, "group"),
                kind: text(details, "kind"),
                uid: text(details, "uid"),
                causes: causes.collect(),
                retry_after_seconds: details
                    .i64_at(&["retryAfterSeconds"])
                    .and_then(|seconds| seconds.try_into().ok())
                    .unwrap_or_default(),
            })
        });
        let reason = Reason::parse(value.str_at(&["reason"]).unwrap_or_default());
        Self {
            code: value.i64_at(&["code"]).and_then(|code| code.try_into().ok()).unwrap_or_else(|| reason.code()),
            reason,
            message: text(value, "message").into(),
            details,
            continue_token: value.str_at(&["metadata", "continue"]).unwrap_or_default().to_owned(),
        }
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = Value::object();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                details.set(&[key], text.clone());
            }
        }
        if !self.causes.is_empty() {
            details.set(&["causes"], Value::array(self.causes.iter().map(Cause::to_value)));
        }
        if self.retry_after_seconds != 0 {
            details.set(&["retryAfterSeconds"], self.retry_after_seconds);
        }
        details
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut cause = Value::object();
        for (key, text) in [("reason", self.reason.as_str()), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                cause.set(&[key], text);
            }
        }
        cause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> GroupResource {
        GroupResource::new("", "pods")
    }

    #[test]
    fn messages_are_upstreams() {
        assert_eq!(Status::not_found(&pods(), "web").message, r#"pods "web" not found"#);
        assert_eq!(
            Status::not_found(&GroupResource::new("apps", "deployments"), "web").message,
            r#"deployments.apps "web" not found"#
        );
        assert_eq!(
            Status::modified(&pods(), "web").message,
            r#"Operation cannot be fulfilled on pods "web": the object has been modified; please apply your changes to the latest version and try again"#
        );
    }

    #[test]
    fn a_status_survives_the_wire() {
        let errors = [field::Error::required(&field::Path::new("spec").child("containers"), "")];
        let status = Status::invalid(&GroupVersionKind::new("apps", "v1", "Deployment"), "web", &errors);
        assert_eq!(status.message, r#"Deployment.apps "web" is invalid: spec.containers: Required value"#);
        assert_eq!(Status::from_value(&status.to_value()), status);
        let expired = Status { continue_token: "abc".to_owned(), ..Status::expired("too old") };
        assert_eq!(expired.to_value().str_at(&["metadata", "continue"]), Some("abc"));
        assert_eq!(Status::from_value(&expired.to_value()), expired);
    }

    #[test]
    fn the_causes_of_a_hostile_object_are_cut_short() {
        let path = field::Path::new("data").key("x".repeat(1_000));
        let errors = vec![field::Error::required(&path, "y".repeat(1_000)); 10_000];
        let causes = |errors: &[field::Error]| {
            let status = Status::invalid(&GroupVersionKind::new("", "v1", "ConfigMap"), "web", errors);
            status.details.unwrap().causes.len()
        };
        assert_eq!(causes(&errors[..100]), 100);
        assert!((500..1_000).contains(&causes(&errors)), "{}", causes(&errors));
    }
}
