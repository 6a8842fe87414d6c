//! The paths of discovery.

use std::{fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use corten_apimachinery::{codec, status::Status, value::Value};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha512};

use super::document::{Group, group_version};
use crate::{
    endpoints::{NonResource, RoutesBuilder},
    negotiation::{self, Offer},
    request::Request,
    response::{Reply, Response},
    server::Server,
};

/// Serves the documents of `groups`. `address` is what `/api` names as the server's address.
pub fn install(routes: &mut RoutesBuilder, groups: &[Group], address: &str) {
    let (core, named): (Vec<&Group>, Vec<&Group>) = groups.iter().partition(|group| group.name.is_empty());
    let versions = core.iter().flat_map(|group| &group.versions).map(|version| Value::from(version.name.clone()));
    let server = Value::object_of([("clientCIDR", Value::from("0.0.0.0/0")), ("serverAddress", address.into())]);
    let api_versions = Value::object_of([
        ("kind", Value::from("APIVersions")),
        ("versions", Value::array(versions)),
        ("serverAddressByClientCIDRs", Value::array([server])),
    ]);
    let group_list = Value::object_of([
        ("kind", Value::from("APIGroupList")),
        ("apiVersion", "v1".into()),
        ("groups", Value::array(named.iter().map(|group| group.legacy(false)))),
    ]);
    routes.path("/api", Arc::new(Root { legacy: api_versions, aggregated: Aggregated::new(&core) }));
    routes.path("/apis", Arc::new(Root { legacy: group_list, aggregated: Aggregated::new(&named) }));
    for group in groups {
        if !group.name.is_empty() {
            routes.path(&format!("/apis/{}", group.name), Arc::new(Document(group.legacy(true))));
        }
        for version in &group.versions {
            let root = if group.name.is_empty() { "/api" } else { "/apis" };
            let path = format!("{root}/{}", group_version(&group.name, &version.name));
            routes.path(&path, Arc::new(Document(group.resource_list(version))));
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
    fn new(groups: &[&Group]) -> [Self; 2] {
        let make = |version: &str, media_type| {
            let list = Value::object_of([
                ("kind", Value::from("APIGroupDiscoveryList")),
                ("apiVersion", format!("apidiscovery.k8s.io/{version}").into()),
                ("metadata", Value::object()),
                ("items", Value::array(groups.iter().map(|group| group.aggregated()))),
            ]);
            let body = codec::json::encode(&list, None);
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
