//! `/openapi/v2` and `/openapi/v3`: documents made from the type table, and from the schemas of custom resources.
//!
//! Flow: resources change -> `OpenApi::install` puts together what each document tells of -> a document that tells of
//! something else than before is made anew when it is next asked for, and kept as bytes; of v2, only the entries that changed.
//! Invariant: what tells of the same is not made again, and no document is made on a thread that answers requests.
//! Upstream: k8s.io/kube-openapi/pkg/handler and handler3, k8s.io/apiextensions-apiserver/pkg/controller/openapi{,v3} (v1.35).

mod conditional;
mod contents;
mod document;
mod form;
mod gzip;
mod ranges;
mod shared;
mod v3;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{
    openapi::{Descriptions, Dialect},
    status::Status,
    type_table::TypeTable,
};
use parking_lot::Mutex;

use self::{
    contents::Contents,
    document::{Document, Making},
    v3::V3,
};
use crate::{
    discovery::Group,
    endpoints::{NonResource, RoutesBuilder},
    request::Request,
    response::Reply,
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
    /// Whether the server speaks CBOR: upstream's feature gate `CBORServingAndStorage`.
    pub cbor: bool,
    /// Whether enums of built-in types are listed: upstream's feature gate `OpenAPIEnums`.
    pub enums: bool,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The documents of a server.
#[derive(Debug)]
pub struct OpenApi {
    source: Source,
    making: Arc<Making>,
    served: Mutex<Served>,
}

/// The documents that were served last.
#[derive(Debug, Default)]
struct Served {
    v2: Option<Arc<Document>>,
    v3: BTreeMap<String, Arc<Document>>,
}

impl OpenApi {
    /// No document yet.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, making: Arc::default(), served: Mutex::default() }
    }

    /// Serves the documents of `groups`. What was made of those that tell of the same as before stays.
    pub fn install(&self, routes: &mut RoutesBuilder, groups: &[Group]) {
        let parts = Contents::parts(groups);
        let whole = Contents::whole(&parts);
        let mut served = self.served.lock();
        let v2 = self.document(Dialect::V2, whole, served.v2.as_ref());
        let v3: BTreeMap<String, Arc<Document>> = parts
            .into_iter()
            .map(|(name, contents)| {
                let document = self.document(Dialect::V3, contents, served.v3.get(&name));
                (name, document)
            })
            .collect();
        *served = Served { v2: Some(Arc::clone(&v2)), v3: v3.clone() };
        drop(served);
        routes.path("/openapi/v2", Arc::new(V2(v2)));
        let v3 = Arc::new(V3::new(v3));
        routes.path("/openapi/v3", Arc::clone(&v3) as _);
        routes.prefix("/openapi/v3/", v3);
    }

    fn document(&self, dialect: Dialect, contents: Contents, before: Option<&Arc<Document>>) -> Arc<Document> {
        let hash = contents.hash(self.source);
        match before {
            Some(before) if before.hash == hash => Arc::new(before.of(contents)),
            _ => Arc::new(Document::new(self.source, dialect, contents, hash, &self.making)),
        }
    }
}

#[derive(Debug)]
struct V2(Arc<Document>);

#[async_trait]
impl NonResource for V2 {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        self.0.reply(server.tasks(), &request).await
    }
}
