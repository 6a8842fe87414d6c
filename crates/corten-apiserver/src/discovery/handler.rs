//! The paths of discovery.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use corten_apimachinery::{
    codec::{self, FieldValidation},
    status::Status,
    type_table::TypeTable,
    value::{Str, Value},
};
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha512};

use super::document::{Group, group_version};
use crate::{
    endpoints::{NonResource, RoutesBuilder},
    negotiation::{self, Accepted, Encoding},
    request::Request,
    response::{Reply, Response},
    server::{Server, encode_json, encode_tree},
};

/// What everything at once is.
const GROUP: &str = "apidiscovery.k8s.io";
const KIND: &str = "APIGroupDiscoveryList";

/// The documents of a server. Those of a group are kept until its resources change: of five hundred groups, the
/// definition of one more leaves the others as they are.
#[derive(Debug)]
pub struct Discovery {
    /// Has the types of the documents.
    table: &'static TypeTable,
    /// What `/api` names as the server's address.
    address: String,
    /// Whether built-in resources tell the form in which they are stored: upstream's feature gate `StorageVersionHash`.
    has_hashes: bool,
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
    /// The item of the aggregated document.
    aggregated: Value,
}

impl Made {
    fn new(group: &Group, has_hashes: bool) -> Self {
        let root = if group.name.is_empty() { "/api" } else { "/apis" };
        let mut documents = Vec::with_capacity(group.versions.len() + 1);
        if !group.name.is_empty() {
            documents.push((format!("{root}/{}", group.name), Arc::new(Document(group.legacy(true)))));
        }
        for version in &group.versions {
            let path = format!("{root}/{}", group_version(&group.name, &version.name));
            documents.push((path, Arc::new(Document(group.resource_list(version, has_hashes)))));
        }
        Self { item: group.legacy(false), documents, aggregated: group.aggregated(), group: group.clone() }
    }
}

impl Discovery {
    /// No document yet. `address` is what `/api` names as the server's; `has_hashes`: whether built-in resources tell the form
    /// in which they are stored.
    #[must_use]
    pub fn new(table: &'static TypeTable, address: String, has_hashes: bool) -> Self {
        Self { table, address, has_hashes, made: Mutex::default() }
    }

    /// Serves the documents of `groups`.
    pub fn install(&self, routes: &mut RoutesBuilder, groups: &[Group]) {
        let mut kept = self.made.lock();
        let made: Vec<Arc<Made>> = groups
            .iter()
            .map(|group| match kept.get(&group.name).filter(|made| made.group.is_same(group)) {
                Some(made) => Arc::clone(made),
                None => Arc::new(Made::new(group, self.has_hashes)),
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
        let root = |legacy: Value, groups: &[&Arc<Made>]| {
            let aggregated = |version: &str| Aggregated::new(groups, self.table, version);
            Arc::new(Root { legacy, v2: aggregated("v2"), v2beta1: aggregated("v2beta1") })
        };
        routes.path("/api", root(api_versions, &core));
        routes.path("/apis", root(group_list, &named));
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
    v2: Aggregated,
    v2beta1: Aggregated,
}

/// Everything at once, in one version.
#[derive(Debug)]
struct Aggregated {
    /// What nearly all who ask for it get.
    json: Bytes,
    /// One for all encodings.
    etag: HeaderValue,
}

impl Aggregated {
    fn new(groups: &[&Arc<Made>], table: &TypeTable, version: &str) -> Self {
        let typed = table.find_kind(GROUP, version, KIND).map(|id| (table, id));
        let mut list = Value::object_of([
            ("metadata", Value::object()),
            ("items", Value::array(groups.iter().map(|made| made.aggregated.clone()))),
        ]);
        // It is that of what the document says, and not of its version.
        let digest = Sha512::digest(codec::json::encode(&list, typed));
        let etag = digest.iter().fold(String::from("\""), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        }) + "\"";
        list.set(&["kind"], KIND);
        list.set(&["apiVersion"], format!("{GROUP}/{version}"));
        let etag = HeaderValue::from_str(&etag).expect("hexadecimal digits are a header value");
        Self { json: encode_json(&list, typed), etag }
    }

    /// Upstream: `ServeHTTPWithETag` in k8s.io/apiserver/pkg/endpoints/discovery/aggregated/etag.go (v1.35).
    fn reply(
        &self,
        server: &Server,
        request: &Request,
        accepted: Accepted,
        content_type: &'static str,
    ) -> Result<Reply, Status> {
        let is_known = request.header(header::IF_NONE_MATCH).as_bytes() == self.etag.as_bytes();
        let (code, body) = match (accepted.encoding, accepted.pretty) {
            _ if is_known => (StatusCode::NOT_MODIFIED, Bytes::new()),
            (Encoding::Json, false) => (StatusCode::OK, self.json.clone()),
            _ => {
                let read = codec::json::decode(&self.json, None, FieldValidation::Ignore).map_err(Status::internal)?;
                (StatusCode::OK, encode_tree(server, &read.value, accepted)?)
            }
        };
        let mut reply = Reply::new(Response::Raw { code, content_type, body });
        reply.headers.insert(header::ETAG, self.etag.clone());
        reply.headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        Ok(reply)
    }
}

#[async_trait]
impl NonResource for Root {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        let (accept, agent) = (request.header(header::ACCEPT), request.header(header::USER_AGENT));
        let Some((accepted, version)) = negotiation::accept_aggregated(accept, request.query.get("pretty"), agent)
        else {
            return Ok(Reply::tree(StatusCode::OK, self.legacy.clone()));
        };
        let (document, content_type) = match (version, accepted.encoding) {
            ("v2", Encoding::Yaml) => {
                (&self.v2, "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
            }
            ("v2", Encoding::Protobuf) => {
                (&self.v2, "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
            }
            ("v2", Encoding::Json | Encoding::Cbor) => {
                (&self.v2, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
            }
            (_, Encoding::Yaml) => {
                (&self.v2beta1, "application/yaml;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
            }
            (_, Encoding::Protobuf) => (
                &self.v2beta1,
                "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
            ),
            (_, Encoding::Json | Encoding::Cbor) => {
                (&self.v2beta1, "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
            }
        };
        document.reply(server, &request, accepted, content_type)
    }
}
