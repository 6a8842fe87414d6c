//! Bodies: bombs, depth, lengths that lie, bytes that are no text, patches that grow.

use super::*;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn post(what: &'static str, media_type: &str, body: impl AsRef<[u8]>, want: Want) -> Row {
    Row { what, request: request("POST", MAPS, &[("content-type", media_type)], body), want }
}

fn patch(what: &'static str, media_type: &str, body: impl AsRef<[u8]>, want: Want) -> Row {
    let path = format!("{MAPS}/m0?fieldManager=test");
    Row { what, request: request("PATCH", &path, &[("content-type", media_type)], body), want }
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

/// A message of `runtime.Unknown` around `raw`, which says of itself that it has `length` bytes.
fn unknown(raw: &[u8], length: u64) -> Vec<u8> {
    let mut message = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    let mut rest = length;
    while rest >= 0x80 {
        message.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    message.push(rest as u8);
    [message, raw.to_vec()].concat()
}

fn laughs() -> String {
    let mut text =
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: laughs}\na0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n"
            .to_owned();
    for n in 1..12 {
        let before = format!("*a{}", n - 1);
        text.push_str(&format!("a{n}: &a{n} [{}]\n", vec![before; 9].join(",")));
    }
    text
}

#[tokio::test]
async fn bombs_and_depth_are_refused() {
    let served = Served::start().await;
    let bad = |message| (400, "BadRequest", message);
    let objects = format!(r#"{{"metadata":{{"name":"wide"}},"x":[{}{{}}]}}"#, "{},".repeat(1_000_000));
    let keys: String = (0..200_000).map(|n| format!(r#""{n}":"","#)).collect();
    let keys = format!(r#"{{"metadata":{{"name":"keys","labels":{{{keys}"x":""}}}}}}"#);
    let deep_schema = nested(r#"{"not":"#, "}", 10_000).replace('1', "{}");
    let schema = format!(
        r#"{{"metadata":{{"name":"a.b.c"}},"spec":{{"versions":[{{"schema":{{"openAPIV3Schema":{deep_schema}}}}}]}}}}"#
    );
    let crd =
        |what, body: &str, want| Row { what, request: request("POST", CRDS, &[("content-type", JSON)], body), want };
    served
        .check(vec![
            post("JSON, arrays in arrays", JSON, format!(r#"{{"data":{}}}"#, nested("[", "]", 20_000)), bad("")),
            post("JSON, objects in objects", JSON, nested(r#"{"data":"#, "}", 20_000), bad("exceeded max depth")),
            post(
                "JSON, an unknown field that is deep",
                JSON,
                nested(r#"{"x":["#, "]}", 20_000),
                bad("exceeded max depth"),
            ),
            post("JSON, a million objects", JSON, objects, (413, "RequestEntityTooLarge", "")),
            post("JSON, many labels", JSON, keys, (500, "", "etcdserver: request is too large")),
            post(
                "JSON, longer than a body may be",
                JSON,
                vec![b' '; 4 << 20],
                (413, "RequestEntityTooLarge", "limit is 3145728"),
            ),
            post("JSON, a number without end", JSON, format!(r#"{{"x":{}}}"#, "1".repeat(1 << 20)), bad("")),
            post("JSON, no text", JSON, b"{\"metadata\":{\"name\":\"a\xff\"}}", (422, "Invalid", "metadata.name")),
            post("JSON, half a pair", JSON, r#"{"metadata":{"name":"a\ud800"}}"#, (422, "Invalid", "metadata.name")),
            post("YAML, aliases of aliases", YAML, laughs(), bad("")),
            post("YAML, lists in lists", YAML, format!("data: {}", nested("[", "]", 20_000)), bad("")),
            post("YAML, maps in maps", YAML, format!("data: {}", nested("{a: ", "}", 20_000)), bad("")),
            post("YAML, lists in lists by dashes", YAML, format!("data:\n {}x", "- ".repeat(20_000)), bad("")),
            post("YAML, an alias of itself", YAML, "data: &a [*a]", bad("")),
            post("YAML, no text", YAML, b"kind: ConfigMap\nmetadata: {name: \"a\xff\"}", bad("")),
            crd("a schema of schemas of schemas", &schema, bad("exceeded max depth")),
        ])
        .await;
    served.stop().await;
}

#[tokio::test]
async fn protobuf_that_lies_is_refused() {
    let served = Served::start().await;
    let bad = |message| (400, "BadRequest", message);
    // ConfigMap: metadata is field 1, name is its field 1; data is a map in field 2.
    let name = |bytes: &[u8]| {
        let metadata = [b"\x0a", &[bytes.len() as u8][..], bytes].concat();
        [b"\x0a", &[metadata.len() as u8][..], &metadata].concat()
    };
    let groups = vec![0x0b; 1 << 20];
    let mut schema = Vec::new();
    for _ in 0..3_000 {
        // `not` of a schema, field 29, as often as lengths allow.
        let mut wrapped = b"\xea\x01".to_vec();
        let mut length = schema.len();
        while length >= 0x80 {
            wrapped.push(length as u8 | 0x80);
            length >>= 7;
        }
        wrapped.push(length as u8);
        schema = [wrapped, schema].concat();
    }
    served
        .check(vec![
            post("a length beyond the end", PROTOBUF, unknown(b"\x0a\x05abc", 5), bad("")),
            post("a raw object longer than all", PROTOBUF, unknown(b"", 1 << 40), bad("")),
            post("a length that is negative in 64 bits", PROTOBUF, unknown(b"", u64::MAX), bad("")),
            post("a varint without end", PROTOBUF, unknown(&[0xff; 64], 64), bad("")),
            post("no magic", PROTOBUF, b"\x0a\x00", bad("")),
            post("a name that is no text", PROTOBUF, unknown(&name(b"a\xff"), 6), (422, "Invalid", "metadata.name")),
            post("groups in groups", PROTOBUF, unknown(&groups, groups.len() as u64), bad("")),
            post(
                "unknown messages in messages",
                PROTOBUF,
                unknown(&schema, schema.len() as u64),
                (422, "Invalid", "metadata.name"),
            ),
        ])
        .await;
    served.stop().await;
}

#[tokio::test]
async fn patches_that_grow_or_go_deep_are_refused() {
    let served = Served::start().await;
    let bad = |message| (400, "BadRequest", message);
    let doubling: Vec<String> =
        (0..40).map(|n| format!(r#"{{"op":"copy","from":"/data","path":"/data/x{n}"}}"#)).collect();
    let many = vec![r#"{"op":"test","path":"/kind","value":"ConfigMap"}"#; 10_001].join(",");
    let deep = nested(r#"{"x":"#, "}", 6_000);
    let building = format!(
        r#"[{{"op":"add","path":"/x","value":{deep}}},{{"op":"copy","from":"/x","path":"/x{}"}}]"#,
        "/x".repeat(6_000)
    );
    served
        .check(vec![
            patch(
                "JSON patch, copies of copies",
                JSON_PATCH,
                format!("[{}]", doubling.join(",")),
                (422, "Invalid", ""),
            ),
            patch(
                "JSON patch, too many operations",
                JSON_PATCH,
                format!("[{many}]"),
                (413, "RequestEntityTooLarge", "10000"),
            ),
            patch(
                "JSON patch, deeper with each",
                JSON_PATCH,
                building,
                (413, "RequestEntityTooLarge", "maximum depth"),
            ),
            patch(
                "JSON patch, an operation that is no text",
                JSON_PATCH,
                r#"[{"op":1,"path":"/a"}]"#,
                (422, "Invalid", ""),
            ),
            patch("JSON patch, no list", JSON_PATCH, r#"{"op":"add","path":"/x","value":{}}"#, bad("")),
            patch("JSON patch, deep", JSON_PATCH, nested("[", "]", 20_000), bad("")),
            patch("merge patch, deep", MERGE_PATCH, nested(r#"{"a":"#, "}", 20_000), bad("")),
            patch("strategic patch, deep", STRATEGIC_PATCH, nested(r#"{"a":"#, "}", 20_000), bad("")),
            patch("applied, deep", APPLY, nested(r#"{"a":"#, "}", 20_000), bad("")),
            patch("applied, aliases of aliases", APPLY, laughs(), bad("")),
            patch("merge patch, no text", MERGE_PATCH, b"{\"data\":{\"a\":\"\xff\"}}", (200, "", "")),
            patch(
                "strategic patch, an unknown directive",
                STRATEGIC_PATCH,
                r#"{"data":{"$patch":"explode"}}"#,
                (500, "", "unknown patch type: explode"),
            ),
        ])
        .await;
    served.stop().await;
}
