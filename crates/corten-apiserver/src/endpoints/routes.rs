//! Which paths lead where. Made once from resource definitions; replaced as a whole when resources come and go.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use corten_apimachinery::{
    codec,
    gvk::{GroupVersion, GroupVersionKind},
    resource::{Resource, ResourceVersion},
    status::Status,
    stored::Stored,
    type_table::{TypeId, TypeTable},
    value::{Str, Value},
};
use http::StatusCode;

use crate::{
    registry::Store,
    request::Request,
    response::{Reply, Response},
    server::Server,
};

/// One resource in one served version.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The version.
    pub version: Arc<ResourceVersion>,
    /// What `apiVersion` says.
    pub api_version: Str,
    /// Its objects; `None` for reviews, which are answered and not stored. Two groups may show the same objects.
    pub store: Option<Arc<Store>>,
}

impl Endpoint {
    /// The kind that clients see.
    #[must_use]
    pub fn kind(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.resource.group.clone(), self.version.name.clone(), self.resource.kind.clone())
    }

    /// The version's type, and the table it is in.
    #[must_use]
    pub fn typed(&self) -> (&TypeTable, TypeId) {
        (&self.version.table, self.version.type_id)
    }

    /// The object as this endpoint's version shows it.
    pub fn present(&self, store: &Store, object: &Arc<Stored>) -> Result<Arc<Stored>, Status> {
        if self.version.is_hub {
            return Ok(Arc::clone(object));
        }
        let mut tree =
            store.codec().decode_tree(&object.name, &object.json, object.revision).map_err(Status::internal)?;
        self.from_hub(&mut tree);
        let typed = self.version.schema.is_none().then(|| self.typed());
        let json = codec::json::encode(&tree, typed);
        Ok(Arc::new(Stored { json: json.into(), ..Stored::clone(object) }))
    }

    /// The answer that shows `object`, which `present` has made.
    pub(super) fn reply(&self, code: StatusCode, object: Arc<Stored>, store: &Arc<Store>) -> Reply {
        Reply::new(Response::Object { code, object, store: Arc::clone(store), version: Arc::clone(&self.version) })
    }

    /// Turns a tree of the hub's form into one of this version, in place. What is empty is written or left out as this version
    /// has it, which need not be how the hub has it.
    pub fn from_hub(&self, tree: &mut Value) {
        if let Some(convert) = &self.version.from_hub {
            convert(tree);
            if self.version.schema.is_none() {
                codec::canonicalize(tree, &self.version.table, self.version.type_id);
            }
        }
        tree.set(&["apiVersion"], self.api_version.clone());
        tree.set(&["kind"], self.resource.kind.clone());
    }

    /// Turns a tree of this version into one of the hub's form, in place.
    pub fn to_hub(&self, store: &Store, tree: &mut Value) {
        if let Some(convert) = &self.version.to_hub {
            convert(tree);
        }
        tree.set(&["apiVersion"], store.resource().hub_api_version());
        tree.set(&["kind"], store.resource().kind.clone());
    }
}

/// A handler for a subresource, or for a kind that is not stored.
#[async_trait]
pub trait Custom: fmt::Debug + Send + Sync + 'static {
    /// Answers a request whose verb is one of those that the resource or subresource serves. It was authorized for that verb,
    /// so it must do no more than that says. Admission is not done.
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status>;
}

/// A handler for paths that name no resource.
#[async_trait]
pub trait NonResource: fmt::Debug + Send + Sync + 'static {
    /// Answers a request.
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status>;
}

/// Which paths lead where.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    endpoints: HashMap<(Str, Str, Str), Endpoint>,
    custom: HashMap<(Str, Str, Str), Arc<dyn Custom>>,
    exact: HashMap<String, Arc<dyn NonResource>>,
    prefixes: Vec<(String, Arc<dyn NonResource>)>,
    resources: Vec<Arc<Resource>>,
}

/// Collects routes.
#[derive(Debug, Clone, Default)]
pub struct RoutesBuilder(Routes);

impl RoutesBuilder {
    /// Serves `resource` in its served versions. What is served already stays: who has a name was decided before, and what
    /// definitions say of themselves must not end the server.
    pub fn resource(&mut self, resource: &Arc<Resource>, store: Option<&Arc<Store>>) {
        for version in resource.served_versions() {
            let key = (resource.group.clone(), version.name.clone(), resource.plural.clone());
            let endpoint = Endpoint {
                resource: Arc::clone(resource),
                version: Arc::clone(version),
                api_version: GroupVersion::new(resource.group.clone(), version.name.clone()).to_string().into(),
                store: store.cloned(),
            };
            self.0.endpoints.entry(key).or_insert(endpoint);
        }
        self.0.resources.push(Arc::clone(resource));
    }

    /// Gives a subresource (or, with an empty one, a kind that is not stored) its handler.
    pub fn custom(&mut self, group: &str, plural: &str, subresource: &str, handler: Arc<dyn Custom>) {
        let known = self.0.custom.insert((group.into(), plural.into(), subresource.into()), handler);
        assert!(known.is_none(), "{plural}.{group}/{subresource} has two handlers");
    }

    /// Serves one path.
    pub fn path(&mut self, path: &str, handler: Arc<dyn NonResource>) {
        self.0.exact.insert(path.to_owned(), handler);
    }

    /// Serves all paths under `prefix`, which ends with a slash.
    pub fn prefix(&mut self, prefix: &str, handler: Arc<dyn NonResource>) {
        self.0.prefixes.push((prefix.to_owned(), handler));
    }

    /// The routes.
    #[must_use]
    pub fn build(self) -> Routes {
        self.0
    }
}

impl Routes {
    /// The resource that a request names.
    #[must_use]
    pub fn endpoint(&self, group: &str, version: &str, resource: &str) -> Option<&Endpoint> {
        // A look-up by borrowed parts would need a key type of its own; inline strings make this one cheap.
        self.endpoints.get(&(group.into(), version.into(), resource.into()))
    }

    /// The handler of a subresource or of a kind that is not stored.
    #[must_use]
    pub fn custom(&self, group: &str, plural: &str, subresource: &str) -> Option<&Arc<dyn Custom>> {
        self.custom.get(&(group.into(), plural.into(), subresource.into()))
    }

    /// The handler of a path that names no resource.
    #[must_use]
    pub fn non_resource(&self, path: &str) -> Option<&Arc<dyn NonResource>> {
        let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.exact.get(trimmed).or_else(|| {
            self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str())).map(|(_, handler)| handler)
        })
    }

    /// The paths that are served besides resources, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.exact.keys().map(String::as_str).collect();
        paths.sort_unstable();
        paths
    }

    /// All resources, in the order they were added.
    #[must_use]
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The stores of all resources, each once, in the order in which these were added.
    #[must_use]
    pub fn stores(&self) -> Vec<Arc<Store>> {
        let mut stores: Vec<Arc<Store>> = Vec::new();
        let mut known = HashSet::new();
        for resource in &self.resources {
            let version = resource.served_versions().next();
            let endpoint = version.and_then(|version| self.endpoint(&resource.group, &version.name, &resource.plural));
            if let Some(store) = endpoint.and_then(|endpoint| endpoint.store.as_ref())
                && known.insert(Arc::as_ptr(store))
            {
                stores.push(Arc::clone(store));
            }
        }
        stores
    }

    /// The store of a resource.
    #[must_use]
    pub fn store(&self, group: &str, plural: &str) -> Option<&Arc<Store>> {
        let resource = self.resources.iter().find(|known| known.group == group && known.plural == plural)?;
        self.endpoint(group, &resource.served_versions().next()?.name, plural)?.store.as_ref()
    }
}
