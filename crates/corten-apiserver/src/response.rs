//! What an endpoint answers, before it is encoded: an in-process caller takes it as it is, a socket gets bytes.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use corten_apimachinery::{
    codec,
    gvk::GroupVersion,
    resource::{Resource, ResourceVersion},
    status::{Reason, Status},
    stored::Stored,
    value::{Str, Value},
};
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    endpoints::watch::WatchSource,
    large::{Turn, Who},
    registry::Store,
};

/// An answer with what goes beside it.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub response: Response,
    /// Advice for the client, sent as `Warning` headers.
    pub warnings: Vec<String>,
    /// Further headers.
    pub headers: HeaderMap,
    pub(crate) sending: Sending,
}

/// What an answer holds until it is sent.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Its place among the requests that run.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    /// Its turn among the large ones, until it is encoded.
    pub(crate) turn: Option<Turn>,
    /// Who asked, if it may yet turn out to be large.
    pub(crate) who: Option<Who>,
    /// When it is given up, in the clock's monotonic time, unless it may last.
    pub(crate) until: Option<Duration>,
}

/// An answer.
pub enum Response {
    /// One stored object, in the version asked for.
    Object {
        /// 200, 201 or 202.
        code: StatusCode,
        /// The object.
        object: Arc<Stored>,
        /// Its resource.
        store: Arc<Store>,
        /// The version asked for: how it prints.
        version: Arc<ResourceVersion>,
    },
    /// An object that is not stored: a `Status`, a review, a `Scale`, discovery.
    Tree {
        /// The status code.
        code: StatusCode,
        /// The object, with `apiVersion` and `kind`.
        tree: Value,
    },
    /// Many stored objects.
    List(ListResponse),
    /// Objects that are made for the answer and not stored, but are shown as stored ones are.
    Made(MadeObjects),
    /// Changes as they happen.
    Watch(Box<WatchSource>),
    /// A watch that cannot begin where the client wants it to: it begins, and ends with this. Clients look for it there.
    EndedWatch(Box<Status>),
    /// Anything else.
    Raw {
        /// The status code.
        code: StatusCode,
        /// The media type.
        content_type: &'static str,
        /// The bytes.
        body: Bytes,
    },
    /// The connection is handed to the endpoint, which already runs; the headers complete the switch.
    Upgrade {
        /// The client's side of the connection, for `hyper`.
        headers: HeaderMap,
    },
    /// Bytes as they come.
    Stream {
        /// The media type.
        content_type: String,
        /// The status code.
        code: StatusCode,
        /// The bytes; an error ends the connection.
        body: ByteStream,
    },
}

/// Bytes as they come.
pub type ByteStream = std::pin::Pin<Box<dyn futures::Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Many stored objects.
#[derive(Debug)]
pub struct ListResponse {
    /// The objects, in the version asked for.
    pub items: Vec<Arc<Stored>>,
    /// The revision that the list shows.
    pub revision: u64,
    /// The token for the next page; empty on the last.
    pub continue_token: String,
    /// How many objects follow, where that is known.
    pub remaining: Option<u64>,
    /// The resource that keeps the objects.
    pub store: Arc<Store>,
    /// The resource that shows them.
    pub served: Arc<Resource>,
    /// The version asked for.
    pub version: Str,
}

/// Objects that are made for an answer.
#[derive(Debug)]
pub struct MadeObjects {
    /// The objects, with `apiVersion` and `kind`.
    pub objects: Vec<Value>,
    /// Whether they were asked for as a list; else there is one.
    pub is_list: bool,
    /// The resource.
    pub resource: Arc<Resource>,
    /// The version asked for.
    pub version: Str,
}

impl MadeObjects {
    /// The object, or the list of them.
    #[must_use]
    pub fn into_tree(mut self) -> Value {
        if !self.is_list {
            return self.objects.pop().unwrap_or_default();
        }
        for object in &mut self.objects {
            // The list says it for all.
            object.unset(&["apiVersion"]);
            object.unset(&["kind"]);
        }
        Value::object_of([
            ("kind", Value::from(self.resource.list_kind.clone())),
            ("apiVersion", GroupVersion::new(self.resource.group.clone(), self.version).to_string().into()),
            ("metadata", Value::object()),
            ("items", self.objects.into()),
        ])
    }
}

impl Reply {
    /// An answer without anything beside it.
    #[must_use]
    pub fn new(response: Response) -> Self {
        Self { response, warnings: Vec::new(), headers: HeaderMap::new(), sending: Sending::default() }
    }

    /// An object that is not stored.
    #[must_use]
    pub fn tree(code: StatusCode, tree: Value) -> Self {
        Self::new(Response::Tree { code, tree })
    }

    /// JSON for people, as upstream writes the few documents that are no API objects: indented.
    #[must_use]
    pub fn indented(tree: &Value) -> Self {
        let json = codec::json::encode_pretty(tree, None);
        // Upstream has no line end here.
        let body = json.slice(..json.trim_ascii_end().len());
        Self::new(Response::Raw { code: StatusCode::OK, content_type: "application/json", body })
    }

    /// Plain text, such as that of health checks.
    pub fn text(code: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(Response::Raw { code, content_type: "text/plain; charset=utf-8", body: body.into() })
    }

    /// A failure.
    #[must_use]
    pub fn failure(status: &Status) -> Self {
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Self::tree(code, status.to_value());
        if let Some(details) = status.details.as_ref().filter(|details| details.retry_after_seconds > 0) {
            reply.headers.insert(http::header::RETRY_AFTER, details.retry_after_seconds.into());
        }
        reply
    }

    /// A path that belongs to no group that is served: plain text, which clients turn into their own words.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 page not found\n")
    }

    /// A path in a group that is served, but that leads to nothing there.
    ///
    /// Upstream: `serviceErrorHandler` in k8s.io/apiserver/pkg/server/handler.go (v1.35).
    #[must_use]
    pub fn no_such_route() -> Self {
        Self::failure(&generic(Reason::NotFound, "the server could not find the requested resource"))
    }

    /// A path that knows other methods than the request's.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(&generic(Reason::MethodNotAllowed, message))
    }

    /// Says who waits for their turn if this is much to encode.
    #[must_use]
    pub(crate) fn asked_by(mut self, who: Option<Who>) -> Self {
        self.sending.who = who;
        self
    }

    /// Adds advice for the client.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// A failure that names no object: its details are there, and empty.
///
/// Upstream: `NewGenericServerResponse` without a resource (v1.35).
pub(crate) fn generic(reason: Reason, message: &str) -> Status {
    Status { details: Some(Box::default()), ..Status::new(reason, message) }
}

impl From<Result<Self, Status>> for Reply {
    fn from(result: Result<Self, Status>) -> Self {
        result.unwrap_or_else(|status| Self::failure(&status))
    }
}

impl Response {
    /// The status code.
    #[must_use]
    pub fn code(&self) -> StatusCode {
        match self {
            Self::Object { code, .. }
            | Self::Tree { code, .. }
            | Self::Raw { code, .. }
            | Self::Stream { code, .. } => *code,
            Self::List(_) | Self::Made(_) | Self::Watch(_) | Self::EndedWatch(_) => StatusCode::OK,
            Self::Upgrade { .. } => StatusCode::SWITCHING_PROTOCOLS,
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { code, object, .. } => write!(f, "Object({code}, {}/{})", object.namespace, object.name),
            Self::Tree { code, .. } => write!(f, "Tree({code})"),
            Self::List(list) => write!(f, "List({} items)", list.items.len()),
            Self::Made(made) => write!(f, "Made({} objects)", made.objects.len()),
            Self::Watch(_) => f.write_str("Watch(..)"),
            Self::EndedWatch(status) => write!(f, "EndedWatch({})", status.message),
            Self::Raw { code, body, .. } => write!(f, "Raw({code}, {} bytes)", body.len()),
            Self::Upgrade { .. } => f.write_str("Upgrade(..)"),
            Self::Stream { code, .. } => write!(f, "Stream({code})"),
        }
    }
}
