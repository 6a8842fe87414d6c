//! `/openapi/v3`: the index of documents, and the documents under the hashes that it names.
//!
//! Upstream: k8s.io/kube-openapi/pkg/handler3 and k8s.io/kube-aggregator/pkg/controllers/openapiv3 (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use corten_apimachinery::{codec, status::Status, value::Value};
use http::{HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};

use super::{conditional::http_date, document::Document};
use crate::{
    endpoints::NonResource,
    request::Request,
    response::{Reply, Response},
    server::Server,
};

/// The documents by name, and the index of them.
#[derive(Debug)]
pub(super) struct V3 {
    documents: BTreeMap<String, Arc<Document>>,
    index: Bytes,
}

fn url(name: &str, document: &Document) -> String {
    format!("/openapi/v3/{name}?hash={}", document.hash)
}

impl V3 {
    pub(super) fn new(documents: BTreeMap<String, Arc<Document>>) -> Self {
        let entries = documents.iter().map(|(name, document)| {
            (name.as_str(), Value::object_of([("serverRelativeURL", Value::from(url(name, document)))]))
        });
        let index = codec::json::encode(&Value::object_of([("paths", Value::object_of(entries))]), None);
        Self { documents, index }
    }
}

#[async_trait]
impl NonResource for V3 {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        let path = request.info.path.trim_matches('/');
        let Some(name) = path.strip_prefix("openapi/v3/") else {
            // Upstream leaves the media type to be guessed from the bytes, and JSON is taken for text.
            let content_type = "text/plain; charset=utf-8";
            let body = self.index.clone();
            return Ok(Reply::new(Response::Raw { code: StatusCode::OK, content_type, body }));
        };
        let Some(document) = self.documents.get(name) else {
            return Ok(Reply::text(StatusCode::NOT_FOUND, Bytes::new()));
        };
        let hash = request.query.get("hash");
        if !hash.is_empty() && hash != document.hash {
            // A client with an old index is sent to the document as it is now.
            let mut reply = Reply::text(StatusCode::MOVED_PERMANENTLY, Bytes::new());
            if let Ok(location) = HeaderValue::from_str(&url(name, document)) {
                reply.headers.insert(header::LOCATION, location);
            }
            return Ok(reply);
        }
        let mut reply = document.reply(server.tasks(), &request).await?;
        // A failure is not the document.
        if !hash.is_empty() && reply.response.code() != StatusCode::RANGE_NOT_SATISFIABLE {
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
pub(super) fn expires(now: Timestamp) -> String {
    const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
    // Far beyond all calendars, there is no later time than now.
    let then = now.checked_add(YEAR).unwrap_or(now);
    http_date(then)
}
