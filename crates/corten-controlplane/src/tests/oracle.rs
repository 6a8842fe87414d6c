//! Compares what a server that serves everything says of itself with upstream's: every discovery list, and every path, operation,
//! parameter and schema of the OpenAPI documents. Descriptions aside, which are prose, and enums, which upstream's stored
//! documents were made without.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use corten_apimachinery::codec;
use serde_json::Value as Json;

use crate::testing::{Cluster, admin};

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

/// The files of a folder by the paths of what they hold: `apis__apps__v1` is `apis/apps/v1`.
fn by_path(folder: PathBuf, end: &str) -> BTreeMap<String, Json> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            (name.strip_suffix(end).unwrap().replace("__", "/"), read(file))
        })
        .collect()
}

async fn get(cluster: &Cluster, path: &str) -> Json {
    let answer = cluster.get(admin(), path).await.unwrap();
    match answer.as_str() {
        Some(text) => serde_json::from_str(text).unwrap(),
        None => serde_json::from_slice(&codec::json::encode(&answer, None)).unwrap(),
    }
}

/// Takes prose and enums away.
fn strip(json: &mut Json) {
    match json {
        Json::Object(map) => {
            map.retain(|key, value| match key.as_str() {
                "description" => !value.is_string(),
                "enum" => !value.is_array(),
                _ => true,
            });
            map.values_mut().for_each(strip);
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Puts shared parameters where they are used.
fn inline_parameters(json: &mut Json, shared: &Json) {
    if let Some(name) = json["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/parameters/")) {
        *json = shared.get(name).unwrap_or_else(|| panic!("there is no parameter {name}")).clone();
    }
    match json {
        Json::Object(map) => map.values_mut().for_each(|value| inline_parameters(value, shared)),
        Json::Array(items) => items.iter_mut().for_each(|value| inline_parameters(value, shared)),
        _ => {}
    }
}

/// The differences between the entries of two objects.
fn differences(place: &str, got: &Json, want: &Json) -> Vec<String> {
    let entries = |json: &Json| json.as_object().cloned().unwrap_or_default();
    let (got, want) = (entries(got), entries(want));
    let names: BTreeSet<&String> = got.keys().chain(want.keys()).collect();
    let differ = names.into_iter().filter(|name| got.get(*name) != want.get(*name));
    differ.map(|name| format!("{place} {name}:\n  got  {:?}\n  want {:?}", got.get(name), want.get(name))).collect()
}

#[track_caller]
fn assert_none(differences: &[String]) {
    let shown = differences.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differ:\n{shown}", differences.len());
}

/// Bindings of pods and all connections had no parameters, or no path: the comparison was made with definitions that were made up
/// for it, whose subresources all name the versions of their kinds.
#[tokio::test]
async fn the_document_of_openapi_v2_is_upstreams() {
    let Some(data) = upstream_data() else { return };
    let cluster = Cluster::start_with_all().await;
    let mut want = read(data.join("openapi/swagger-v1.35.json"));
    // Files of logs, which only a node's disk has.
    want["paths"].as_object_mut().unwrap().retain(|path, _| !path.starts_with("/logs/"));
    let mut got = get(&cluster, "/openapi/v2").await;
    for document in [&mut want, &mut got] {
        let shared = document["parameters"].take();
        inline_parameters(&mut document["paths"], &shared);
        strip(document);
    }
    assert!(got["paths"].as_object().unwrap().len() > 500);
    let mut all = Vec::new();
    for part in ["paths", "definitions"] {
        all.extend(differences(part, &got[part].take(), &want[part].take()));
    }
    got["info"].take();
    want["info"].take();
    all.extend(differences("document", &got, &want));
    assert_none(&all);
    cluster.stop().await;
}

#[tokio::test]
async fn the_documents_of_openapi_v3_are_upstreams() {
    let Some(data) = upstream_data() else { return };
    let cluster = Cluster::start_with_all().await;
    let mut all = Vec::new();
    let mut want = by_path(data.join("openapi/v3"), "_openapi.json");
    want.remove("logs");
    let index = get(&cluster, "/openapi/v3").await;
    let listed: Vec<&String> = index["paths"].as_object().unwrap().keys().collect();
    // Of this, whose name begins with a dot, there is no file.
    let listed: Vec<_> = listed.into_iter().filter(|name| *name != ".well-known/openid-configuration").collect();
    assert_eq!(listed, want.keys().collect::<Vec<_>>());
    for (name, mut want) in want {
        let mut got = get(&cluster, &format!("/openapi/v3/{name}")).await;
        for document in [&mut want, &mut got] {
            strip(document);
            document["info"].take();
        }
        all.extend(differences(&name, &got["paths"].take(), &want["paths"].take()));
        if let (Some(got), Some(want)) = (got["components"].get_mut("schemas"), want["components"].get_mut("schemas")) {
            all.extend(differences(&name, &got.take(), &want.take()));
        }
        all.extend(differences(&name, &got, &want));
    }
    assert_none(&all);
    cluster.stop().await;
}

/// Some hashes were those of another version, and the oldest list said a version of its own.
#[tokio::test]
async fn discovery_is_upstreams() {
    let Some(data) = upstream_data() else { return };
    let cluster = Cluster::start_with_all().await;
    let mut all = Vec::new();
    for (path, mut want) in by_path(data.join("discovery"), ".json") {
        // What needs another media type is compared resource by resource elsewhere.
        if path == "aggregated_v2" {
            continue;
        }
        let mut got = get(&cluster, &format!("/{path}")).await;
        for list in [&mut got, &mut want] {
            if let Some(address) = list.get_mut("serverAddressByClientCIDRs") {
                address.take();
            }
        }
        all.extend(differences(&path, &got, &want));
    }
    assert_none(&all);
    cluster.stop().await;
}
