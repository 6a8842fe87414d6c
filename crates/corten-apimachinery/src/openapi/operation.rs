//! Operations on a path, as OpenAPI documents write them.

use std::collections::BTreeMap;

use super::Dialect;
use crate::{
    gvk::{GroupVersion, GroupVersionKind},
    value::{Map, Str, Value, format_str},
};

/// The types of requests and answers that belong to no kind.
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Which OpenAPI, and what the server speaks besides JSON, YAML and protobuf.
#[derive(Debug, Clone, Copy)]
pub struct PathOptions {
    /// Which OpenAPI.
    pub dialect: Dialect,
    /// Whether CBOR is on: upstream's feature gate `CBORServingAndStorage`.
    pub cbor: bool,
}

/// Writes the operations of one resource, or of the server itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer {
    pub(super) options: PathOptions,
    /// Whether it is a custom resource: it has no binary form and no strategic merge patch, and upstream tells less of it.
    pub(super) is_custom: bool,
}

/// What an operation sends.
pub(super) enum Body {
    None,
    /// An object of this type.
    Object(Str),
    /// Options that may be left out.
    DeleteOptions,
    Patch,
}

/// One operation on a path.
pub(super) struct Operation {
    /// The HTTP method in lower case.
    pub(super) method: &'static str,
    /// Upstream's word for it: `x-kubernetes-action`.
    pub(super) action: &'static str,
    /// The start of the id, which stands before the group.
    pub(super) verb: &'static str,
    /// The rest of the id.
    pub(super) noun: String,
    pub(super) description: String,
    /// Query parameters: (name, type).
    pub(super) query: Vec<(Str, &'static str)>,
    pub(super) body: Body,
    /// (status, its description) besides 401.
    pub(super) statuses: &'static [(&'static str, &'static str)],
    pub(super) answer: Answer,
}

/// What an operation answers.
pub(super) enum Answer {
    /// An object of this type.
    Object(Str),
    /// A list or its changes.
    Stream(Str),
    /// An object of this type, as JSON only.
    Json(Str),
    /// Text or anything else, as one of these media types.
    Text(Vec<&'static str>),
}

/// The path item of `path`, of which there is at least one operation. `named` is the kind that `{name}` names.
///
/// Parameters that all operations take stand at the path, the others at the operations.
pub(super) fn path_item(
    path: &str,
    named: &str,
    group_version: &GroupVersion,
    kind: &GroupVersionKind,
    operations: &[Operation],
    writer: Writer,
) -> Value {
    // By name and place, which is the order in the document.
    let mut shared: BTreeMap<(Str, &'static str), Value> = BTreeMap::new();
    if operations.iter().all(|operation| operation.action != "connect") {
        shared.insert(("pretty".into(), "query"), writer.parameter("query", "pretty", "string", None));
    }
    for segment in path.split('/') {
        match segment {
            "{name}" => {
                let words = format!("name of the {named}");
                shared.insert(("name".into(), "path"), writer.parameter("path", "name", "string", Some(&words)));
            }
            "{namespace}" => {
                let words = "object name and auth scope, such as for teams and projects";
                shared
                    .insert(("namespace".into(), "path"), writer.parameter("path", "namespace", "string", Some(words)));
            }
            "{path}" => {
                let words = "path to the resource";
                shared.insert(("path".into(), "path"), writer.parameter("path", "path", "string", Some(words)));
            }
            _ => {}
        }
    }
    let of_operation = |operation: &Operation| -> BTreeMap<(Str, &'static str), Value> {
        let query = operation.query.iter();
        query.map(|(name, ty)| ((name.clone(), "query"), writer.parameter("query", name, ty, None))).collect()
    };
    let mut own: Vec<BTreeMap<(Str, &'static str), Value>> = operations.iter().map(of_operation).collect();
    let everywhere = own[0].keys().filter(|name| own.iter().all(|other| other.contains_key(*name))).cloned();
    for name in everywhere.collect::<Vec<_>>() {
        for parameters in &mut own {
            shared.extend(parameters.remove_entry(&name));
        }
    }
    // A body stays at its operation, even the only one.
    for (operation, parameters) in operations.iter().zip(&mut own) {
        parameters.extend(writer.body_parameter(&operation.body).map(|body| (("body".into(), "body"), body)));
    }
    let mut item = Map::new();
    for (operation, parameters) in operations.iter().zip(own) {
        item.insert(operation.method, writer.operation(operation, group_version, kind, parameters));
    }
    item.insert("parameters", Value::array(shared.into_values()));
    item.into()
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

impl Writer {
    fn operation(
        self,
        operation: &Operation,
        group_version: &GroupVersion,
        kind: &GroupVersionKind,
        parameters: BTreeMap<(Str, &'static str), Value>,
    ) -> Map {
        let mut out = Map::new();
        out.insert("description", operation.description.as_str());
        out.insert("operationId", operation_id(group_version, operation.verb, &operation.noun));
        if !parameters.is_empty() {
            out.insert("parameters", Value::array(parameters.into_values()));
        }
        match self.options.dialect {
            Dialect::V2 => {
                let consumes = match operation.body {
                    Body::Patch => self.patch_media_types(),
                    _ => self.object_media_types(),
                };
                out.insert("consumes", texts(consumes));
                out.insert("produces", texts(self.answer_media_types(&operation.answer)));
                out.insert("schemes", texts(vec!["https"]));
            }
            Dialect::V3 => {
                if let Some(body) = self.request_body(&operation.body) {
                    out.insert("requestBody", body);
                }
            }
        }
        out.insert("responses", self.responses(operation.statuses, &operation.answer));
        out.insert("tags", Value::array([tag(group_version).into()]));
        out.insert("x-kubernetes-action", operation.action);
        let kind = [("group", &kind.group), ("kind", &kind.kind), ("version", &kind.version)];
        out.insert(
            "x-kubernetes-group-version-kind",
            Value::object_of(kind.map(|(key, text)| (key, text.clone().into()))),
        );
        out
    }

    fn reference(self, ty: &str) -> Value {
        let folder = match self.options.dialect {
            Dialect::V2 => "#/definitions",
            Dialect::V3 => "#/components/schemas",
        };
        Value::object_of([("$ref", format_str!("{folder}/{ty}").into())])
    }

    /// What objects may be sent as.
    fn object_media_types(self) -> Vec<&'static str> {
        if self.is_custom { self.media_types(false) } else { vec!["*/*"] }
    }

    /// What answers may be encoded as.
    pub(super) fn media_types(self, streams: bool) -> Vec<&'static str> {
        if self.is_custom {
            return vec!["application/json", "application/yaml"];
        }
        let mut out = vec!["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        out.extend(self.options.cbor.then_some("application/cbor"));
        if streams {
            out.extend(["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]);
            out.extend(self.options.cbor.then_some("application/cbor-seq"));
        }
        out
    }

    fn patch_media_types(self) -> Vec<&'static str> {
        let mut out = vec!["application/json-patch+json", "application/merge-patch+json"];
        out.extend((!self.is_custom).then_some("application/strategic-merge-patch+json"));
        out.push("application/apply-patch+yaml");
        out.extend((self.options.cbor && !self.is_custom).then_some("application/apply-patch+cbor"));
        out
    }

    /// In v3 bodies stand by themselves.
    fn request_body(self, body: &Body) -> Option<Value> {
        let (ty, required) = body.ty()?;
        let media_types = match body {
            Body::Patch => self.patch_media_types(),
            _ => self.object_media_types(),
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
        if self.options.dialect == Dialect::V3 {
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

    pub(super) fn answer_media_types(self, answer: &Answer) -> Vec<&'static str> {
        match answer {
            Answer::Object(_) => self.media_types(false),
            Answer::Stream(_) => self.media_types(true),
            Answer::Json(_) => vec!["application/json"],
            Answer::Text(media_types) => media_types.clone(),
        }
    }

    pub(super) fn responses(self, statuses: &[(&str, &str)], answer: &Answer) -> Value {
        let schema = match answer {
            Answer::Object(ty) | Answer::Stream(ty) | Answer::Json(ty) => self.reference(ty),
            Answer::Text(_) => Value::object_of([("type", "string".into())]),
        };
        let mut out = Map::new();
        for &(status, description) in statuses {
            let (key, answer) = match self.options.dialect {
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
        match self.options.dialect {
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

fn content(media_types: &[&str], schema: &Value) -> Value {
    let media_type = Value::object_of([("schema", schema.clone())]);
    Value::object_of(media_types.iter().map(|&name| (name, media_type.clone())))
}

pub(super) fn texts(words: Vec<&str>) -> Value {
    Value::array(words.into_iter().map(Value::from))
}

/// `/api/v1`, `/apis/apps/v1`.
pub(super) fn root(group_version: &GroupVersion) -> String {
    format!("/{}/{group_version}", if group_version.group.is_empty() { "api" } else { "apis" })
}

/// The words of a group's name without `.k8s.io`; the core group is `core`.
pub(super) fn group_words(group: &str) -> impl Iterator<Item = &str> {
    let group = if group.is_empty() { "core" } else { group };
    group.trim_end_matches(".k8s.io").split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// `readAppsV1NamespacedDeployment`.
pub(super) fn operation_id(group_version: &GroupVersion, verb: &str, noun: &str) -> String {
    let group: String = group_words(&group_version.group).map(capitalized).collect();
    format!("{verb}{group}{}{noun}", capitalized(&group_version.version))
}

/// `rbacAuthorization_v1`.
pub(super) fn tag(group_version: &GroupVersion) -> String {
    format!("{}_{}", group_tag(&group_version.group), group_version.version)
}

/// `rbacAuthorization`.
pub(super) fn group_tag(group: &str) -> String {
    let mut words = group_words(group);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |tag, word| tag + &capitalized(word))
}

pub(super) fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}
