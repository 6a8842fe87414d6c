//! `/openapi/v2` and `/openapi/v3`: documents made from the type table when they are first asked for, then kept as bytes.
//!
//! Upstream: k8s.io/kube-openapi/pkg/handler and handler3 (v1.35).

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use corten_apimachinery::{
    codec,
    gvk::GroupVersion,
    openapi::{self, Descriptions, Dialect, Options, PathOptions},
    resource::{Resource, ResourceVersion},
    status::Status,
    type_table::TypeTable,
    value::Value,
};
use corten_base::{TaskSet, blocking};
use http::{HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha512};
use tokio::sync::Semaphore;

use crate::{
    discovery::Group,
    endpoints::{NonResource, RoutesBuilder},
    request::Request,
    response::{Reply, Response},
    server::Server,
};

/// What documents are made from.
#[derive(Clone, Copy)]
pub struct Source {
    /// The types.
    pub table: &'static TypeTable,
    /// Decodes the human descriptions: they are needed once per document, and are large.
    pub descriptions: fn() -> Box<dyn Descriptions>,
    /// The server's version, such as `v1.35.0`.
    pub version: &'static str,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Serves the documents of `groups`.
pub fn install(routes: &mut RoutesBuilder, groups: &[Group], source: Source) {
    let making = Arc::new(Semaphore::new(1));
    let document = |dialect, contents| Document::new(source, dialect, contents, &making);
    let mut documents = BTreeMap::new();
    for group in groups {
        for version in &group.versions {
            let group_version = GroupVersion::new(group.name.clone(), version.name.clone());
            let root = if group.name.is_empty() { "api" } else { "apis" };
            let contents = vec![(group_version.clone(), version.resources.clone())];
            documents.insert(format!("{root}/{group_version}"), document(Dialect::V3, contents));
        }
    }
    let all = groups.iter().flat_map(|group| {
        let resources = |version: &crate::discovery::GroupVersion| {
            (GroupVersion::new(group.name.clone(), version.name.clone()), version.resources.clone())
        };
        group.versions.iter().map(resources).collect::<Vec<_>>()
    });
    routes.path("/openapi/v2", Arc::new(V2(document(Dialect::V2, all.collect()))));
    let v3 = Arc::new(V3(documents));
    routes.path("/openapi/v3", Arc::clone(&v3) as _);
    routes.prefix("/openapi/v3/", v3);
}

/// What a document tells of: versions of resources, by group and version.
type Contents = Vec<(GroupVersion, Vec<(Arc<Resource>, Arc<ResourceVersion>)>)>;

/// One document, made when it is first asked for.
#[derive(Debug)]
struct Document {
    recipe: Arc<Recipe>,
    /// Changes whenever the document would: its contents follow from the release and the names in it.
    hash: String,
    /// Of which all documents of a server have one, so that they are made one after the other.
    making: Arc<Semaphore>,
}

/// What a document is made of, and what was made of it.
#[derive(Debug)]
struct Recipe {
    source: Source,
    dialect: Dialect,
    contents: Contents,
    json: OnceLock<Bytes>,
    protobuf: OnceLock<Bytes>,
}

/// What a document can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    /// Of v2 only.
    Protobuf,
}

impl Form {
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        }
    }

    /// The first form that the client takes, by weight and then by order; `None` if it takes none of them.
    fn wanted(accept: &str, dialect: Dialect) -> Option<Self> {
        if accept.is_empty() {
            return Some(Self::Json);
        }
        let mut clauses: Vec<(f32, Self)> = accept
            .split(',')
            .filter_map(|clause| {
                let (media_type, parameters) = clause.split_once(';').unwrap_or((clause, ""));
                let form = match media_type.trim() {
                    "application/json" | "application/*" | "*/*" => Self::Json,
                    // The name with an at sign is no media type, and yet what clients ask for.
                    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
                    | "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
                        if dialect == Dialect::V2 =>
                    {
                        Self::Protobuf
                    }
                    _ => return None,
                };
                let weight = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
                Some((weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)), form))
            })
            .filter(|(weight, _)| *weight > 0.0)
            .collect();
        // A stable sort: clauses of one weight keep their order.
        clauses.sort_by(|a, b| b.0.total_cmp(&a.0));
        clauses.first().map(|&(_, form)| form)
    }
}

impl Document {
    fn new(source: Source, dialect: Dialect, contents: Contents, making: &Arc<Semaphore>) -> Self {
        let mut digest = Sha512::new();
        digest.update(source.version);
        for (group_version, resources) in &contents {
            digest.update(format!("\n{group_version}"));
            for (resource, _) in resources {
                digest.update(format!(" {}", resource.plural));
            }
        }
        let hash = digest.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        });
        let recipe = Recipe { source, dialect, contents, json: OnceLock::new(), protobuf: OnceLock::new() };
        Self { recipe: Arc::new(recipe), hash, making: Arc::clone(making) }
    }

    /// The document. Making it takes some tens of milliseconds for the largest group, and more for the whole of v2: that is
    /// done once, on a thread that may be busy, and whoever else asks meanwhile waits for it.
    ///
    /// Errors: the making of it panicked. Cancellation: it is made all the same, for whoever asks next.
    async fn bytes(&self, tasks: &TaskSet, form: Form) -> Result<Bytes, Status> {
        if let Some(made) = self.recipe.made(form).get() {
            return Ok(made.clone());
        }
        let turn = Arc::clone(&self.making).acquire_owned().await.expect("is never closed");
        let recipe = Arc::clone(&self.recipe);
        let made = blocking::run(tasks, "openapi document", move || {
            let _turn = turn;
            recipe.made(form).get_or_init(|| recipe.write(form)).clone()
        });
        made.await.map_err(|panic| {
            tracing::error!(err = %panic, "The making of an OpenAPI document panicked");
            Status::internal("the document could not be made")
        })
    }

    async fn reply(&self, tasks: &TaskSet, request: &Request) -> Result<Reply, Status> {
        let Some(form) = Form::wanted(request.header(header::ACCEPT), self.recipe.dialect) else {
            return Ok(Reply::text(StatusCode::NOT_ACCEPTABLE, "406 Not Acceptable\n"));
        };
        let content_type = form.media_type();
        let etag = format!("\"{}\"", self.hash);
        let fresh = request.header(header::IF_NONE_MATCH) == etag;
        let mut reply = Reply::new(if fresh {
            Response::Raw { code: StatusCode::NOT_MODIFIED, content_type, body: Bytes::new() }
        } else {
            Response::Raw { code: StatusCode::OK, content_type, body: self.bytes(tasks, form).await? }
        });
        if let Ok(value) = HeaderValue::from_str(&etag) {
            reply.headers.insert(header::ETAG, value);
        }
        reply.headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        Ok(reply)
    }
}

impl Recipe {
    fn made(&self, form: Form) -> &OnceLock<Bytes> {
        match form {
            Form::Json => &self.json,
            Form::Protobuf => &self.protobuf,
        }
    }

    fn write(&self, form: Form) -> Bytes {
        match form {
            Form::Json => codec::json::encode(&self.make(), None),
            Form::Protobuf => openapi::encode_v2(&self.make()),
        }
    }

    fn make(&self) -> Value {
        let (table, dialect) = (self.source.table, self.dialect);
        let options = PathOptions { dialect, cbor: false, strategic_merge: true };
        let mut paths = BTreeMap::new();
        for (group_version, resources) in &self.contents {
            paths.extend([openapi::discovery_path(group_version, options)]);
            for (resource, version) in resources {
                paths.extend(openapi::paths(table, resource, version, options));
            }
        }
        let descriptions = (self.source.descriptions)();
        let options = Options { dialect, enums: true, descriptions: &*descriptions };
        openapi::document(table, paths, self.source.version, options)
    }
}

#[derive(Debug)]
struct V2(Document);

#[async_trait]
impl NonResource for V2 {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        self.0.reply(server.tasks(), &request).await
    }
}

#[derive(Debug)]
struct V3(BTreeMap<String, Document>);

#[async_trait]
impl NonResource for V3 {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        let path = request.info.path.trim_matches('/');
        let Some(name) = path.strip_prefix("openapi/v3/") else {
            let entry = |(path, document): (&String, &Document)| {
                let url = format!("/openapi/v3/{path}?hash={}", document.hash);
                (path.clone(), Value::object_of([("serverRelativeURL", Value::from(url))]))
            };
            let paths = Value::object_of(self.0.iter().map(entry));
            return Ok(Reply::tree(StatusCode::OK, Value::object_of([("paths", paths)])));
        };
        let Some(document) = self.0.get(name) else {
            return Ok(Reply::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        };
        let hash = request.query.get("hash");
        if !hash.is_empty() && hash != document.hash {
            // A client with an old index is sent to the document as it is now.
            let mut reply = Reply::text(StatusCode::MOVED_PERMANENTLY, Bytes::new());
            if let Ok(location) = HeaderValue::from_str(&format!("/openapi/v3/{name}?hash={}", document.hash)) {
                reply.headers.insert(header::LOCATION, location);
            }
            return Ok(reply);
        }
        let mut reply = document.reply(server.tasks(), &request).await?;
        if !hash.is_empty() {
            // Under its hash, a document never changes.
            reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            if let Ok(value) = HeaderValue::from_str(&expires(request.received)) {
                reply.headers.insert(header::EXPIRES, value);
            }
        }
        Ok(reply)
    }
}

/// When a document that never changes is to be asked for again: a year on, which is as long as HTTP has it.
fn expires(now: Timestamp) -> String {
    const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
    // Far beyond all calendars, there is no later time than now.
    let then = now.checked_add(YEAR).unwrap_or(now);
    then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_document_under_its_hash_is_good_for_a_year() {
        assert_eq!(expires("2026-01-02T03:04:05Z".parse().unwrap()), "Sat, 02 Jan 2027 03:04:05 GMT");
    }

    /// Both threads of a small machine made documents, or waited for them, after each start: here there is only one.
    #[tokio::test]
    async fn a_document_is_made_once_and_beside_the_runtime() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        static BY_RUNTIME: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static OF_RUNTIME: Cell<bool> = const { Cell::new(false) });
        OF_RUNTIME.set(true);
        let descriptions = || -> Box<dyn Descriptions> {
            MADE.fetch_add(1, Ordering::Relaxed);
            BY_RUNTIME.fetch_add(usize::from(OF_RUNTIME.get()), Ordering::Relaxed);
            Box::new(openapi::NoDescriptions)
        };
        let source = Source { table: Box::leak(Box::<TypeTable>::default()), descriptions, version: "v1.35.0" };
        let (document, tasks) =
            (Document::new(source, Dialect::V2, Vec::new(), &Arc::new(Semaphore::new(1))), TaskSet::new("test"));
        // Who has gone before it was made leaves it to the others.
        assert!(document.bytes(&tasks, Form::Json).now_or_never().is_none());
        let json = || document.bytes(&tasks, Form::Json);
        let (one, other, protobuf) = tokio::join!(json(), json(), document.bytes(&tasks, Form::Protobuf));
        assert_eq!(one.unwrap(), other.unwrap());
        assert!(!protobuf.unwrap().is_empty());
        assert_eq!((MADE.load(Ordering::Relaxed), BY_RUNTIME.load(Ordering::Relaxed)), (2, 0), "once for each form");
        tasks.join().await.unwrap();
    }

    /// `kubectl` asks for v2 as protobuf only, and checked no list of objects while it was refused.
    #[test]
    fn a_client_gets_the_form_that_it_asks_for() {
        let kubectl = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        for (accept, v2, v3) in [
            ("", Some(Form::Json), Some(Form::Json)),
            ("*/*", Some(Form::Json), Some(Form::Json)),
            ("application/json", Some(Form::Json), Some(Form::Json)),
            (kubectl, Some(Form::Protobuf), None),
            ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", Some(Form::Protobuf), None),
            (&format!("{kubectl};q=0.5, application/json"), Some(Form::Json), Some(Form::Json)),
            (&format!("{kubectl}, application/json"), Some(Form::Protobuf), Some(Form::Json)),
            ("application/json;q=0", None, None),
            ("text/html", None, None),
        ] {
            assert_eq!(Form::wanted(accept, Dialect::V2), v2, "{accept}");
            assert_eq!(Form::wanted(accept, Dialect::V3), v3, "{accept}");
        }
    }
}
