//! What the expressions of admission can name: conditions of webhooks, validating and mutating policies.
//!
//! The object is whatever comes, so that nothing of it is known before. Variables have the types of their expressions.
//!
//! Upstream: k8s.io/apiserver/pkg/admission/plugin/cel/{compile,composition}.go, pkg/cel/mutation (v1.35).

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use corten_apimachinery::value::Str;

use crate::{
    Environment, Libraries, Type,
    declared::{Declared, DeclaredTypes},
    types::TypeProvider,
};

/// The type of `variables`.
const VARIABLES: &str = "kubernetes.variables";
/// The type of an object that is to be applied, and what the types of its fields begin with.
const OBJECT: &str = "Object";
/// The type of a step of a JSON patch.
const JSON_PATCH: &str = "JSONPatch";

/// What an expression can name besides the object, the request and the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// `params`
    pub params: bool,
    /// `authorizer`
    pub authorizer: bool,
    /// The types of what a mutating policy makes: `Object{..}`, `JSONPatch{..}`.
    pub patches: bool,
}

/// The types of the variables of a policy, by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Variables(Option<Arc<BTreeMap<Str, Type>>>);

impl Variables {
    /// None, in a place that can have some: `variables` is there, and empty.
    #[must_use]
    pub fn empty() -> Self {
        Self(Some(Arc::default()))
    }

    /// Adds a variable. `of` is the type of its expression, if that has one.
    pub fn declare(&mut self, name: &str, of: Option<&Type>) {
        let variables = Arc::make_mut(self.0.get_or_insert_default());
        variables.insert(name.into(), of.map_or(Type::Dyn, simplified));
    }
}

/// The type that a variable has: types that only functions know are lost on the way.
fn simplified(ty: &Type) -> Type {
    match ty {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => ty.clone(),
        Type::List(items) => Type::list(simplified(items)),
        Type::Map(entries) => Type::map(simplified(&entries.0), simplified(&entries.1)),
        _ => Type::Dyn,
    }
}

/// What an apply configuration has to be.
#[must_use]
pub fn apply_configuration() -> Type {
    Type::object(OBJECT)
}

/// What the steps of a JSON patch have to be.
#[must_use]
pub fn json_patch() -> Type {
    Type::list(Type::object(JSON_PATCH))
}

/// The environment of an expression.
#[must_use]
pub fn environment(names: Names, variables: &Variables) -> Environment {
    let types = Types { variables: variables.0.clone(), patches: names.patches };
    let opaque = |name: &str| Type::Opaque(name.into(), [].into());
    let libraries = Libraries::kubernetes();
    let libraries = if names.patches { libraries.and_json_patches() } else { libraries };
    let mut environment = Environment::kubernetes_with(libraries)
        .types(Arc::new(types))
        .variable("object", Type::Dyn)
        .variable("oldObject", Type::Dyn)
        .variable("namespaceObject", Type::object(NAMESPACE))
        .variable("request", Type::object(REQUEST));
    if names.params {
        environment = environment.variable("params", Type::Dyn);
    }
    if names.authorizer {
        environment = environment
            .variable("authorizer", opaque("kubernetes.authorization.Authorizer"))
            .variable("authorizer.requestResource", opaque("kubernetes.authorization.ResourceCheck"));
    }
    if variables.0.is_some() {
        environment = environment.variable("variables", Type::object(VARIABLES));
    }
    environment
}

struct Types {
    variables: Option<Arc<BTreeMap<Str, Type>>>,
    patches: bool,
}

impl TypeProvider for Types {
    fn has_type(&self, name: &str) -> bool {
        let is_patch = || name == JSON_PATCH || name == OBJECT || name.strip_prefix("Object.").is_some();
        BASE.has_type(name) || (self.variables.is_some() && name == VARIABLES) || (self.patches && is_patch())
    }

    fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        match type_name {
            VARIABLES => self.variables.as_ref()?.get(field).cloned(),
            JSON_PATCH => match field {
                "op" | "path" | "from" => Some(Type::String),
                "value" => Some(Type::Dyn),
                _ => None,
            },
            name if name == OBJECT || name.starts_with("Object.") => Some(Type::Dyn),
            name => BASE.field(name, field),
        }
    }
}

const NAMESPACE: &str = "kubernetes.Namespace";
const REQUEST: &str = "kubernetes.AdmissionRequest";

/// The types of what every request has.
static BASE: LazyLock<DeclaredTypes> = LazyLock::new(|| DeclaredTypes::named([&*namespace(), &*request()]));

fn scalar(ty: Type) -> Arc<Declared> {
    Declared::scalar(ty, u64::MAX, 0)
}

fn object(name: &str, fields: impl IntoIterator<Item = (&'static str, Arc<Declared>)>) -> Arc<Declared> {
    Declared::object(name, fields.into_iter().map(|(name, field)| (name.into(), field)), 2)
}

fn namespace() -> Arc<Declared> {
    let text = || scalar(Type::String);
    let time = || scalar(Type::Timestamp);
    let list = |items| Declared::list(items, u64::MAX);
    let map = || Declared::map(text(), text(), u64::MAX);
    let condition = object(
        "kubernetes.NamespaceCondition",
        [("status", text()), ("type", text()), ("lastTransitionTime", time()), ("message", text()), ("reason", text())],
    );
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", text()),
            ("generateName", text()),
            ("namespace", text()),
            ("labels", map()),
            ("annotations", map()),
            ("UID", text()),
            ("creationTimestamp", time()),
            ("deletionGracePeriodSeconds", scalar(Type::Int)),
            ("deletionTimestamp", time()),
            ("generation", scalar(Type::Int)),
            ("resourceVersion", text()),
            ("finalizers", list(text())),
        ],
    );
    let spec = object("kubernetes.NamespaceSpec", [("finalizers", list(text()))]);
    let status = object("kubernetes.NamespaceStatus", [("conditions", list(condition)), ("phase", text())]);
    object(NAMESPACE, [("metadata", metadata), ("spec", spec), ("status", status)])
}

fn request() -> Arc<Declared> {
    let text = || scalar(Type::String);
    let list = || Declared::list(text(), u64::MAX);
    let kind = || object("kubernetes.GroupVersionKind", [("group", text()), ("version", text()), ("kind", text())]);
    let resource =
        || object("kubernetes.GroupVersionResource", [("group", text()), ("version", text()), ("resource", text())]);
    let user = object(
        "kubernetes.UserInfo",
        [("username", text()), ("uid", text()), ("groups", list()), ("extra", Declared::map(text(), list(), u64::MAX))],
    );
    object(
        REQUEST,
        [
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", text()),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", text()),
            ("name", text()),
            ("namespace", text()),
            ("operation", text()),
            ("userInfo", user),
            ("dryRun", scalar(Type::Bool)),
            ("options", scalar(Type::Dyn)),
        ],
    )
}
