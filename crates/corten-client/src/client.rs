//! Untyped access: every verb on every resource, by name.

use std::sync::Arc;

use corten_apimachinery::{
    codec::{FieldValidation, json},
    gvk::GroupVersionResource,
    status::{Reason, Status},
    stored::Stored,
    value::{Str, Value},
};

use crate::{
    call::{Answer, Body, Call, ObjectList, PatchKind, Verb, WatchStream},
    transport::Transport,
};

/// A client of one API server under one identity. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    field_manager: Str,
}

/// The object or collection that a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The resource.
    pub resource: GroupVersionResource,
    /// The namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: Str,
    /// The name; empty for the collection.
    pub name: Str,
    /// The subresource; empty for the object itself.
    pub subresource: Str,
}

impl Target {
    /// A collection in `namespace`.
    pub fn collection(resource: &GroupVersionResource, namespace: impl Into<Str>) -> Self {
        Self {
            resource: resource.clone(),
            namespace: namespace.into(),
            name: Str::default(),
            subresource: Str::default(),
        }
    }

    /// One object.
    pub fn object(resource: &GroupVersionResource, namespace: impl Into<Str>, name: impl Into<Str>) -> Self {
        Self { resource: resource.clone(), namespace: namespace.into(), name: name.into(), subresource: Str::default() }
    }

    /// A part of this object.
    #[must_use]
    pub fn subresource(mut self, subresource: impl Into<Str>) -> Self {
        self.subresource = subresource.into();
        self
    }
}

/// Which objects a list gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// A label selector in its text form.
    pub label_selector: String,
    /// A field selector in its text form.
    pub field_selector: String,
    /// The page size; 0 for everything.
    pub limit: u64,
    /// Where the next page starts.
    pub continue_token: String,
    /// `resourceVersion`: empty for the newest state, `0` for any.
    pub resource_version: String,
}

/// Which changes a watch follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// A label selector in its text form.
    pub label_selector: String,
    /// A field selector in its text form.
    pub field_selector: String,
    /// The revision after which changes are wanted; empty: the newest state first, as `Added` events.
    pub resource_version: String,
    /// Whether progress marks are wanted.
    pub allow_bookmarks: bool,
    /// Whether all existing objects are to be sent first, ended by a mark (`sendInitialEvents`).
    pub send_initial_events: bool,
}

impl Client {
    /// A client over `transport` whose writes are recorded under `field_manager`.
    pub fn new(transport: Arc<dyn Transport>, field_manager: impl Into<Str>) -> Self {
        Self { transport, field_manager: field_manager.into() }
    }

    /// The same identity, with writes recorded under another name.
    #[must_use]
    pub fn with_field_manager(&self, field_manager: impl Into<Str>) -> Self {
        Self { transport: Arc::clone(&self.transport), field_manager: field_manager.into() }
    }

    async fn call(&self, verb: Verb, target: Target, query: Query, body: Body) -> Result<Answer, Status> {
        let Target { resource, namespace, name, subresource } = target;
        self.transport.call(Call { verb, resource, namespace, name, subresource, query: query.0, body }).await
    }

    fn write_query(&self) -> Query {
        let mut query = Query::default();
        query.push("fieldManager", self.field_manager.as_str());
        query
    }

    /// Reads one object in its newest state.
    pub async fn get(&self, target: Target) -> Result<Arc<Stored>, Status> {
        object(self.call(Verb::Get, target, Query::default(), Body::Empty).await?)
    }

    /// Reads what is at a path that is no resource: such calls have no resource, and the path as their name.
    pub(crate) async fn get_tree(&self, path: &str) -> Result<Value, Status> {
        let nothing = GroupVersionResource::new("", "", "");
        let target = Target::object(&nothing, "", path);
        match self.call(Verb::Get, target, Query::default(), Body::Empty).await? {
            Answer::Success(tree) => Ok(tree),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads one page of a collection.
    pub async fn list(&self, target: Target, options: &ListOptions) -> Result<ObjectList, Status> {
        let mut query = Query::default();
        query.push("labelSelector", &options.label_selector);
        query.push("fieldSelector", &options.field_selector);
        query.push("continue", &options.continue_token);
        query.push("resourceVersion", &options.resource_version);
        if options.limit > 0 {
            query.push("limit", &options.limit.to_string());
        }
        match self.call(Verb::List, target, query, Body::Empty).await? {
            Answer::List(list) => Ok(list),
            other => Err(unexpected(&other)),
        }
    }

    /// Follows the changes of a collection.
    pub async fn watch(&self, target: Target, options: &WatchOptions) -> Result<WatchStream, Status> {
        let mut query = Query::default();
        query.push("labelSelector", &options.label_selector);
        query.push("fieldSelector", &options.field_selector);
        query.push("resourceVersion", &options.resource_version);
        if options.allow_bookmarks {
            query.push("allowWatchBookmarks", "true");
        }
        if options.send_initial_events {
            query.push("sendInitialEvents", "true");
            query.push("resourceVersionMatch", "NotOlderThan");
        }
        match self.call(Verb::Watch, target, query, Body::Empty).await? {
            Answer::Watch(stream) => Ok(stream),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes an object.
    pub async fn create(&self, target: Target, object_: Value) -> Result<Arc<Stored>, Status> {
        object(self.call(Verb::Create, target, self.write_query(), Body::Tree(object_)).await?)
    }

    /// Calls something that is created but is no stored object (`binding`, `eviction`, `token`, the reviews) and gives
    /// what the server answered: an object of the same kind, or a `Status` that reports success.
    pub async fn post(&self, target: Target, object: Value) -> Result<Value, Status> {
        match self.call(Verb::Create, target, self.write_query(), Body::Tree(object)).await? {
            Answer::Success(tree) => Ok(tree),
            Answer::Object(object) => {
                let decoded = json::decode(&object.json, None, FieldValidation::Ignore);
                decoded.map(|decoded| decoded.value).map_err(Status::internal)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Replaces an object. With a `resourceVersion` in it, only that version is replaced.
    pub async fn update(&self, target: Target, object_: Value) -> Result<Arc<Stored>, Status> {
        object(self.call(Verb::Update, target, self.write_query(), Body::Tree(object_)).await?)
    }

    /// Changes parts of an object.
    pub async fn patch(&self, target: Target, kind: PatchKind, patch: Value) -> Result<Arc<Stored>, Status> {
        object(self.call(Verb::Patch(kind), target, self.write_query(), Body::Tree(patch)).await?)
    }

    /// Applies a configuration server-side, taking over fields that others own if `force`.
    pub async fn apply(&self, target: Target, configuration: Value, force: bool) -> Result<Arc<Stored>, Status> {
        let mut query = self.write_query();
        if force {
            query.push("force", "true");
        }
        object(self.call(Verb::Patch(PatchKind::Apply), target, query, Body::Tree(configuration)).await?)
    }

    /// Deletes an object. `options` is a `DeleteOptions` object, or null for none.
    pub async fn delete(&self, target: Target, options: Value) -> Result<(), Status> {
        self.call(Verb::Delete, target, Query::default(), delete_body(options)).await.map(drop)
    }

    /// Deletes the objects of a collection that match.
    pub async fn delete_collection(&self, target: Target, list: &ListOptions, options: Value) -> Result<(), Status> {
        let mut query = Query::default();
        query.push("labelSelector", &list.label_selector);
        query.push("fieldSelector", &list.field_selector);
        self.call(Verb::DeleteCollection, target, query, delete_body(options)).await.map(drop)
    }
}

/// Query parameters; empty values are left out.
#[derive(Debug, Default)]
struct Query(Vec<(&'static str, String)>);

impl Query {
    fn push(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.0.push((name, value.to_owned()));
        }
    }
}

fn delete_body(options: Value) -> Body {
    if options.is_null() { Body::Empty } else { Body::Tree(options) }
}

fn object(answer: Answer) -> Result<Arc<Stored>, Status> {
    match answer {
        Answer::Object(object) => Ok(object),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> Status {
    Status::new(Reason::InternalError, format!("the server gave an answer of another kind: {answer:?}"))
}
