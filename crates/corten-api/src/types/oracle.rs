//! Compares the table with upstream's OpenAPI documents, by what schemas it makes: names, types, required fields, list and
//! map types, patch strategies, unions, kinds, defaults. Both ways: nothing is missing and nothing is there that upstream lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use corten_apimachinery::{
    Shared, Str, Value,
    field::ErrorList,
    gvk::GroupVersion,
    openapi::{self, About, Descriptions, Dialect, Options, PathOptions, ServerPath},
    resource::{
        Context, Resource, ResourceDefinition, ScalePaths, Scope, Strategy, Subresource, SubresourceKind,
        TableDefinition, Verb, Version,
    },
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
        Value::Raw(raw) => to_json(&raw.tree()),
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
        differences.iter().take(3).cloned().collect::<Vec<_>>().join("\n")
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

/// Rules of no kind; all that paths ask is what a delete answers.
#[derive(Debug)]
struct Rules {
    returns_deleted: bool,
}

impl Strategy for Rules {
    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::default()
    }

    fn validate_update(&self, _cx: &Context<'_>, _object: &Value, _old: &Value) -> ErrorList {
        ErrorList::default()
    }

    fn returns_deleted_object(&self) -> bool {
        self.returns_deleted
    }
}

static TABLE: TableDefinition = TableDefinition { columns: &[], row: |_, _| Vec::new(), conditions: None, rank: None };
const SCALE: ScalePaths =
    ScalePaths { spec_replicas: Str::const_new(""), status_replicas: Str::const_new(""), selector: Str::const_new("") };

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn verbs(resource: &Json) -> &'static [Verb] {
    let words: Vec<&str> = resource["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap()).collect();
    leaked(Verb::ALL.iter().copied().filter(|verb| words.contains(&verb.as_str())).collect::<Vec<_>>())
}

/// The definition of a resource as upstream's discovery tells it.
fn definition(list: &Json, resource: &Json, group_version: &GroupVersion, returns_deleted: bool) -> ResourceDefinition {
    let text = |json: &Json| -> &'static str { leaked(json.as_str().unwrap_or_default().to_owned()) };
    let (name, kind) = (text(&resource["name"]), text(&resource["kind"]));
    let rules: &'static Rules = leaked(Rules { returns_deleted });
    let of_name = |found: &&Json| found["name"].as_str().is_some_and(|found| found.starts_with(&format!("{name}/")));
    let subresources = list["resources"].as_array().unwrap().iter().filter(of_name).map(|found| {
        let name = text(&found["name"]).split_once('/').unwrap().1;
        let of_other_kind = found["kind"] != resource["kind"] || found.get("group").is_some();
        let kind = match name {
            "scale" => SubresourceKind::Scale(SCALE),
            // A pod's log is text, and the kind of its path is the pod.
            _ if of_other_kind || name == "log" => {
                let group = found.get("group").map_or(leaked(group_version.group.to_string()).as_str(), text);
                let version = found.get("version").map_or(leaked(group_version.version.to_string()).as_str(), text);
                SubresourceKind::Custom { kind: (group, version, text(&found["kind"])), verbs: verbs(found) }
            }
            _ => SubresourceKind::Object { strategy: Shared::Static(rules), verbs: verbs(found) },
        };
        Subresource { name: name.into(), kind }
    });
    let (_, ty) =
        super::find_kind(&group_version.group, &group_version.version, kind).expect("discovery lists known kinds");
    ResourceDefinition {
        group: leaked(group_version.group.to_string()),
        kind,
        plural: name,
        singular: text(&resource["singularName"]),
        short_names: &[],
        categories: &[],
        scope: if resource["namespaced"] == true { Scope::Namespaced } else { Scope::Cluster },
        versions: leaked([Version::hub(leaked(group_version.version.to_string()), ty.name.as_str(), |_| {})]),
        stored_as: None,
        verbs: verbs(resource),
        strategy: rules,
        subresources: leaked(subresources.collect::<Vec<_>>()),
        selectable_fields: &[],
        table: &TABLE,
        storage_prefix: name,
        expires: false,
    }
}

/// Takes away the descriptions of query parameters, which are prose.
fn strip_parameters(json: &mut Json) {
    match json {
        Json::Object(map) => {
            if map.get("in").is_some_and(|place| place == "query") {
                map.remove("description");
            }
            map.values_mut().for_each(strip_parameters);
        }
        Json::Array(items) => items.iter_mut().for_each(strip_parameters),
        _ => {}
    }
}

/// Puts shared parameters of v2 where they are used.
fn inline_parameters(json: &mut Json, shared: &Json) {
    if let Some(name) = json["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/parameters/")) {
        *json = shared[name].clone();
    }
    match json {
        Json::Object(map) => map.values_mut().for_each(|value| inline_parameters(value, shared)),
        Json::Array(items) => items.iter_mut().for_each(|value| inline_parameters(value, shared)),
        _ => {}
    }
}

/// The group versions that discovery lists: (name of the file, its list).
fn discovery(data: &Path) -> Vec<(String, Json)> {
    let files =
        fs::read_dir(data.join("discovery")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let lists = files.map(|file| (file.clone(), read(data.join("discovery").join(file))));
    lists.filter(|(_, list)| list["kind"] == "APIResourceList").collect()
}

/// Our paths of a group version. Of `upstream`'s only the answer to a delete is looked at.
fn our_paths(list: &Json, upstream: &BTreeMap<String, Json>, options: PathOptions) -> BTreeMap<Str, Value> {
    let group_version = GroupVersion::parse(list["groupVersion"].as_str().unwrap()).unwrap();
    let mut ours = BTreeMap::from([openapi::server_path(&ServerPath::Resources(group_version.clone()), options)]);
    for resource in list["resources"].as_array().unwrap() {
        let name = resource["name"].as_str().unwrap();
        if name.contains('/') {
            continue;
        }
        let end = format!("/{name}/{{name}}");
        let own = upstream.iter().find(|(path, item)| path.ends_with(&end) && item["delete"].is_object());
        let answers_status = |item: &Json| item["delete"]["responses"]["200"].to_string().contains(".Status");
        let definition = definition(list, resource, &group_version, own.is_some_and(|(_, item)| !answers_status(item)));
        let resource = Resource::built_in(leaked([definition]).first().expect("there is one"), None, table(), |_| true);
        ours.extend(openapi::paths(table(), &resource, resource.hub(), options));
    }
    ours
}

/// Compares the paths of all resources that discovery lists. `upstream` gives the paths of a group version.
fn check_paths(data: &Path, dialect: Dialect, upstream: impl Fn(&str, &str) -> BTreeMap<String, Json>) {
    let options = PathOptions { dialect, cbor: true };
    let (mut equal, mut differences) = (0, Vec::new());
    for (file, list) in discovery(data) {
        let mut upstream = upstream(&file, list["groupVersion"].as_str().unwrap());
        upstream.values_mut().for_each(strip_parameters);
        let ours = our_paths(&list, &upstream, options);
        let ours: BTreeMap<String, Json> = ours.iter().map(|(path, item)| (path.to_string(), to_json(item))).collect();
        for name in ours.keys().chain(upstream.keys()).collect::<BTreeSet<_>>() {
            let (got, want) = (ours.get(name), upstream.get(name));
            if got == want {
                equal += 1;
            } else {
                differences.push(format!("{name}:\n  got  {got:?}\n  want {want:?}"));
            }
        }
    }
    println!("{equal} path items are equal, {} differ", differences.len());
    assert!(differences.is_empty(), "{}", differences.iter().take(3).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn equals_the_documents_of_openapi_v3() {
    let Some(data) = upstream_data() else { return };
    let paths = PathOptions { dialect: Dialect::V3, cbor: true };
    for (file, list) in discovery(&data) {
        let mut want = read(data.join("openapi/v3").join(file.replace(".json", "_openapi.json")));
        strip_parameters(&mut want["paths"]);
        let entries =
            |json: &Json| -> BTreeMap<String, Json> { json.as_object().unwrap().clone().into_iter().collect() };
        let schemas = entries(&want["components"]["schemas"]);
        let ours = our_paths(&list, &entries(&want["paths"]), paths);
        let options = Options { dialect: Dialect::V3, enums: false, descriptions: &OfUpstream(&schemas) };
        let got = to_json(&openapi::document(table(), ours, BTreeMap::new(), About::Server("unversioned"), options));
        let names = |document: &Json| entries(&document["components"]["schemas"]).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&got), names(&want), "{file}");
        assert!(got == want, "{file} differs");
    }
}

#[test]
fn equals_the_paths_of_openapi_v3() {
    let Some(data) = upstream_data() else { return };
    check_paths(&data, Dialect::V3, |file, _| {
        let document = read(data.join("openapi/v3").join(file.replace(".json", "_openapi.json")));
        document["paths"].as_object().unwrap().clone().into_iter().collect()
    });
}

#[test]
fn equals_the_paths_of_openapi_v2() {
    let Some(data) = upstream_data() else { return };
    let mut document = read(data.join("openapi/swagger-v1.35.json"));
    let shared = document["parameters"].take();
    let mut paths = document["paths"].take();
    inline_parameters(&mut paths, &shared);
    check_paths(&data, Dialect::V2, |_, group_version| {
        let start = format!("/{}/{group_version}/", if group_version.contains('/') { "apis" } else { "api" });
        let of_version = paths.as_object().unwrap().iter().filter(|(path, _)| path.starts_with(&start));
        of_version.map(|(path, item)| (path.clone(), item.clone())).collect()
    });
}

/// What the server has besides resources, and the files that upstream's documents of it are in.
fn server_paths(data: &Path) -> Vec<(ServerPath, Option<String>)> {
    let groups = read(data.join("discovery/apis.json"));
    let groups = groups["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned());
    let mut paths: Vec<(ServerPath, Option<String>)> =
        groups.map(|group| (ServerPath::Group(group.as_str().into()), Some(format!("apis__{group}")))).collect();
    paths.extend([
        (ServerPath::CoreVersions, Some("api".to_owned())),
        (ServerPath::Groups, Some("apis".to_owned())),
        (ServerPath::Version, Some("version".to_owned())),
        (ServerPath::IssuerKeys, Some("openid__v1__jwks".to_owned())),
        // A file whose name would begin with a dot is not among the data.
        (ServerPath::IssuerConfiguration, None),
    ]);
    paths
}

#[test]
fn equals_the_documents_of_the_server_itself() {
    let Some(data) = upstream_data() else { return };
    let paths = PathOptions { dialect: Dialect::V3, cbor: true };
    for (path, file) in server_paths(&data) {
        let Some(file) = file else { continue };
        let want = read(data.join(format!("openapi/v3/{file}_openapi.json")));
        let schemas = want["components"]["schemas"].as_object().cloned().unwrap_or_default().into_iter().collect();
        let options = Options { dialect: Dialect::V3, enums: false, descriptions: &OfUpstream(&schemas) };
        let ours = BTreeMap::from([openapi::server_path(&path, paths)]);
        let got = openapi::document(table(), ours, BTreeMap::new(), About::Server("unversioned"), options);
        assert_eq!(to_json(&got), want, "{path:?}");
    }
}

#[test]
fn equals_the_paths_of_the_server_itself_in_openapi_v2() {
    let Some(data) = upstream_data() else { return };
    let want = read(data.join("openapi/swagger-v1.35.json"));
    for (path, _) in server_paths(&data) {
        let (name, got) = openapi::server_path(&path, PathOptions { dialect: Dialect::V2, cbor: true });
        assert_eq!(to_json(&got), want["paths"][name.as_str()], "{name}");
    }
}
