//! What the tests of all resources use: objects written as JSON, errors and rows read as text.

use std::sync::LazyLock;

use corten_apimachinery::{
    Features, Value, codec,
    resource::{Context, ResourceDefinition, RowContext, Strategy, UserInfo},
};
use corten_component_base::feature_gates::FeatureGates;
use jiff::Timestamp;

/// Makes a tree of `json!({..})`.
pub(crate) fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().expect("JSON numbers are finite")),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => Value::array(items.into_iter().map(value)),
        serde_json::Value::Object(map) => Value::object_of(map.into_iter().map(|(key, item)| (key, value(item)))),
    }
}

/// Every gate is as upstream's defaults for v1.35 have it.
static FEATURES: LazyLock<Features> = LazyLock::new(|| features(""));

/// The gates after `settings` of the form `Name=true,Other=false`.
pub(crate) fn features(settings: &str) -> Features {
    let gates = FeatureGates::parse(settings).expect("settings that can be followed");
    Features::new(gates.iter().map(|(gate, enabled)| (gate.name, enabled)))
}

static USER: UserInfo = UserInfo {
    name: corten_apimachinery::Str::const_new("alice"),
    uid: corten_apimachinery::Str::const_new(""),
    groups: Vec::new(),
    extra: Vec::new(),
};

/// The time of all tests.
pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().expect("a valid time")
}

/// A request in namespace `default` through this version.
pub(crate) fn context(api_version: &str) -> Context<'_> {
    Context { user: &USER, now: now(), namespace: "default", features: &FEATURES, api_version }
}

fn texts(errors: &[corten_apimachinery::field::Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The tree after the defaults of a resource's first version.
pub(crate) fn defaulted(resource: &ResourceDefinition, json: serde_json::Value) -> Value {
    let mut object = value(json);
    (resource.versions[0].defaults)(&mut object);
    object
}

/// What rules write has to fit the type of the kind: a misspelled field would be dropped when it is stored.
#[track_caller]
pub(crate) fn assert_fits(resource: &ResourceDefinition, object: &Value) {
    let table = corten_api::types::table();
    let ty = table.find(resource.hub().type_name).expect("the hub's type is in the table");
    let bytes = codec::json::encode(object, None);
    let decoded = codec::json::decode(&bytes, Some((table, ty)), codec::FieldValidation::Strict);
    let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error}", resource.plural));
    assert_eq!(decoded.complaints(), [""; 0], "{}", resource.plural);
}

/// What a create makes of an object, and the errors of its validation.
pub(crate) fn created(resource: &ResourceDefinition, json: serde_json::Value) -> (Value, Vec<String>) {
    let mut object = defaulted(resource, json);
    let cx = context(resource.versions[0].name);
    resource.strategy.prepare_for_create(&cx, &mut object);
    assert_fits(resource, &object);
    let errors = texts(&resource.strategy.validate(&cx, &object));
    (object, errors)
}

/// What an update under `strategy` makes of `old`, and the errors of its validation.
pub(crate) fn updated(
    resource: &ResourceDefinition,
    strategy: &dyn Strategy,
    old: serde_json::Value,
    new: serde_json::Value,
) -> (Value, Vec<String>) {
    let (old, mut new) = (defaulted(resource, old), defaulted(resource, new));
    let cx = context(resource.versions[0].name);
    strategy.prepare_for_update(&cx, &mut new, &old);
    assert_fits(resource, &new);
    let errors = texts(&strategy.validate_update(&cx, &new, &old));
    (new, errors)
}

/// The cells of an object as text.
pub(crate) fn row(resource: &ResourceDefinition, json: serde_json::Value) -> Vec<String> {
    let cells = (resource.table.row)(&value(json), &RowContext { now: now() });
    assert_eq!(cells.len(), resource.table.columns.len(), "one cell per column");
    cells
        .iter()
        .map(|cell| match cell {
            Value::String(text) => text.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
}

/// Creating `json` breaks exactly these rules.
#[track_caller]
pub(crate) fn refuses(resource: &ResourceDefinition, json: serde_json::Value, want: &[&str]) {
    assert_eq!(created(resource, json).1, want);
}

/// The update breaks exactly these rules.
#[track_caller]
pub(crate) fn refuses_update(
    resource: &ResourceDefinition,
    strategy: &dyn Strategy,
    old: serde_json::Value,
    new: serde_json::Value,
    want: &[&str],
) {
    assert_eq!(updated(resource, strategy, old, new).1, want);
}

/// Returns `base` with the JSON merge patch `patch` applied.
pub(crate) fn patched(mut base: serde_json::Value, patch: serde_json::Value) -> serde_json::Value {
    fn merge(base: &mut serde_json::Value, patch: serde_json::Value) {
        match patch {
            serde_json::Value::Object(patch) => {
                if !base.is_object() {
                    *base = serde_json::Value::Object(serde_json::Map::new());
                }
                let map = base.as_object_mut().expect("made an object above");
                for (key, item) in patch {
                    if item.is_null() {
                        map.remove(&key);
                    } else {
                        merge(map.entry(key).or_insert(serde_json::Value::Null), item);
                    }
                }
            }
            other => *base = other,
        }
    }
    merge(&mut base, patch);
    base
}
