//! Paths of OpenAPI documents: what can be done with a resource, derived from its definition.
//!
//! `kubectl` looks here for the parameters that a kind's PATCH takes before it relies on server-side field validation.
//! Left out: subresources that are streams or proxies (exec, log, proxy), and descriptions of query parameters. In v2
//! parameters stand where they are used; upstream moves those that recur to the end of the document.

use std::collections::BTreeMap;

use super::Dialect;
use crate::{
    gvk::{GroupVersion, GroupVersionKind},
    resource::{ResourceDefinition, Subresource, SubresourceKind, Verb, Version},
    type_table::TypeTable,
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
    operation.insert("responses", options.responses(&[("200", "OK")], &list, false));
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
    query: Vec<&'static [(&'static str, &'static str)]>,
    body: Body,
    /// (status, its description) besides 401.
    statuses: &'a [(&'static str, &'static str)],
    /// The type of the answer.
    answer: Str,
    streams: bool,
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
                query: vec![LIST, DELETE],
                body: Body::DeleteOptions,
                statuses: &[("200", "OK")],
                answer: format_str!("{META}.Status"),
                streams: false,
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
            query: vec![LIST, WATCH],
            body: Body::None,
            statuses: &[("200", "OK")],
            answer: format_str!("{}List", self.version.type_name),
            // Also where nothing can be watched: upstream lists the media types by verb.
            streams: true,
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
                query: vec![DELETE],
                body: Body::DeleteOptions,
                statuses: &[("200", "OK"), ("202", "Accepted")],
                answer: if returns { own } else { format_str!("{META}.Status") },
                streams: false,
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
                answer: own.clone(),
                streams: false,
            });
        }
        if verbs.contains(&Verb::Update) {
            operations.push(Operation {
                method: "put",
                action: "put",
                verb: "replace",
                noun: noun.to_owned(),
                description: format!("replace {object}"),
                query: vec![WRITE],
                body: Body::Object(own.clone()),
                statuses: &[("200", "OK"), ("201", "Created")],
                answer: own.clone(),
                streams: false,
            });
        }
        if verbs.contains(&Verb::Patch) {
            operations.push(Operation {
                method: "patch",
                action: "patch",
                verb: "patch",
                noun: noun.to_owned(),
                description: format!("partially update {object}"),
                query: vec![WRITE, FORCE],
                body: Body::Patch,
                statuses: &[("200", "OK"), ("201", "Created")],
                answer: own.clone(),
                streams: false,
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
            SubresourceKind::Custom { .. } => return,
        };
        let path = format!("{}/{{name}}/{name}", self.collection_path(""));
        self.add(path, &of.kind.clone(), &of, operations);
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
            query: vec![LIST, WATCH],
            body: Body::None,
            statuses: &[("200", "OK")],
            answer: format_str!("{META}.WatchEvent"),
            streams: true,
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
        let mut shared = BTreeMap::from([("pretty", options.parameter("query", "pretty", "string", None))]);
        for segment in path.split('/') {
            match segment {
                "{name}" => {
                    let words = format!("name of the {named}");
                    shared.insert("name", options.parameter("path", "name", "string", Some(&words)));
                }
                "{namespace}" => {
                    let words = "object name and auth scope, such as for teams and projects";
                    shared.insert("namespace", options.parameter("path", "namespace", "string", Some(words)));
                }
                _ => {}
            }
        }
        let of_operation = |operation: &Operation<'_>| -> BTreeMap<&'static str, Value> {
            let query = operation.query.iter().flat_map(|group| group.iter());
            query.map(|&(name, ty)| (name, options.parameter("query", name, ty, None))).collect()
        };
        let mut own: Vec<BTreeMap<&'static str, Value>> = operations.iter().map(of_operation).collect();
        let everywhere = own[0].keys().copied().filter(|name| own.iter().all(|other| other.contains_key(name)));
        for name in everywhere.collect::<Vec<_>>() {
            for parameters in &mut own {
                shared.extend(parameters.remove_entry(name));
            }
        }
        // A body stays at its operation, even the only one.
        for (operation, parameters) in operations.iter().zip(&mut own) {
            parameters.extend(options.body_parameter(&operation.body).map(|body| ("body", body)));
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
        parameters: BTreeMap<&'static str, Value>,
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
                out.insert("produces", texts(self.options.media_types(operation.streams)));
                out.insert("schemes", texts(vec!["https"]));
            }
            Dialect::V3 => {
                if let Some(body) = self.options.request_body(&operation.body) {
                    out.insert("requestBody", body);
                }
            }
        }
        out.insert("responses", self.options.responses(operation.statuses, &operation.answer, operation.streams));
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
        out.insert("content", self.content(&media_types, &ty));
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

    fn responses(self, statuses: &[(&str, &str)], ty: &str, streams: bool) -> Value {
        let mut out = Map::new();
        for &(status, description) in statuses {
            let (key, answer) = match self.dialect {
                Dialect::V2 => ("schema", self.reference(ty)),
                Dialect::V3 => ("content", self.content(&self.media_types(streams), ty)),
            };
            out.insert(status, Value::object_of([(key, answer), ("description", description.into())]));
        }
        out.insert("401", Value::object_of([("description", "Unauthorized".into())]));
        out.into()
    }

    fn content(self, media_types: &[&str], ty: &str) -> Value {
        let media_type = Value::object_of([("schema", self.reference(ty))]);
        Value::object_of(media_types.iter().map(|&name| (name, media_type.clone())))
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
        query: vec![WRITE],
        body: Body::Object(own.clone()),
        statuses: &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
        answer: own,
        streams: false,
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
