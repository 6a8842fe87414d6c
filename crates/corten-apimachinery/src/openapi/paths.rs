//! Paths of OpenAPI documents: what can be done with a resource, derived from its definition.
//!
//! `kubectl` looks here for the parameters that a kind's PATCH takes before it relies on server-side field validation.
//! Left out: descriptions of query parameters. In v2 parameters stand where they are used; upstream moves those that
//! recur to the end of the document.

use std::collections::BTreeMap;

use super::Dialect;
use crate::{
    gvk::{GroupVersion, GroupVersionKind},
    resource::{ResourceDefinition, Subresource, SubresourceKind, Verb, Version},
    type_table::{FieldType, Shape, TypeTable},
    value::{Map, Str, Value, format_str},
};

/// Which OpenAPI, and what the server speaks besides JSON, YAML and protobuf.
#[derive(Debug, Clone, Copy)]
pub struct PathOptions {
    /// Which OpenAPI.
    pub dialect: Dialect,
    /// Whether CBOR is on: upstream's feature gate `CBORServingAndStorage`.
    pub cbor: bool,
    /// Whether strategic merge patch works: for built-in kinds only.
    pub strategic_merge: bool,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

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
    resource: &ResourceDefinition,
    version: &Version,
    options: PathOptions,
) -> BTreeMap<Str, Value> {
    let group_version = GroupVersion::new(resource.group, version.name);
    let mut builder = Builder { table, resource, version, options, group_version, paths: BTreeMap::new() };
    builder.collection();
    builder.item();
    for subresource in resource.subresources {
        builder.subresource(subresource);
    }
    builder.watches();
    builder.paths
}

/// The path item of a group version's own path, which lists its resources.
#[must_use]
pub fn discovery_path(group_version: &GroupVersion, options: PathOptions) -> (Str, Value) {
    let mut operation = Map::new();
    operation.insert("description", "get available resources");
    operation.insert("operationId", operation_id(group_version, "get", "APIResources"));
    operation.insert("tags", Value::array([tag(group_version).into()]));
    let list = format_str!("{META}.APIResourceList");
    operation.insert("responses", options.responses(&[("200", "OK")], &Answer::Object(list)));
    if options.dialect == Dialect::V2 {
        let media_types = texts(options.media_types(false));
        operation.insert("consumes", media_types.clone());
        operation.insert("produces", media_types);
        operation.insert("schemes", texts(vec!["https"]));
    }
    (format_str!("{}/", root(group_version)), Value::object_of([("get", operation.into())]))
}

struct Builder<'a> {
    table: &'a TypeTable,
    resource: &'a ResourceDefinition,
    version: &'a Version,
    options: PathOptions,
    group_version: GroupVersion,
    paths: BTreeMap<Str, Value>,
}

/// What an operation sends.
enum Body {
    None,
    /// An object of this type.
    Object(Str),
    /// Options that may be left out.
    DeleteOptions,
    Patch,
}

struct Operation<'a> {
    method: &'static str,
    action: &'static str,
    /// The start of the id, which stands before the group.
    verb: &'static str,
    /// The rest of the id.
    noun: String,
    description: String,
    /// Query parameters: (name, type).
    query: Vec<(Str, &'static str)>,
    body: Body,
    /// (status, its description) besides 401.
    statuses: &'a [(&'static str, &'static str)],
    answer: Answer,
}

/// What an operation answers.
enum Answer {
    /// An object of this type.
    Object(Str),
    /// A list or its changes.
    Stream(Str),
    /// Text or anything else, as one of these media types.
    Text(Vec<&'static str>),
}

impl Builder<'_> {
    fn has(&self, verb: Verb) -> bool {
        self.resource.verbs.contains(&verb)
    }

    fn kind(&self) -> GroupVersionKind {
        self.group_version.with_kind(self.resource.kind)
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
        let (kind, scoped) = (self.resource.kind, self.scoped());
        let own: Str = self.version.type_name.into();
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
                query: query(&[LIST, DELETE]),
                body: Body::DeleteOptions,
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

    fn list(&self, noun: String) -> Operation<'static> {
        let watches = self.has(Verb::Watch);
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
            answer: Answer::Stream(format_str!("{}List", self.version.type_name)),
        }
    }

    fn item(&mut self) {
        let (kind, scoped) = (self.resource.kind, self.scoped());
        let own: Str = self.version.type_name.into();
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
    fn read_and_write(&self, verbs: &[Verb], noun: &str, object: &str, own: &Str) -> Vec<Operation<'static>> {
        let mut operations = Vec::new();
        if verbs.contains(&Verb::Get) {
            operations.push(Operation {
                method: "get",
                action: "get",
                verb: "read",
                noun: noun.to_owned(),
                description: format!("read {object}"),
                query: Vec::new(),
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
                statuses: &[("200", "OK"), ("201", "Created")],
                answer: Answer::Object(own.clone()),
            });
        }
        operations
    }

    fn subresource(&mut self, subresource: &Subresource) {
        let (kind, name) = (self.resource.kind, subresource.name);
        let noun = format!("{}{}", self.scoped(), capitalized(name));
        let object = format!("{name} of the specified {kind}");
        let (of, operations) = match &subresource.kind {
            SubresourceKind::Object { verbs, .. } => {
                (self.kind(), self.read_and_write(verbs, &noun, &object, &self.version.type_name.into()))
            }
            SubresourceKind::Scale(_) => {
                let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
                let Some(ty) = self.type_of(&scale) else { return };
                let verbs = [Verb::Get, Verb::Patch, Verb::Update];
                (scale, self.read_and_write(&verbs, &noun, &object, &ty))
            }
            SubresourceKind::Custom { kind: (group, version, posted), verbs: [Verb::Create] } => {
                let posted = GroupVersionKind::new(*group, *version, *posted);
                let Some(ty) = self.type_of(&posted) else { return };
                let description = format!("create {name} of{}{kind}", article(kind));
                (posted, vec![create(noun, description, ty)])
            }
            SubresourceKind::Custom { kind: (group, version, of), verbs } => {
                let of = GroupVersionKind::new(*group, *version, *of);
                return if of == self.kind() { self.text(name) } else { self.connect(name, &of, verbs) };
            }
        };
        let path = format!("{}/{{name}}/{name}", self.collection_path(""));
        self.add(path, &of.kind.clone(), &of, operations);
    }

    /// Text to be read, with options of the type `<Kind><Name>Options`.
    fn text(&mut self, name: &str) {
        let (kind, subresource) = (self.resource.kind, capitalized(name));
        let mut media_types = vec!["text/plain"];
        media_types.extend(self.options.media_types(false));
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
        if !self.has(Verb::Watch) {
            return;
        }
        let (kind, scoped) = (self.resource.kind, self.scoped());
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

    /// Adds a path. Parameters that all its operations take stand at the path, the others at the operations.
    fn add(&mut self, path: String, named: &str, kind: &GroupVersionKind, operations: Vec<Operation<'_>>) {
        if operations.is_empty() {
            return;
        }
        let options = self.options;
        // By name and place, which is the order in the document.
        let mut shared: BTreeMap<(Str, &'static str), Value> = BTreeMap::new();
        if operations.iter().all(|operation| operation.action != "connect") {
            shared.insert(("pretty".into(), "query"), options.parameter("query", "pretty", "string", None));
        }
        for segment in path.split('/') {
            match segment {
                "{name}" => {
                    let words = format!("name of the {named}");
                    shared.insert(("name".into(), "path"), options.parameter("path", "name", "string", Some(&words)));
                }
                "{namespace}" => {
                    let words = "object name and auth scope, such as for teams and projects";
                    shared.insert(
                        ("namespace".into(), "path"),
                        options.parameter("path", "namespace", "string", Some(words)),
                    );
                }
                "{path}" => {
                    let words = "path to the resource";
                    shared.insert(("path".into(), "path"), options.parameter("path", "path", "string", Some(words)));
                }
                _ => {}
            }
        }
        let of_operation = |operation: &Operation<'_>| -> BTreeMap<(Str, &'static str), Value> {
            let query = operation.query.iter();
            query.map(|(name, ty)| ((name.clone(), "query"), options.parameter("query", name, ty, None))).collect()
        };
        let mut own: Vec<BTreeMap<(Str, &'static str), Value>> = operations.iter().map(of_operation).collect();
        let everywhere = own[0].keys().cloned().filter(|name| own.iter().all(|other| other.contains_key(name)));
        for name in everywhere.collect::<Vec<_>>() {
            for parameters in &mut own {
                shared.extend(parameters.remove_entry(&name));
            }
        }
        // A body stays at its operation, even the only one.
        for (operation, parameters) in operations.iter().zip(&mut own) {
            parameters.extend(options.body_parameter(&operation.body).map(|body| (("body".into(), "body"), body)));
        }
        let mut item = Map::new();
        for (operation, parameters) in operations.iter().zip(own) {
            item.insert(operation.method, self.operation(operation, kind, parameters));
        }
        item.insert("parameters", Value::array(shared.into_values()));
        self.paths.insert(path.into(), item.into());
    }

    fn operation(
        &self,
        operation: &Operation<'_>,
        kind: &GroupVersionKind,
        parameters: BTreeMap<(Str, &'static str), Value>,
    ) -> Map {
        let mut out = Map::new();
        out.insert("description", operation.description.as_str());
        out.insert("operationId", operation_id(&self.group_version, operation.verb, &operation.noun));
        if !parameters.is_empty() {
            out.insert("parameters", Value::array(parameters.into_values()));
        }
        match self.options.dialect {
            Dialect::V2 => {
                let consumes = match operation.body {
                    Body::Patch => self.options.patch_media_types(),
                    _ => vec!["*/*"],
                };
                out.insert("consumes", texts(consumes));
                out.insert("produces", texts(self.options.answer_media_types(&operation.answer)));
                out.insert("schemes", texts(vec!["https"]));
            }
            Dialect::V3 => {
                if let Some(body) = self.options.request_body(&operation.body) {
                    out.insert("requestBody", body);
                }
            }
        }
        out.insert("responses", self.options.responses(operation.statuses, &operation.answer));
        out.insert("tags", Value::array([tag(&self.group_version).into()]));
        out.insert("x-kubernetes-action", operation.action);
        let kind = [("group", &kind.group), ("kind", &kind.kind), ("version", &kind.version)];
        out.insert(
            "x-kubernetes-group-version-kind",
            Value::object_of(kind.map(|(key, text)| (key, text.clone().into()))),
        );
        out
    }
}

impl Body {
    /// The type of what is sent, and whether it must be there.
    fn ty(&self) -> Option<(Str, bool)> {
        match self {
            Self::None => None,
            Self::Object(ty) => Some((ty.clone(), true)),
            Self::DeleteOptions => Some((format_str!("{META}.DeleteOptions"), false)),
            Self::Patch => Some((format_str!("{META}.Patch"), true)),
        }
    }
}

impl PathOptions {
    fn reference(self, ty: &str) -> Value {
        let folder = match self.dialect {
            Dialect::V2 => "#/definitions",
            Dialect::V3 => "#/components/schemas",
        };
        Value::object_of([("$ref", format_str!("{folder}/{ty}").into())])
    }

    /// What answers may be encoded as.
    fn media_types(self, streams: bool) -> Vec<&'static str> {
        let mut out = vec!["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        out.extend(self.cbor.then_some("application/cbor"));
        if streams {
            out.extend(["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]);
            out.extend(self.cbor.then_some("application/cbor-seq"));
        }
        out
    }

    fn patch_media_types(self) -> Vec<&'static str> {
        let mut out = vec!["application/json-patch+json", "application/merge-patch+json"];
        out.extend(self.strategic_merge.then_some("application/strategic-merge-patch+json"));
        out.push("application/apply-patch+yaml");
        out.extend(self.cbor.then_some("application/apply-patch+cbor"));
        out
    }

    /// In v3 bodies stand by themselves.
    fn request_body(self, body: &Body) -> Option<Value> {
        let (ty, required) = body.ty()?;
        let media_types = match body {
            Body::Patch => self.patch_media_types(),
            _ => vec!["*/*"],
        };
        let mut out = Map::new();
        out.insert("content", content(&media_types, &self.reference(&ty)));
        if required {
            out.insert("required", true);
        }
        Some(out.into())
    }

    /// In v2 bodies are parameters.
    fn body_parameter(self, body: &Body) -> Option<Value> {
        if self.dialect == Dialect::V3 {
            return None;
        }
        let (ty, required) = body.ty()?;
        let mut out = Map::new();
        out.insert("in", "body");
        out.insert("name", "body");
        if required {
            out.insert("required", true);
        }
        out.insert("schema", self.reference(&ty));
        Some(out.into())
    }

    fn answer_media_types(self, answer: &Answer) -> Vec<&'static str> {
        match answer {
            Answer::Object(_) => self.media_types(false),
            Answer::Stream(_) => self.media_types(true),
            Answer::Text(media_types) => media_types.clone(),
        }
    }

    fn responses(self, statuses: &[(&str, &str)], answer: &Answer) -> Value {
        let schema = match answer {
            Answer::Object(ty) | Answer::Stream(ty) => self.reference(ty),
            Answer::Text(_) => Value::object_of([("type", "string".into())]),
        };
        let mut out = Map::new();
        for &(status, description) in statuses {
            let (key, answer) = match self.dialect {
                Dialect::V2 => ("schema", schema.clone()),
                Dialect::V3 => ("content", content(&self.answer_media_types(answer), &schema)),
            };
            out.insert(status, Value::object_of([(key, answer), ("description", description.into())]));
        }
        out.insert("401", Value::object_of([("description", "Unauthorized".into())]));
        out.into()
    }

    fn parameter(self, place: &str, name: &str, ty: &str, description: Option<&str>) -> Value {
        let mut out = Map::new();
        out.insert("in", place);
        out.insert("name", name);
        if place == "path" {
            out.insert("required", true);
        }
        if let Some(description) = description {
            out.insert("description", description);
        }
        match self.dialect {
            Dialect::V2 => {
                out.insert("type", ty);
                out.insert("uniqueItems", true);
            }
            Dialect::V3 => {
                out.insert("schema", Value::object_of([("type", ty.into()), ("uniqueItems", true.into())]));
            }
        }
        out.into()
    }
}

fn create(noun: String, description: String, own: Str) -> Operation<'static> {
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

fn content(media_types: &[&str], schema: &Value) -> Value {
    let media_type = Value::object_of([("schema", schema.clone())]);
    Value::object_of(media_types.iter().map(|&name| (name, media_type.clone())))
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

fn texts(words: Vec<&str>) -> Value {
    Value::array(words.into_iter().map(Value::from))
}

/// `/api/v1`, `/apis/apps/v1`.
fn root(group_version: &GroupVersion) -> String {
    format!("/{}/{group_version}", if group_version.group.is_empty() { "api" } else { "apis" })
}

/// The words of a group's name without `.k8s.io`; the core group is `core`.
fn group_words(group: &str) -> impl Iterator<Item = &str> {
    let group = if group.is_empty() { "core" } else { group };
    group.trim_end_matches(".k8s.io").split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// `readAppsV1NamespacedDeployment`.
fn operation_id(group_version: &GroupVersion, verb: &str, noun: &str) -> String {
    let group: String = group_words(&group_version.group).map(capitalized).collect();
    format!("{verb}{group}{}{noun}", capitalized(&group_version.version))
}

/// `rbacAuthorization_v1`.
fn tag(group_version: &GroupVersion) -> String {
    let mut words = group_words(&group_version.group);
    let first = words.next().unwrap_or_default().to_owned();
    let group = words.fold(first, |tag, word| tag + &capitalized(word));
    format!("{group}_{}", group_version.version)
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
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
