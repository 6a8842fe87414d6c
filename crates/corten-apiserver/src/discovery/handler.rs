//! The paths of discovery.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use corten_apimachinery::{
    codec,
    status::Status,
    value::{Str, Value},
};
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha512};

use super::document::{Group, group_version};
use crate::{
    endpoints::{NonResource, RoutesBuilder},
    negotiation::{self, Offer},
    request::Request,
    response::{Reply, Response},
    server::Server,
};

/// The documents of a server. Those of a group are kept until its resources change: of five hundred groups, the
/// definition of one more leaves the others as they are.
#[derive(Debug)]
pub struct Discovery {
    /// What `/api` names as the server's address.
    address: String,
    made: Mutex<HashMap<Str, Arc<Made>>>,
}

/// What is served of one group.
#[derive(Debug)]
struct Made {
    /// What it was made of.
    group: Group,
    /// The item of the list of groups.
    item: Value,
    documents: Vec<(String, Arc<Document>)>,
    /// The item of the aggregated document, in JSON.
    aggregated: Bytes,
}

impl Made {
    fn new(group: &Group) -> Self {
        let root = if group.name.is_empty() { "/api" } else { "/apis" };
        let mut documents = Vec::with_capacity(group.versions.len() + 1);
        if !group.name.is_empty() {
            documents.push((format!("{root}/{}", group.name), Arc::new(Document(group.legacy(true)))));
        }
        for version in &group.versions {
            let path = format!("{root}/{}", group_version(&group.name, &version.name));
            documents.push((path, Arc::new(Document(group.resource_list(version)))));
        }
        let aggregated = codec::json::encode(&group.aggregated(), None);
        Self { item: group.legacy(false), documents, aggregated, group: group.clone() }
    }
}

impl Discovery {
    /// No document yet.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self { address, made: Mutex::default() }
    }

    /// Serves the documents of `groups`.
    pub fn install(&self, routes: &mut RoutesBuilder, groups: &[Group]) {
        let mut kept = self.made.lock();
        let made: Vec<Arc<Made>> = groups
            .iter()
            .map(|group| match kept.get(&group.name).filter(|made| made.group.is_same(group)) {
                Some(made) => Arc::clone(made),
                None => Arc::new(Made::new(group)),
            })
            .collect();
        *kept = made.iter().map(|made| (made.group.name.clone(), Arc::clone(made))).collect();
        drop(kept);
        let (core, named): (Vec<_>, Vec<_>) = made.iter().partition(|made| made.group.name.is_empty());
        let versions = core.iter().flat_map(|made| &made.group.versions);
        let server = Value::object_of([
            ("clientCIDR", Value::from("0.0.0.0/0")),
            ("serverAddress", self.address.as_str().into()),
        ]);
        let api_versions = Value::object_of([
            ("kind", Value::from("APIVersions")),
            ("versions", Value::array(versions.map(|version| Value::from(version.name.clone())))),
            ("serverAddressByClientCIDRs", Value::array([server])),
        ]);
        let group_list = Value::object_of([
            ("kind", Value::from("APIGroupList")),
            ("apiVersion", "v1".into()),
            ("groups", Value::array(named.iter().map(|made| made.item.clone()))),
        ]);
        routes.path("/api", Arc::new(Root { legacy: api_versions, aggregated: Aggregated::new(&core) }));
        routes.path("/apis", Arc::new(Root { legacy: group_list, aggregated: Aggregated::new(&named) }));
        for (path, document) in made.iter().flat_map(|made| &made.documents) {
            routes.path(path, Arc::clone(document) as _);
        }
    }
}

/// One document.
#[derive(Debug)]
struct Document(Value);

#[async_trait]
impl NonResource for Document {
    async fn handle(&self, _server: &Arc<Server>, _request: Request) -> Result<Reply, Status> {
        Ok(Reply::tree(StatusCode::OK, self.0.clone()))
    }
}

/// `/api` or `/apis`: everything at once for clients that understand it.
#[derive(Debug)]
struct Root {
    legacy: Value,
    aggregated: [Aggregated; 2],
}

/// The aggregated document in one version.
#[derive(Debug)]
struct Aggregated {
    media_type: &'static str,
    body: Bytes,
    etag: HeaderValue,
}

impl Aggregated {
    fn new(groups: &[&Arc<Made>]) -> [Self; 2] {
        let make = |version: &str, media_type| {
            // What an encoder would write, of parts that are written already.
            let mut body = BytesMut::new();
            body.put_slice(format!(r#"{{"apiVersion":"apidiscovery.k8s.io/{version}","items":["#).as_bytes());
            for (at, made) in groups.iter().enumerate() {
                body.put_slice(if at > 0 { b"," } else { b"" });
                body.put_slice(&made.aggregated);
            }
            body.put_slice(br#"],"kind":"APIGroupDiscoveryList","metadata":{}}"#);
            let body = body.freeze();
            let etag = Sha512::digest(&body).iter().fold(String::from("\""), |mut text, byte| {
                let _ = write!(text, "{byte:02X}");
                text
            }) + "\"";
            let etag = HeaderValue::from_str(&etag).expect("hexadecimal digits are a header value");
            Self { media_type, body, etag }
        };
        [
            make("v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
            make("v2beta1", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
        ]
    }

    fn reply(&self, request: &Request) -> Reply {
        let mut reply = if request.header(header::IF_NONE_MATCH).as_bytes() == self.etag.as_bytes() {
            Reply::new(Response::Raw {
                code: StatusCode::NOT_MODIFIED,
                content_type: self.media_type,
                body: Bytes::new(),
            })
        } else {
            Reply::new(Response::Raw { code: StatusCode::OK, content_type: self.media_type, body: self.body.clone() })
        };
        reply.headers.insert(header::ETAG, self.etag.clone());
        reply.headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        reply
    }
}

#[async_trait]
impl NonResource for Root {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        let plain = Offer::plain(server.encodings());
        for clause in request.header(header::ACCEPT).split(',') {
            let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
            let has = |part: &str| parts.contains(&part);
            if has("application/json") && has("g=apidiscovery.k8s.io") && has("as=APIGroupDiscoveryList") {
                let found = match (has("v=v2"), has("v=v2beta1")) {
                    (true, _) => Some(&self.aggregated[0]),
                    (_, true) => Some(&self.aggregated[1]),
                    _ => None,
                };
                if let Some(document) = found {
                    return Ok(document.reply(&request));
                }
            } else if !has("g=apidiscovery.k8s.io") && negotiation::accept(clause, &plain, "", "").is_ok() {
                break;
            }
        }
        Ok(Reply::tree(StatusCode::OK, self.legacy.clone()))
    }
}
