//! Depth: what upstream reads is read, changed, shown and deleted, and one level more is refused.

use super::*;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const DEEPS: &str = "/apis/example.com/v1/namespaces/default/deeps";
const OLD_DEEPS: &str = "/apis/example.com/v1beta1/namespaces/default/deeps";

/// Managed fields have this many levels around those of the object, and one below each leaf.
const MANAGED_LEVELS: usize = 5;

/// The deepest object whose managed fields can be read.
const DEEPEST: usize = 10_000 - MANAGED_LEVELS;

/// A body with so many levels: objects in objects, or whatever `open` begins and `close` ends.
fn body(name: &str, (open, close): (&str, &str), levels: usize) -> String {
    let each = open.matches(['{', '[']).count();
    let (whole, rest) = ((levels - 1) / each, (levels - 1) % each);
    let spec = format!("{}{}1{}{}", open.repeat(whole), "[".repeat(rest), "]".repeat(rest), close.repeat(whole));
    format!(r#"{{"apiVersion":"example.com/v1","kind":"Deep","metadata":{{"name":"{name}"}},"spec":{spec}}}"#)
}

const OBJECTS: (&str, &str) = (r#"{"a":"#, "}");
const ARRAYS: (&str, &str) = ("[", "]");
const BOTH: (&str, &str) = (r#"[{"a":"#, "}]");

fn row(what: &'static str, method: &str, path: &str, media_type: &str, body: impl AsRef<[u8]>, want: Want) -> Row {
    Row { what, request: request(method, path, &[("content-type", media_type)], body), want }
}

fn get(what: &'static str, path: &str, accept: &str) -> Row {
    Row { what, request: request("GET", path, &[("accept", accept)], ""), want: (200, "", "") }
}

async fn served() -> Served {
    let served = Served::start().await;
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &str| json!({"name": name, "served": true, "storage": name == "v1", "schema": schema});
    let definition = json!({
        "metadata": {"name": "deeps.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "deeps", "kind": "Deep"},
            "versions": [version("v1"), version("v1beta1")]},
    });
    served.cluster.post(admin(), super::super::custom_resources::CRDS, definition).await.unwrap();
    super::super::custom_resources::until_established(&served.cluster, "deeps.example.com").await;
    served
}

#[tokio::test]
async fn custom_resources_are_as_deep_as_can_be_read_again() {
    let served = served().await;
    let post = |what, shape, levels, want| {
        let body = body(&format!("{what}-{levels}"), shape, levels);
        row(what, "POST", DEEPS, JSON, body, want)
    };
    let created = (201, "", "");
    let unreadable = (500, "", "exceeded max depth");
    served
        .check(vec![
            post("objects", OBJECTS, 512, created),
            post("objects", OBJECTS, 513, created),
            post("objects", OBJECTS, DEEPEST, created),
            post("objects", OBJECTS, DEEPEST + 1, unreadable),
            post("objects", OBJECTS, 10_000, unreadable),
            post("objects", OBJECTS, 10_001, (400, "BadRequest", "invalid character '{' exceeded max depth")),
            post("arrays", ARRAYS, 9_999, created),
            post("arrays", ARRAYS, 10_000, created),
            post("arrays", ARRAYS, 10_001, (400, "BadRequest", "invalid character '[' exceeded max depth")),
            post("both", BOTH, 9_999, created),
            post("both", BOTH, 10_000, created),
            post("both", BOTH, 10_001, (400, "BadRequest", "exceeded max depth")),
        ])
        .await;
    served.stop().await;
}

#[tokio::test]
async fn deep_objects_are_shown_changed_and_deleted() {
    let served = served().await;
    let (deep, old) = (format!("{DEEPS}/deep"), format!("{OLD_DEEPS}/deep"));
    let below = "/a".repeat(DEEPEST - 2);
    let spec = |levels: usize| format!(r#"{{"spec":{}0{}}}"#, r#"{"a":"#.repeat(levels - 1), "}".repeat(levels - 1));
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let list_metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let applied = format!("{DEEPS}/applied?fieldManager=a");
    let patch = |what, media_type, body: String, want| row(what, "PATCH", &deep, media_type, body, want);
    let done = (200, "", "");
    let mut rows = vec![
        row("created", "POST", DEEPS, JSON, body("deep", OBJECTS, DEEPEST), (201, "", "")),
        row("created with arrays", "POST", DEEPS, JSON, body("both", BOTH, 10_000), (201, "", "")),
    ];
    for path in [&deep, DEEPS, &old, OLD_DEEPS, &format!("{deep}?pretty=true"), &format!("{DEEPS}?pretty=true")] {
        let is_one = path.contains("/deep?") || path.ends_with("/deep");
        for accept in [JSON, "application/yaml", table, if is_one { metadata } else { list_metadata }] {
            rows.push(get("read", path, accept));
        }
    }
    served.check(rows).await;
    let changed = body("deep", OBJECTS, DEEPEST).replace(":1}", ":2}");
    for (what, path, body) in [
        ("replaced", &deep, changed.clone()),
        ("replaced by what is the same", &deep, changed.clone()),
        ("replaced at another version", &old, changed.replace("/v1\"", "/v1beta1\"").replace(":2}", ":3}")),
    ] {
        // Custom resources are replaced at a version only.
        let version = served.version(&deep).await;
        let body = body.replace(r#""name":"deep""#, &format!(r#""name":"deep","resourceVersion":"{version}""#));
        served.check(vec![row(what, "PUT", path, JSON, body, done)]).await;
        let is_same = served.version(&deep).await == version;
        assert_eq!(is_same, what == "replaced by what is the same", "{what}");
    }
    let mut rows = vec![
        row("replaced by more", "PUT", &deep, JSON, body("deep", OBJECTS, 10_001), (400, "BadRequest", "max depth")),
        row("replaced without a version", "PUT", &deep, JSON, &changed, (422, "Invalid", "must be specified")),
    ];
    rows.extend([
        patch("merged", MERGE_PATCH, spec(DEEPEST), done),
        patch("merged with too much", MERGE_PATCH, spec(10_001), (400, "BadRequest", "exceeded max depth")),
        patch("labelled", MERGE_PATCH, r#"{"metadata":{"labels":{"a":"b"}}}"#.to_owned(), done),
        patch(
            "replaced within",
            JSON_PATCH,
            format!(
                r#"[{{"op":"test","path":"/spec{below}/a","value":0}},{{"op":"replace","path":"/spec{below}/a","value":3}}]"#
            ),
            done,
        ),
        patch(
            "copied below itself",
            JSON_PATCH,
            format!(r#"[{{"op":"copy","from":"/spec","path":"/spec{below}/b"}}]"#),
            (413, "RequestEntityTooLarge", "maximum depth"),
        ),
        // A number has become an object, which is owned as a whole: its managed fields are no deeper.
        patch("merged with more", MERGE_PATCH, spec(DEEPEST + 1), done),
        row("applied", "PATCH", &applied, APPLY, body("applied", OBJECTS, DEEPEST), (201, "", "")),
        row("applied again", "PATCH", &applied, APPLY, body("applied", OBJECTS, DEEPEST - 1), done),
        row("applied by another", "PATCH", &applied.replace("=a", "=b"), APPLY, body("applied", OBJECTS, 9_000), {
            (409, "Conflict", "conflict with \"a\"")
        }),
        row("applied with too much", "PATCH", &applied, APPLY, body("applied", OBJECTS, 10_001), (400, "BadRequest", "")),
        row("deleted", "DELETE", &deep, JSON, "", done),
        row("all deleted", "DELETE", DEEPS, JSON, "", done),
    ]);
    served.check(rows).await;
    served.stop().await;
}

impl Served {
    /// The resource version of an object that is too deep to be read here.
    async fn version(&self, path: &str) -> String {
        let answer = self.ask(&request("GET", path, &[], "")).await.unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        let (_, rest) = body.split_once(r#""resourceVersion":""#).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }
}

/// What a built-in type does not know is gone once it was read; what it keeps is held as structs by its controllers.
#[tokio::test]
async fn built_in_types_keep_what_their_controllers_can_read() {
    let served = Served::start().await;
    let nested = |levels: usize| format!("{}1{}", OBJECTS.0.repeat(levels), OBJECTS.1.repeat(levels));
    let map = |name: &str, levels: usize| format!(r#"{{"metadata":{{"name":"{name}"}},"x":{}}}"#, nested(levels - 1));
    let revisions = "/apis/apps/v1/namespaces/default/controllerrevisions";
    let revision = |name: &str, levels: usize| {
        format!(r#"{{"metadata":{{"name":"{name}"}},"revision":1,"data":{}}}"#, nested(levels - 1))
    };
    let schema = |levels: usize| {
        let schema = format!("{}{{}}{}", r#"{"not":"#.repeat(levels), "}".repeat(levels));
        format!(
            r#"{{"metadata":{{"name":"a.b.c"}},"spec":{{"versions":[{{"schema":{{"openAPIV3Schema":{schema}}}}}]}}}}"#
        )
    };
    let bad = (400, "BadRequest", "exceeded max depth");
    let crds = super::super::custom_resources::CRDS;
    let label = |name: &str| format!("{MAPS}/{name}");
    served
        .check(vec![
            row("an unknown field", "POST", MAPS, JSON, map("a", 513), (201, "", "")),
            row("a deep unknown field", "POST", MAPS, JSON, map("b", 10_000), (201, "", "")),
            row("one level more", "POST", MAPS, JSON, map("c", 10_001), bad),
            row("a deep patch", "PATCH", &label("a"), MERGE_PATCH, map("a", 10_000), (200, "", "")),
            row("data of 512 levels", "POST", revisions, JSON, revision("a", 500), (201, "", "")),
            row("data of more", "POST", revisions, JSON, revision("b", 513), bad),
            row("data of much more", "POST", revisions, JSON, revision("c", 10_000), bad),
            row("a schema", "POST", crds, JSON, schema(300), (422, "Invalid", "")),
            row("a deep schema", "POST", crds, JSON, schema(600), bad),
            row("a very deep schema", "POST", crds, JSON, schema(9_990), bad),
        ])
        .await;
    served.stop().await;
}

/// A schema's rule of a default puts it into every object: as deep as a definition may be.
#[tokio::test]
async fn defaults_are_as_deep_as_a_definition() {
    let served = Served::start().await;
    let default = (0..400).fold(json!(1), |inner, _| json!({"a": inner}));
    let definition = json!({
        "metadata": {"name": "defaulted.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "defaulted", "kind": "Defaulted"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {
                    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "default": default},
                    "more": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]},
    });
    served.cluster.post(admin(), super::super::custom_resources::CRDS, definition).await.unwrap();
    super::super::custom_resources::until_established(&served.cluster, "defaulted.example.com").await;
    let path = "/apis/example.com/v1/namespaces/default/defaulted";
    let more = |name: &str, levels: usize| {
        body(name, OBJECTS, levels).replace("\"Deep\"", "\"Defaulted\"").replace("\"spec\"", "\"more\"")
    };
    served
        .check(vec![
            row("as it is", "POST", path, JSON, more("a", 2), (201, "", "")),
            row("beside something", "POST", path, JSON, more("b", 190), (201, "", "")),
            row("beside more", "POST", path, JSON, more("c", 9_000), (201, "", "")),
            get("read", path, "application/yaml"),
        ])
        .await;
    served.stop().await;
}
