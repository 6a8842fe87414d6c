//! The form that a client wants its answer in, and the refusal of one that there is not.
//!
//! What cannot be given is said before any work is done, but after everything that decides whether there is anything to give:
//! who asks, whether they may, and where the path leads.
//! Upstream: `WriteObjectNegotiated` in k8s.io/apiserver/pkg/endpoints/handlers/responsewriters, `ListResource` in
//! handlers/get.go and `AllowsMediaTypeTransform` in handlers/rest.go (v1.35).

use corten_apimachinery::{resource::Verb, status::Status};
use http::{HeaderMap, HeaderName, Method, header};

use super::{Server, compressed, encode::Include};
use crate::{
    negotiation::{self, Accepted, Encoding, Offer, Produced, Shape},
    request::{Query, Request, RequestBody, RequestInfo},
};

/// The form that the client wants its answer in.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    /// The form of objects; `None` if there is none that the client takes.
    pub(super) accepted: Option<Accepted>,
    /// The form of failures, which are in no other shape; `None` if the client takes none of them.
    pub(super) failure: Option<Accepted>,
    pub(super) include: Include,
    /// Whether large objects and lists are to be compressed.
    pub(super) compressed: bool,
    /// Whether what is asked for is the scale of a custom resource.
    pub(super) is_custom_scale: bool,
}

impl Wants {
    pub(super) const PLAIN: Accepted =
        Accepted { encoding: Encoding::Json, shape: Shape::Object, shape_version: "v1", pretty: false };

    pub(super) fn plain() -> Self {
        Self {
            accepted: Some(Self::PLAIN),
            failure: Some(Self::PLAIN),
            include: Include::Metadata,
            compressed: false,
            is_custom_scale: false,
        }
    }

    pub(super) fn of(server: &Server, headers: &HeaderMap, query: &Query, info: &RequestInfo) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let header = text(header::ACCEPT);
        let negotiated =
            |offer: &Offer| negotiation::accept(header, offer, query.get("pretty"), text(header::USER_AGENT)).ok();
        let plain = Offer::plain(server.encodings());
        let form = Form::of(info);
        let accepted = match form {
            Form::Own => Some(Self::PLAIN),
            Form::Documents => negotiated(&plain),
            Form::Objects => negotiated(&offer(server, header, query, info)),
        };
        let failure = match accepted {
            Some(accepted) if form != Form::Own && accepted.shape == Shape::Object => Some(accepted),
            _ => negotiated(&plain),
        };
        Self {
            accepted,
            failure,
            include: Include::parse(query.get("includeObject")).unwrap_or(Include::Metadata),
            compressed: form != Form::Own && compressed::is_wanted(headers, server.features()),
            is_custom_scale: info.subresource == "scale" && is_custom(server, info),
        }
    }
}

/// Who decides in which form a path answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Its handler.
    Own,
    /// The client, among the encodings.
    Documents,
    /// The client, among the encodings and shapes.
    Objects,
}

impl Form {
    fn of(info: &RequestInfo) -> Self {
        if !info.is_resource {
            let is_discovery = info.path == "/api" || info.path == "/apis" || is_below_roots(&info.path);
            return if is_discovery { Self::Documents } else { Self::Own };
        }
        match &*info.subresource {
            "log" | "exec" | "attach" | "portforward" | "proxy" => Self::Own,
            _ => Self::Objects,
        }
    }
}

fn is_below_roots(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/apis/")
}

/// What there is of the resource that a path names.
fn offer(server: &Server, accept: &str, query: &Query, info: &RequestInfo) -> Offer {
    let wants_table = accept.contains("as=Table");
    // What begins with everything there is has no rows: clients of that are programs. Upstream: `watchListEndpointRestrictions`.
    let is_watch_list = || info.verb == "watch" && query.flag("sendInitialEvents") && query.flag("allowWatchBookmarks");
    let has_table = !wants_table || (!is_watch_list() && has_columns(server, info));
    let shapes = if has_table { Shape::ALL } else { Shape::NO_TABLE };
    let is_custom = accept.contains("protobuf") && is_custom(server, info);
    Offer { encodings: server.encodings(), shapes, is_resource: true, is_custom }
}

fn is_custom(server: &Server, info: &RequestInfo) -> bool {
    let routes = server.routes();
    let endpoint = routes.endpoint(&info.group, &info.version, &info.resource);
    endpoint.is_some_and(|endpoint| endpoint.version.schema.is_some())
}

/// Whether what a request leads to can be shown as a table: reviews and the like cannot.
fn has_columns(server: &Server, info: &RequestInfo) -> bool {
    let routes = server.routes();
    let endpoint = routes.endpoint(&info.group, &info.version, &info.resource);
    let has_objects = endpoint.is_none_or(|endpoint| endpoint.resource.verbs.contains(&Verb::Get));
    let is_object = info.subresource.is_empty();
    has_objects && (is_object || routes.custom(&info.group, &info.resource, &info.subresource).is_none())
}

/// Refuses a request for a resource whose answer, or whose patch, would be in no form that there is: first as the router does,
/// then as the handler.
///
/// Custom resources are not behind the router, and their patches are looked at where they are read.
///
/// Errors: `NotAcceptable`, `UnsupportedMediaType`; `BadRequest` for rows of a table with what is nothing.
pub(crate) fn expect_form(
    server: &Server,
    request: &Request,
    verb: Option<Verb>,
    is_custom: bool,
) -> Result<(), Status> {
    let (info, accept) = (&request.info, request.header(header::ACCEPT));
    let produced = match (&*info.subresource, verb) {
        // The other end decides.
        ("exec" | "attach" | "portforward" | "proxy", _) => return Ok(()),
        ("log", _) => Produced::Log,
        (_, Some(Verb::List | Verb::Watch)) => Produced::ObjectsOrStream,
        _ => Produced::Objects,
    };
    let content_type = request.header(header::CONTENT_TYPE);
    let is_patch = request.method == Method::PATCH;
    let encodings = server.encodings();
    if !is_custom {
        if is_patch {
            encodings.route_patch(content_type)?;
        }
        encodings.route(accept, produced)?;
        if is_patch {
            encodings.patch_type(content_type, false)?;
        }
    }
    if !accept.is_empty() && Form::of(info) == Form::Objects {
        let accepted = negotiation::accept(accept, &offer(server, accept, &request.query, info), "", "")?;
        if accepted.shape == Shape::Table {
            Include::parse(request.query.get("includeObject"))?;
        }
        if verb == Some(Verb::Watch) {
            encodings.expect_stream(accepted.encoding)?;
        }
    }
    let has_body = match verb {
        Some(Verb::Create | Verb::Update) => true,
        // Options, which need not be there.
        Some(Verb::Delete | Verb::DeleteCollection) => match &request.body {
            RequestBody::Bytes(bytes) => !bytes.is_empty(),
            body => !matches!(body, RequestBody::Empty),
        },
        _ => false,
    };
    if has_body { encodings.expect_body(content_type) } else { Ok(()) }
}

/// Refuses a request for discovery or the version that the router finds no encoding for.
///
/// Upstream: `apisHandler` and `apiGroupHandler` in k8s.io/kube-aggregator/pkg/apiserver/handler_apis.go (v1.35) are behind none.
///
/// Errors: `NotAcceptable`.
pub(crate) fn expect_document(server: &Server, request: &Request) -> Result<(), Status> {
    let path = request.info.path.trim_end_matches('/');
    let depth = path.matches('/').count();
    let produced = match path {
        "/version" => Produced::Json,
        "/api" | "/apis/apiregistration.k8s.io" => Produced::Documents,
        // The aggregator answers for all groups and for each but its own, and is behind no router.
        _ if path.starts_with("/apis") && depth < 3 => return Ok(()),
        _ => Produced::Objects,
    };
    server.encodings().route(request.header(header::ACCEPT), produced)
}
