//! Which paths lead where. Made once from resource definitions; replaced as a whole when resources come and go.

use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{
    codec,
    gvk::{GroupVersion, GroupVersionKind},
    resource::{ResourceDefinition, Version},
    status::Status,
    stored::Stored,
    type_table::{TypeId, TypeTable},
    value::{Str, Value},
};

use crate::{registry::Store, request::Request, response::Reply, server::Server};

/// One resource in one served version.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The resource.
    pub definition: &'static ResourceDefinition,
    /// The version.
    pub version: &'static Version,
    /// The version's type.
    pub type_id: TypeId,
    /// What `apiVersion` says.
    pub api_version: Str,
    /// Its objects; `None` for reviews, which are answered and not stored. Two groups may show the same objects.
    pub store: Option<Arc<Store>>,
}

impl Endpoint {
    /// The kind that clients see.
    #[must_use]
    pub fn kind(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.definition.group, self.version.name, self.definition.kind)
    }

    /// The object as this endpoint's version shows it.
    pub fn present(&self, store: &Store, object: &Arc<Stored>) -> Result<Arc<Stored>, Status> {
        if self.version.is_hub {
            return Ok(Arc::clone(object));
        }
        let mut tree = store.codec().decode_tree(&object.name, &object.json).map_err(Status::internal)?;
        self.from_hub(&mut tree);
        let json = codec::json::encode(&tree, Some((store.codec().table(), self.type_id)));
        Ok(Arc::new(Stored { json, ..Stored::clone(object) }))
    }

    /// Turns a tree of the hub's form into one of this version, in place.
    pub fn from_hub(&self, tree: &mut Value) {
        if let Some(convert) = self.version.from_hub {
            convert(tree);
        }
        tree.set(&["apiVersion"], self.api_version.clone());
        tree.set(&["kind"], self.definition.kind);
    }

    /// Turns a tree of this version into one of the hub's form, in place.
    pub fn to_hub(&self, store: &Store, tree: &mut Value) {
        if let Some(convert) = self.version.to_hub {
            convert(tree);
        }
        tree.set(&["apiVersion"], store.definition().hub_api_version());
        tree.set(&["kind"], store.definition().kind);
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
#[derive(Debug, Default)]
pub struct Routes {
    endpoints: HashMap<(Str, Str, Str), Endpoint>,
    custom: HashMap<(Str, Str, Str), Arc<dyn Custom>>,
    exact: HashMap<String, Arc<dyn NonResource>>,
    prefixes: Vec<(String, Arc<dyn NonResource>)>,
    resources: Vec<&'static ResourceDefinition>,
}

/// Collects routes.
#[derive(Debug, Default)]
pub struct RoutesBuilder(Routes);

impl RoutesBuilder {
    /// Serves `definition` in all its versions.
    ///
    /// Panics if a type is not in `table`, or a resource is served twice.
    pub fn resource(&mut self, definition: &'static ResourceDefinition, table: &TypeTable, store: Option<&Arc<Store>>) {
        for version in definition.versions {
            let key = (definition.group.into(), version.name.into(), definition.plural.into());
            let endpoint = Endpoint {
                definition,
                version,
                type_id: table
                    .find(version.type_name)
                    .unwrap_or_else(|| panic!("type {} is not in the table", version.type_name)),
                api_version: GroupVersion::new(definition.group, version.name).to_string().into(),
                store: store.cloned(),
            };
            let known = self.0.endpoints.insert(key, endpoint);
            assert!(known.is_none(), "{}/{}/{} is served twice", definition.group, version.name, definition.plural);
        }
        self.0.resources.push(definition);
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
    pub fn resources(&self) -> &[&'static ResourceDefinition] {
        &self.resources
    }

    /// The store of a resource.
    #[must_use]
    pub fn store(&self, group: &str, plural: &str) -> Option<&Arc<Store>> {
        let definition = self.resources.iter().find(|d| d.group == group && d.plural == plural)?;
        self.endpoint(group, definition.versions.first()?.name, plural)?.store.as_ref()
    }
}
