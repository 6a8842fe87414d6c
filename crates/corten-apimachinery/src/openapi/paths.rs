//! Paths of OpenAPI documents: what can be done with a resource, derived from its definition.
//!
//! Of custom resources upstream tells less: neither the old paths of watches nor binary forms.
//! `kubectl` looks here for the parameters that a kind's PATCH takes before it relies on server-side field validation.
//! Left out: descriptions of query parameters. Who makes a document of v2 moves those that recur to its end.

use std::collections::BTreeMap;

use super::operation::{Answer, Body, META, Operation, PathOptions, Writer, capitalized, path_item, root};
use crate::{
    gvk::{GroupVersion, GroupVersionKind},
    resource::{Resource, ResourceVersion, Subresource, SubresourceKind, Verb},
    type_table::{FieldType, Shape, TypeTable},
    value::{Str, Value, format_str},
};

/// Query parameters by what takes them: (name, type).
const LIST: &[(&str, &str)] = &[
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
];
const WATCH: &[(&str, &str)] = &[("allowWatchBookmarks", "boolean"), ("watch", "boolean")];
const WRITE: &[(&str, &str)] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
/// What upstream tells of reads of custom resources only.
const READ_CUSTOM: &[(&str, &str)] = &[("resourceVersion", "string")];
const FORCE: &[(&str, &str)] = &[("force", "boolean")];
const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

/// The path items of one version of a resource, by path.
#[must_use]
pub fn paths(
    table: &TypeTable,
    resource: &Resource,
    version: &ResourceVersion,
    options: PathOptions,
) -> BTreeMap<Str, Value> {
    let group_version = GroupVersion::new(resource.group.clone(), version.name.clone());
    let writer = Writer { options, is_custom: version.published.is_some() };
    let mut builder = Builder { table, resource, version, writer, group_version, paths: BTreeMap::new() };
    builder.collection();
    builder.item();
    for subresource in version.subresources.iter() {
        builder.subresource(subresource);
    }
    builder.watches();
    builder.paths
}

struct Builder<'a> {
    table: &'a TypeTable,
    resource: &'a Resource,
    version: &'a ResourceVersion,
    writer: Writer,
    group_version: GroupVersion,
    paths: BTreeMap<Str, Value>,
}

impl Builder<'_> {
    fn has(&self, verb: Verb) -> bool {
        self.resource.verbs.contains(&verb)
    }

    fn is_custom(&self) -> bool {
        self.writer.is_custom
    }

    fn kind(&self) -> GroupVersionKind {
        self.group_version.with_kind(self.resource.kind.clone())
    }

    /// `NamespacedPod`, `Node`: how ids name the kind.
    fn scoped(&self) -> String {
        format!("{}{}", if self.resource.is_namespaced() { "Namespaced" } else { "" }, self.resource.kind)
    }

    /// The path of the collection, below `prefix` (empty or `/watch`).
    fn collection_path(&self, prefix: &str) -> String {
        let namespace = if self.resource.is_namespaced() { "/namespaces/{namespace}" } else { "" };
        format!("{}{prefix}{namespace}/{}", root(&self.group_version), self.resource.plural)
    }

    fn collection(&mut self) {
        let (kind, scoped) = (self.resource.kind.as_str(), self.scoped());
        let own = self.version.type_name.clone();
        let mut operations = Vec::new();
        if self.has(Verb::List) {
            operations.push(self.list(scoped.clone()));
        }
        if self.has(Verb::Create) {
            let description = format!("create{}{kind}", article(kind));
            operations.push(create(scoped.clone(), description, own));
        }
        if self.has(Verb::DeleteCollection) {
            operations.push(Operation {
                method: "delete",
                action: "deletecollection",
                verb: "delete",
                noun: format!("Collection{scoped}"),
                description: format!("delete collection of {kind}"),
                query: query(if self.is_custom() { &[LIST, WATCH] } else { &[LIST, DELETE] }),
                body: if self.is_custom() { Body::None } else { Body::DeleteOptions },
                statuses: &[("200", "OK")],
                answer: Answer::Object(format_str!("{META}.Status")),
            });
        }
        self.add(self.collection_path(""), kind, &self.kind(), operations);
        if self.resource.is_namespaced() && self.has(Verb::List) {
            let everywhere = self.list(format!("{kind}ForAllNamespaces"));
            let path = format!("{}/{}", root(&self.group_version), self.resource.plural);
            self.add(path, kind, &self.kind(), vec![everywhere]);
        }
    }

    fn list(&self, noun: String) -> Operation {
        let watches = self.has(Verb::Watch) && !self.is_custom();
        Operation {
            method: "get",
            action: "list",
            verb: "list",
            noun,
            description: format!(
                "list {}objects of kind {}",
                if watches { "or watch " } else { "" },
                self.resource.kind
            ),
            query: query(&[LIST, WATCH]),
            body: Body::None,
            statuses: &[("200", "OK")],
            // Also where nothing can be watched: upstream lists the media types by verb.
            answer: Answer::Stream(self.list_type()),
        }
    }

    fn list_type(&self) -> Str {
        match &self.version.published {
            Some(published) => published.names().list_schema_name(),
            None => format_str!("{}List", self.version.type_name),
        }
    }

    fn item(&mut self) {
        let (kind, scoped) = (self.resource.kind.as_str(), self.scoped());
        let own = self.version.type_name.clone();
        let mut operations = self.read_and_write(self.resource.verbs, &scoped, &format!("the specified {kind}"), &own);
        if self.has(Verb::Delete) {
            let returns = self.resource.strategy.returns_deleted_object();
            operations.push(Operation {
                method: "delete",
                action: "delete",
                verb: "delete",
                noun: scoped,
                description: format!("delete{}{kind}", article(kind)),
                query: query(&[DELETE]),
                body: Body::DeleteOptions,
                statuses: &[("200", "OK"), ("202", "Accepted")],
                answer: Answer::Object(if returns { own } else { format_str!("{META}.Status") }),
            });
        }
        self.add(format!("{}/{{name}}", self.collection_path("")), kind, &self.kind(), operations);
    }

    /// The operations get, update and patch among `verbs`.
    fn read_and_write(&self, verbs: &[Verb], noun: &str, object: &str, own: &Str) -> Vec<Operation> {
        let mut operations = Vec::new();
        if verbs.contains(&Verb::Get) {
            operations.push(Operation {
                method: "get",
                action: "get",
                verb: "read",
                noun: noun.to_owned(),
                description: format!("read {object}"),
                query: query(if self.is_custom() { &[READ_CUSTOM] } else { &[] }),
                body: Body::None,
                statuses: &[("200", "OK")],
                answer: Answer::Object(own.clone()),
            });
        }
        if verbs.contains(&Verb::Update) {
            operations.push(Operation {
                method: "put",
                action: "put",
                verb: "replace",
                noun: noun.to_owned(),
                description: format!("replace {object}"),
                query: query(&[WRITE]),
                body: Body::Object(own.clone()),
                statuses: &[("200", "OK"), ("201", "Created")],
                answer: Answer::Object(own.clone()),
            });
        }
        if verbs.contains(&Verb::Patch) {
            operations.push(Operation {
                method: "patch",
                action: "patch",
                verb: "patch",
                noun: noun.to_owned(),
                description: format!("partially update {object}"),
                query: query(&[WRITE, FORCE]),
                body: Body::Patch,
                statuses: if self.is_custom() { &[("200", "OK")] } else { &[("200", "OK"), ("201", "Created")] },
                answer: Answer::Object(own.clone()),
            });
        }
        operations
    }

    fn subresource(&mut self, subresource: &Subresource) {
        let (kind, name) = (self.resource.kind.as_str(), subresource.name.as_str());
        let noun = format!("{}{}", self.scoped(), capitalized(name));
        let object = format!("{name} of the specified {kind}");
        let (of, verbs) = subresource.shown(&self.group_version, kind);
        let (of, operations) = match &subresource.kind {
            SubresourceKind::Object { .. } => (of, self.read_and_write(verbs, &noun, &object, &self.version.type_name)),
            SubresourceKind::Scale(_) => {
                let Some(ty) = self.type_of(&of) else { return };
                let shown = if self.is_custom() { self.kind() } else { of };
                (shown, self.read_and_write(verbs, &noun, &object, &ty))
            }
            SubresourceKind::Custom { verbs: [Verb::Create], .. } => {
                let Some(ty) = self.type_of(&of) else { return };
                let description = format!("create {name} of{}{kind}", article(kind));
                (of, vec![create(noun, description, ty)])
            }
            SubresourceKind::Custom { .. } => {
                return if of == self.kind() { self.text(name) } else { self.connect(name, &of, verbs) };
            }
        };
        let path = format!("{}/{{name}}/{name}", self.collection_path(""));
        self.add(path, &of.kind.clone(), &of, operations);
    }

    /// Text to be read, with options of the type `<Kind><Name>Options`.
    fn text(&mut self, name: &str) {
        let (kind, subresource) = (self.resource.kind.as_str(), capitalized(name));
        let mut media_types = vec!["text/plain"];
        media_types.extend(self.writer.media_types(false));
        let operation = Operation {
            method: "get",
            action: "get",
            verb: "read",
            noun: format!("{}{subresource}", self.scoped()),
            description: format!("read {name} of the specified {kind}"),
            query: self.query_of(&self.group_version.with_kind(format!("{kind}{subresource}Options"))),
            body: Body::None,
            statuses: &[("200", "OK")],
            answer: Answer::Text(media_types),
        };
        self.add(format!("{}/{{name}}/{name}", self.collection_path("")), kind, &self.kind(), vec![operation]);
    }

    /// A stream or a proxy, with options of this kind in the query. What knows DELETE is a proxy and takes any method.
    fn connect(&mut self, name: &str, of: &GroupVersionKind, verbs: &[Verb]) {
        let mut methods: Vec<&'static str> = verbs.iter().filter_map(|verb| method(*verb)).collect();
        let path = format!("{}/{{name}}/{name}", self.collection_path(""));
        let mut places = vec![(path.clone(), "")];
        if verbs.contains(&Verb::Delete) {
            methods.extend(["head", "options"]);
            places.push((path + "/{path}", "WithPath"));
        }
        for (path, suffix) in places {
            let operations = methods.iter().map(|method| Operation {
                method,
                action: "connect",
                verb: "connect",
                noun: format!("{}{}{}{suffix}", capitalized(method), self.scoped(), capitalized(name)),
                description: format!(
                    "connect {} requests to {name} of {}",
                    method.to_ascii_uppercase(),
                    self.resource.kind
                ),
                query: self.query_of(of),
                body: Body::None,
                statuses: &[("200", "OK")],
                answer: Answer::Text(vec!["*/*"]),
            });
            let operations = operations.collect();
            self.add(path, &of.kind, of, operations);
        }
    }

    /// Query parameters for the fields of an options type; only simple ones fit into a query.
    fn query_of(&self, kind: &GroupVersionKind) -> Vec<(Str, &'static str)> {
        let Some(id) = self.table.find_kind(&kind.group, &kind.version, &kind.kind) else { return Vec::new() };
        let Shape::Struct(options) = &self.table.get(id).shape else { return Vec::new() };
        let fields = options.fields.iter().filter(|field| field.name != "kind" && field.name != "apiVersion");
        fields.filter_map(|field| Some((field.name.clone(), query_type(&field.ty)?))).collect()
    }

    fn type_of(&self, kind: &GroupVersionKind) -> Option<Str> {
        let id = self.table.find_kind(&kind.group, &kind.version, &kind.kind)?;
        Some(self.table.get(id).name.clone())
    }

    fn watches(&mut self) {
        if !self.has(Verb::Watch) || self.is_custom() {
            return;
        }
        let (kind, scoped) = (self.resource.kind.as_str(), self.scoped());
        let watch = |action, noun, description| Operation {
            method: "get",
            action,
            verb: "watch",
            noun,
            description,
            query: query(&[LIST, WATCH]),
            body: Body::None,
            statuses: &[("200", "OK")],
            answer: Answer::Stream(format_str!("{META}.WatchEvent")),
        };
        const INSTEAD: &str = "deprecated: use the 'watch' parameter with a list operation instead";
        let of_list = format!("watch individual changes to a list of {kind}. {INSTEAD}.");
        let of_item = format!(
            "watch changes to an object of kind {kind}. {INSTEAD}, filtered to a single item with the 'fieldSelector' parameter."
        );
        let collection = self.collection_path("/watch");
        if self.has(Verb::List) {
            let list = watch("watchlist", format!("{scoped}List"), of_list.clone());
            self.add(collection.clone(), kind, &self.kind(), vec![list]);
        }
        if self.has(Verb::List) && self.resource.is_namespaced() {
            let everywhere = watch("watchlist", format!("{kind}ListForAllNamespaces"), of_list);
            let path = format!("{}/watch/{}", root(&self.group_version), self.resource.plural);
            self.add(path, kind, &self.kind(), vec![everywhere]);
        }
        if self.has(Verb::Get) {
            let item = watch("watch", scoped, of_item);
            self.add(format!("{collection}/{{name}}"), kind, &self.kind(), vec![item]);
        }
    }

    /// Adds a path, unless nothing can be done there.
    fn add(&mut self, path: String, named: &str, kind: &GroupVersionKind, operations: Vec<Operation>) {
        if !operations.is_empty() {
            let item = path_item(&path, named, &self.group_version, kind, &operations, self.writer);
            self.paths.insert(path.into(), item);
        }
    }
}

fn create(noun: String, description: String, own: Str) -> Operation {
    Operation {
        method: "post",
        action: "post",
        verb: "create",
        noun,
        description,
        query: query(&[WRITE]),
        body: Body::Object(own.clone()),
        statuses: &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
        answer: Answer::Object(own),
    }
}

fn query(groups: &[&[(&'static str, &'static str)]]) -> Vec<(Str, &'static str)> {
    groups.iter().flat_map(|group| group.iter()).map(|&(name, ty)| (name.into(), ty)).collect()
}

/// The type of a query parameter for a field; a list is its item, given several times.
fn query_type(ty: &FieldType) -> Option<&'static str> {
    match ty {
        FieldType::Bool => Some("boolean"),
        FieldType::Int32 | FieldType::Int64 => Some("integer"),
        FieldType::String => Some("string"),
        FieldType::List(item) => query_type(item),
        FieldType::Double | FieldType::Bytes | FieldType::Ref(_) | FieldType::Map(_) | FieldType::Any => None,
    }
}

/// The HTTP method of a verb on a connection.
fn method(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Create => Some("post"),
        Verb::Delete => Some("delete"),
        Verb::Get => Some("get"),
        Verb::Patch => Some("patch"),
        Verb::Update => Some("put"),
        Verb::DeleteCollection | Verb::List | Verb::Watch => None,
    }
}

/// The article of a noun between spaces; plurals such as `Endpoints` have none.
fn article(noun: &str) -> &'static str {
    if noun.ends_with('s') && !noun.ends_with("ss") {
        " "
    } else if noun.starts_with(['A', 'E', 'I', 'O', 'U', 'a', 'e', 'i', 'o', 'u']) {
        " an "
    } else {
        " a "
    }
}
