use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, refuses_update, row, value};

fn version(status: Value) -> Value {
    json!({"metadata": {"name": "apps.deployments"}, "spec": {}, "status": status})
}

fn server(id: &str, encodes: &str) -> Value {
    json!({"apiServerID": id, "encodingVersion": encodes, "decodableVersions": [encodes]})
}

#[track_caller]
fn check(status: Value, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("status{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses_update(&RESOURCE, &strategy::STATUS, version(json!({})), version(status), &want);
}

#[test]
fn the_status_is_the_servers() {
    let (object, errors) = created(&RESOURCE, version(json!({"commonEncodingVersion": "v1"})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(version(json!({}))));
}

#[test]
fn the_name_is_made_of_group_and_resource() {
    let faults = |name: &str| RESOURCE.strategy.validate_name(name, false);
    assert_eq!(faults("apps.deployments"), [""; 0]);
    assert_eq!(faults("deployments"), ["name must be in the form of <group>.<resource>"]);
    assert!(faults("A.b")[0].starts_with("the group segment a lowercase RFC 1123 subdomain"));
    assert!(faults("a.1")[0].starts_with("the resource segment a DNS-1035 label"));
}

#[test]
fn servers_agree_or_there_is_no_common_version() {
    check(json!({"storageVersions": [server("a", "v1"), server("b", "v1")], "commonEncodingVersion": "v1"}), &[]);
    check(json!({"storageVersions": [server("a", "v1"), server("b", "v2")]}), &[]);
    check(
        json!({"storageVersions": [server("a", "v1")]}),
        &[".commonEncodingVersion: Invalid value: null: the common encoding version is v1"],
    );
    check(
        json!({"storageVersions": [server("a", "v1")], "commonEncodingVersion": "v2"}),
        &[".commonEncodingVersion: Invalid value: \"v2\": the actual common encoding version is v1"],
    );
    check(
        json!({"commonEncodingVersion": "v2"}),
        &[".commonEncodingVersion: Invalid value: \"v2\": should be nil if servers do not agree on the same encoding \
             version, or if there is no server reporting the supported versions yet"],
    );
}

#[test]
fn a_server_reads_what_it_writes() {
    check(
        json!({"storageVersions": [{"apiServerID": "a", "encodingVersion": "/", "decodableVersions": ["v1", "a/b/c"]}], "commonEncodingVersion": "/"}),
        &[
            ".storageVersions[0].encodingVersion: Invalid value: \"/\": group part: must be non-empty,version part: must be \
             non-empty",
            ".storageVersions[0].decodableVersions[1]: Invalid value: \"a/b/c\": an apiVersion is a DNS-1035 label, which \
             must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an \
             alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
             '[a-z]([-a-z0-9]*[a-z0-9])?') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyVersion')",
            ".storageVersions[0].decodableVersions: Invalid value: [\"v1\",\"a/b/c\"]: decodableVersions must include \
             encodingVersion /",
        ],
    );
}

#[test]
fn a_server_reads_what_it_serves_and_reports_once() {
    let mut serves = server("a", "v1");
    serves["servedVersions"] = json!(["v1", "v2", "/"]);
    check(
        json!({"storageVersions": [server("a", "v1"), serves], "commonEncodingVersion": "v1"}),
        &[
            ".storageVersions[1].apiServerID: Duplicate value: \"a\"",
            ".storageVersions[1].servedVersions[1]: Invalid value: \"v2\": individual served version : v2 must be included \
             in decodableVersions : [v1]",
            ".storageVersions[1].servedVersions[2]: Invalid value: \"/\": group part: must be non-empty,version part: must \
             be non-empty",
            ".storageVersions[1].servedVersions[2]: Invalid value: \"/\": individual served version : / must be included \
             in decodableVersions : [v1]",
        ],
    );
}

#[test]
fn conditions_say_why() {
    check(
        json!({"conditions": [
            {"type": "A", "status": "T!", "reason": "r", "message": "m"}, {"type": "A", "status": "True"},
        ]}),
        &[
            "[0].status: Invalid value: \"T!\": name part must consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
             validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "[1].type: Invalid value: \"A\": the type of the condition is not unique, it also appears in conditions[0]",
            "[1].reason: Required value: reason cannot be empty",
            "[1].message: Required value: message cannot be empty",
        ],
    );
}

#[test]
fn a_row_shows_servers() {
    let servers: Vec<Value> = ["a", "b", "c", "d"].iter().map(|id| server(id, "v1")).collect();
    let object = version(json!({"storageVersions": servers, "commonEncodingVersion": "v1"}));
    assert_eq!(row(&RESOURCE, object), ["apps.deployments", "v1", "a=v1,b=v1,c=v1 + 1 more...", "<unknown>"]);
    assert_eq!(row(&RESOURCE, version(json!({}))), ["apps.deployments", "<unset>", "<unset>", "<unknown>"]);
}
