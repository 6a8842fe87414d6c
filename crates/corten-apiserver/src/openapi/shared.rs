//! Parameters of v2 that many paths have: they stand once, at the end of the document, and paths refer to them.
//!
//! Upstream: `collectSharedParameters` in k8s.io/kube-openapi/pkg/builder (v1.35).

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use corten_apimachinery::{
    codec,
    value::{Map, Str, Value},
};

/// Moves the shared parameters out of path items, where references to them stay. Returns them by name.
pub(super) fn take(paths: &mut BTreeMap<Str, Value>) -> BTreeMap<Str, Value> {
    let mut shared = BTreeMap::new();
    for item in paths.values_mut() {
        let Some(map) = item.as_object_mut() else { continue };
        let operations: Vec<Str> = map.keys().filter(|key| *key != "parameters").map(Str::from).collect();
        take_from(map, &mut shared);
        for operation in operations {
            if let Some(operation) = map.get_mut(&operation).and_then(Value::as_object_mut) {
                take_from(operation, &mut shared);
            }
        }
    }
    shared
}

fn take_from(of: &mut Map, shared: &mut BTreeMap<Str, Value>) {
    let Some(parameters) = of.get("parameters").and_then(Value::as_array) else { return };
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|parameter| {
            if !is_shared(parameter) {
                return parameter.clone();
            }
            let name = name_of(parameter);
            let reference = Value::object_of([("$ref", Value::from(format!("#/parameters/{name}")))]);
            shared.entry(name.into()).or_insert_with(|| parameter.clone());
            reference
        })
        .collect();
    of.insert("parameters", Value::array(parameters));
}

/// What names a kind is the parameter of one path; and old clients look for two others where they are used.
fn is_shared(parameter: &Value) -> bool {
    match (parameter.str_at(&["in"]), parameter.str_at(&["name"])) {
        (Some("body"), _) => {
            parameter.str_at(&["schema", "$ref"]).is_some_and(|ty| ty.starts_with("#/definitions/io.k8s.apimachinery."))
        }
        (_, Some("name")) => false,
        (Some("query"), Some("dryRun" | "fieldValidation")) => false,
        _ => true,
    }
}

/// What a parameter says, in the order in which upstream's Go types write it.
const WRITTEN: [&str; 8] = ["uniqueItems", "type", "format", "description", "name", "in", "required", "schema"];

/// The parameter's name, and a hash of what it says: others have the same name.
///
/// Upstream: `base64Hash` in k8s.io/kube-openapi/pkg/builder/parameters.go, which is FNV-1 of 64 bits (v1.35).
fn name_of(parameter: &Value) -> String {
    let rank = |key: &str| WRITTEN.iter().position(|known| *known == key).unwrap_or(WRITTEN.len());
    let mut said: Vec<_> = parameter.as_object().into_iter().flat_map(Map::iter).collect();
    said.sort_by_key(|(key, _)| rank(key));
    let mut text = Vec::new();
    for (key, value) in said {
        text.push(if text.is_empty() { b'{' } else { b',' });
        text.extend_from_slice(&codec::json::encode(&Value::from(key), None));
        text.push(b':');
        text.extend_from_slice(&codec::json::encode(value, None));
    }
    text.push(b'}');
    let hash = text
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
    let name = parameter.str_at(&["name"]).unwrap_or_default();
    format!("{name}-{}", BASE64_URL_SAFE.encode(&hash.to_be_bytes()[..6]))
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::codec::{FieldValidation, json};

    use super::*;

    /// Their hashes were others.
    #[test]
    fn parameters_are_named_as_upstream_names_them() {
        let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
            println!("skipped: CORTEN_UPSTREAM_DATA is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("openapi/swagger-v1.35.json");
        let document = std::fs::read(path).expect("the data is there");
        let document = json::decode(&document, None, FieldValidation::Ignore).unwrap().value;
        let parameters = document.at(&["parameters"]).and_then(Value::as_object).unwrap();
        assert_eq!(parameters.len(), 47);
        for (name, parameter) in parameters.iter() {
            assert_eq!(name_of(parameter), name);
        }
    }

    #[test]
    fn what_many_paths_have_stands_once() {
        const DRY_RUN: &str = r#"{"in":"query","name":"dryRun","type":"string"}"#;
        const NAME: &str = r#"{"description":"name of the Pod","in":"path","name":"name","type":"string"}"#;
        const OWN: &str = r##"{"in":"body","name":"body","schema":{"$ref":"#/definitions/io.k8s.api.core.v1.Pod"}}"##;
        const PATCH: &str = r##"{"in":"body","name":"body","schema":{"$ref":"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}}"##;
        const PRETTY: &str = r#"{"in":"query","name":"pretty","type":"string"}"#;
        const PRETTY_TOO: &str = r#"{"description":"Lines.","in":"query","name":"pretty","type":"string"}"#;
        let item = format!(
            r#"{{"parameters":[{NAME},{PRETTY}],"put":{{"parameters":[{OWN},{DRY_RUN}]}},"patch":{{"parameters":[{PATCH},{PRETTY_TOO}]}}}}"#
        );
        let read = |text: &str| json::decode(text.as_bytes(), None, FieldValidation::Strict).unwrap().value;
        let mut paths = BTreeMap::from([(Str::from("/a"), read(&item)), (Str::from("/b"), read(&item))]);
        let shared = take(&mut paths);
        assert_eq!(shared.len(), 3, "{shared:?}");
        let mut found: Vec<&Value> = shared.values().collect();
        let mut want = [PATCH, PRETTY, PRETTY_TOO].map(read);
        found.sort_by_key(|value| json::encode(value, None));
        want.sort_by_key(|value| json::encode(value, None));
        assert_eq!(found, want.iter().collect::<Vec<_>>());
        for item in paths.values() {
            let all = [&["parameters"][..], &["put", "parameters"], &["patch", "parameters"]];
            let all: Vec<&Value> = all.iter().flat_map(|path| item.items_at(path)).collect();
            let referred = |value: &Value| {
                let name = value.str_at(&["$ref"]).and_then(|reference| reference.strip_prefix("#/parameters/"));
                name.map(|name| shared[name].clone())
            };
            let resolved: Vec<Value> =
                all.iter().map(|value| referred(value).unwrap_or_else(|| (*value).clone())).collect();
            assert_eq!(resolved, [NAME, PRETTY, OWN, DRY_RUN, PATCH, PRETTY_TOO].map(read));
            assert_eq!(all.iter().filter(|value| referred(value).is_some()).count(), 3);
        }
    }
}
