//! Compares the table with upstream's OpenAPI documents, by what schemas it makes: names, types, required fields, list and
//! map types, patch strategies, unions, kinds, defaults. Both ways: nothing is missing and nothing is there that upstream lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use corten_apimachinery::{
    Value,
    openapi::{self, Descriptions, Dialect, Options},
};
use serde_json::Value as Json;

use super::table;

/// The folder of upstream's data; `None`, said aloud, if the run was not given it.
fn upstream_data() -> Option<PathBuf> {
    let folder = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
    }
    folder
}

fn read(path: PathBuf) -> Json {
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.to_owned(), to_json(value))).collect(),
    }
}

/// Upstream's own descriptions: whether there is one decides the form of a reference in v3.
struct OfUpstream<'a>(&'a BTreeMap<String, Json>);

impl Descriptions for OfUpstream<'_> {
    fn of_type(&self, name: &str) -> Option<&str> {
        self.0.get(name)?["description"].as_str()
    }

    fn of_field(&self, type_name: &str, field: &str) -> Option<&str> {
        self.0.get(type_name)?["properties"][field]["description"].as_str()
    }
}

/// Compares the schemas of all served types; the message tells how many are equal and shows some that are not.
fn check(upstream: &BTreeMap<String, Json>, dialect: Dialect) {
    let options = Options { dialect, enums: false, descriptions: &OfUpstream(upstream) };
    let roots = table().iter().filter(|(_, ty)| ty.served).map(|(id, _)| id);
    let ours: BTreeMap<String, Json> = openapi::definitions(table(), roots, options)
        .iter()
        .map(|(name, schema)| (name.to_string(), to_json(schema)))
        .collect();
    let mut differences = Vec::new();
    for name in ours.keys().chain(upstream.keys()).collect::<BTreeSet<_>>() {
        let (got, want) = (ours.get(name), upstream.get(name));
        if got != want {
            differences.push(format!("{name}:\n  got  {got:?}\n  want {want:?}"));
        }
    }
    let equal = upstream.len().saturating_sub(differences.len());
    println!("{equal} of {} schemas are equal", upstream.len());
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.iter().take(12).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn equals_the_definitions_of_openapi_v2() {
    let Some(data) = upstream_data() else { return };
    let document = read(data.join("openapi/swagger-v1.35.json"));
    let definitions = document["definitions"].as_object().unwrap().clone();
    assert_eq!(definitions.len(), 735);
    check(&definitions.into_iter().collect(), Dialect::V2);
}

#[test]
fn equals_the_schemas_of_openapi_v3() {
    let Some(data) = upstream_data() else { return };
    let mut schemas = BTreeMap::new();
    for entry in fs::read_dir(data.join("openapi/v3")).unwrap() {
        let document = read(entry.unwrap().path());
        if let Some(of_version) = document["components"]["schemas"].as_object() {
            schemas.extend(of_version.clone());
        }
    }
    assert_eq!(schemas.len(), 735);
    check(&schemas, Dialect::V3);
}
