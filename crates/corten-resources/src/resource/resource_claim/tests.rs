use serde_json::{Value, json};

use super::{RESOURCE, strategy::STATUS};
use crate::{
    resource::testing::{ALL, created, refuses, updated},
    testing::{patched, row},
};

mod gates;

const REFERENCE: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated \
                         by '/'";

fn claim(devices: Value) -> Value {
    json!({"metadata": {"name": "c"}, "spec": {"devices": devices}})
}

fn one() -> Value {
    json!({"name": "a", "exactly": {"deviceClassName": "gpu"}})
}

fn several() -> Value {
    json!({"name": "s", "firstAvailable": [{"name": "x", "deviceClassName": "gpu"}]})
}

#[test]
fn a_request_is_for_one_device_and_nobody_allocates_for_himself() {
    let mut sent = claim(json!({"requests": [one(), {"name": "b", "firstAvailable": [
        {"name": "x", "deviceClassName": "gpu", "allocationMode": "All", "tolerations": [{"key": "k"}]},
    ]}]}));
    sent["status"] = json!({"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]});
    let (object, errors) = created(&RESOURCE, ALL, sent);
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.items_at(&["status", "reservedFor"]).len(), 0);
    let requests = object.items_at(&["spec", "devices", "requests"]);
    assert_eq!(requests[0].i64_at(&["exactly", "count"]), Some(1));
    assert_eq!(requests[0].str_at(&["exactly", "allocationMode"]), Some("ExactCount"));
    let other = &requests[1].items_at(&["firstAvailable"])[0];
    assert_eq!(other.i64_at(&["count"]), None);
    assert_eq!(other.items_at(&["tolerations"])[0].str_at(&["operator"]), Some("Equal"));
}

#[test]
fn requests_are_well_formed() {
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                         start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let mut both = one();
    both["firstAvailable"] = several()["firstAvailable"].clone();
    let counted = |mode: &str, count: i64| {
        json!({"name": format!("n{count}"),
            "exactly": {"deviceClassName": "gpu", "allocationMode": mode, "count": count}})
    };
    refuses(
        &RESOURCE,
        ALL,
        claim(json!({"requests": [
            {"name": "A", "exactly": {"deviceClassName": ""}}, {"name": "n"}, both, counted("All", 1),
            counted("ExactCount", -1), counted("Some", 2), one(),
            {"name": "z", "firstAvailable": vec![json!({"name": "x", "deviceClassName": "c"}); 9]},
            {"name": "y", "exactly": {"deviceClassName": "c", "tolerations": [
                {"operator": "Exists", "value": "v"}, {"key": "", "operator": "Is", "effect": "Never"},
            ]}},
        ]})),
        &[
            &format!("spec.devices.requests[0].name: Invalid value: \"A\": {LABEL}"),
            "spec.devices.requests[0].exactly.deviceClassName: Required value",
            "spec.devices.requests[1]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            "spec.devices.requests[2]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but \
             multiple fields are set",
            "spec.devices.requests[3].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'",
            "spec.devices.requests[4].exactly.count: Invalid value: -1: must be greater than zero",
            "spec.devices.requests[5].exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \
             \"ExactCount\"",
            "spec.devices.requests[7].firstAvailable: Too many: 9: must have at most 8 items",
            "spec.devices.requests[8].exactly.tolerations[0].value: Invalid value: \"v\": must be empty for operator \
             `Exists`",
            "spec.devices.requests[8].exactly.tolerations[1].operator: Unsupported value: \"Is\": supported values: \
             \"Equal\", \"Exists\"",
            "spec.devices.requests[8].exactly.tolerations[1].effect: Unsupported value: \"Never\": supported values: \
             \"NoExecute\", \"NoSchedule\", \"None\"",
            "spec.devices.requests[6]: Duplicate value: \"a\"",
        ],
    );
    refuses(
        &RESOURCE,
        "",
        claim(json!({"requests": vec![one(); 33]})),
        &["spec.devices.requests: Too many: 33: must have at most 32 items"],
    );
}

#[test]
fn constraints_and_configuration_name_requests() {
    let object = claim(json!({
        "requests": [one(), several()],
        "constraints": [
            {"requests": ["a", "s", "s/x"], "matchAttribute": "example.com/zone"},
            {"requests": ["a", "a", "s/y", "a/b/c"], "matchAttribute": "zone"}, {},
        ],
        "config": [{"requests": ["b"], "opaque": {"driver": "d", "parameters": {}}}],
    }));
    let errors = |last: &str| {
        vec![
            format!("spec.devices.constraints[1].requests[2]: Invalid value: \"s/y\": {REFERENCE}"),
            format!("spec.devices.constraints[1].requests[3]: Invalid value: \"a/b/c\": {REFERENCE}"),
            "spec.devices.constraints[1].requests[1]: Duplicate value: \"a\"".to_owned(),
            "spec.devices.constraints[1].matchAttribute: Invalid value: \"zone\": a fully qualified name must be a domain \
             and a name separated by a slash"
                .to_owned(),
            last.to_owned(),
            format!("spec.devices.config[0].requests[0]: Invalid value: \"b\": {REFERENCE}"),
        ]
    };
    assert_eq!(
        created(&RESOURCE, "", object.clone()).1,
        errors("spec.devices.constraints[2].matchAttribute: Required value")
    );
    assert_eq!(
        created(&RESOURCE, ALL, object).1,
        errors(
            "spec.devices.constraints[2]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is \
             required, but multiple fields are set"
        )
    );
}

#[test]
fn a_spec_stays_as_it_is() {
    let (old, new) = (claim(json!({"requests": [one()]})), claim(json!({"requests": [{"name": "A"}]})));
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, "", old.clone(), new);
    assert_eq!(
        errors,
        [
            "spec: Invalid value: {\"Devices\":{\"Requests\":[{\"Name\":\"A\",\"Exactly\":null,\"FirstAvailable\":null}],\
          \"Constraints\":null,\"Config\":null}}: field is immutable"
        ]
    );
    assert_eq!(updated(&RESOURCE, RESOURCE.strategy, "", old.clone(), old).1, [""; 0]);
}

fn allocated(patch: Value) -> Value {
    let result = json!({"request": "a", "driver": "d", "pool": "p", "device": "x"});
    let status = json!({"status": {"allocation": {"devices": {"results": [result]}}}});
    patched(patched(claim(json!({"requests": [one(), several()]})), status), patch)
}

fn status_errors(old: &Value, new: Value) -> Vec<String> {
    updated(&RESOURCE, &STATUS, ALL, old.clone(), new).1
}

#[test]
fn an_allocation_is_of_requests_and_stays() {
    let plain = claim(json!({"requests": [one(), several()]}));
    assert_eq!(status_errors(&plain, allocated(json!({}))), [""; 0]);
    assert_eq!(status_errors(&allocated(json!({})), allocated(json!({}))), [""; 0]);
    assert_eq!(status_errors(&allocated(json!({})), plain.clone()), [""; 0]);
    let other = json!({"status": {"allocation": {"devices": {"results": []}}}});
    assert_eq!(
        status_errors(&allocated(json!({})), allocated(other)),
        ["status.allocation: Invalid value: {\"Devices\":{\"Results\":[],\"Config\":null},\"NodeSelector\":null,\
          \"AllocationTimestamp\":null}: field is immutable"]
    );
    let wrong = json!({
        "devices": {
            "results": [{
                "request": "b", "driver": "", "pool": "", "device": "x", "shareID": "u",
                "bindingConditions": ["c", "c"], "bindingFailureConditions": ["c"],
            }, {"request": "s/x", "driver": "d", "pool": "p", "device": "y", "bindingConditions": ["c"]}],
            "config": [{"source": "FromMe", "opaque": {"driver": "d", "parameters": {}}}, {"source": ""}],
        },
        "nodeSelector": {"nodeSelectorTerms": []},
    });
    let at = "status.allocation.devices";
    assert_eq!(
        status_errors(&plain, allocated(json!({"status": {"allocation": wrong}}))),
        [
            format!("{at}.results[0].request: Invalid value: \"b\": {REFERENCE}"),
            format!("{at}.results[0].driver: Required value"),
            format!("{at}.results[0].pool: Required value"),
            format!("{at}.results[0].bindingConditions[1]: Duplicate value: \"c\""),
            format!(
                "{at}.results[0].bindingFailureConditions[0]: Invalid value: \"c\": bindingFailureConditions must not \
                 overlap with bindingConditions"
            ),
            format!("{at}.results[0].shareID: Invalid value: \"u\": error validating uid: invalid UUID length: 1"),
            format!(
                "{at}.results[1].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to \
                 use bindingConditions"
            ),
            format!(
                "{at}.config[0].source: Unsupported value: \"FromMe\": supported values: \"FromClaim\", \"FromClass\""
            ),
            format!("{at}.config[1].source: Required value"),
            format!("{at}.config[1].opaque: Required value"),
            "status.allocation.nodeSelector.nodeSelectorTerms: Required value: must have at least one node selector term"
                .to_owned(),
        ]
    );
}

#[test]
fn a_claim_is_reserved_once_it_is_allocated() {
    let consumer = |uid: &str| json!({"resource": "pods", "name": "p", "uid": uid});
    let reserved = |of: fn(Value) -> Value, uids: &[&str]| {
        of(json!({"status": {"reservedFor": uids.iter().map(|uid| consumer(uid)).collect::<Vec<_>>()}}))
    };
    assert_eq!(status_errors(&allocated(json!({})), reserved(allocated, &["u1", "u2"])), [""; 0]);
    let unallocated: fn(Value) -> Value = |patch| patched(claim(json!({"requests": [one(), several()]})), patch);
    assert_eq!(
        status_errors(&unallocated(json!({})), reserved(unallocated, &["u"])),
        ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]
    );
    assert_eq!(
        status_errors(&allocated(json!({})), reserved(allocated, &["u", "u", ""])),
        ["status.reservedFor[2].uid: Required value", "status.reservedFor[1]: Duplicate value: \"u\""]
    );
    let many: Vec<String> = (0..257).map(|n| format!("u{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        status_errors(&allocated(json!({})), reserved(allocated, &many)),
        ["status.reservedFor: Too many: 257: must have at most 256 items"]
    );
    let gone = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let (old, more) = (reserved(allocated, &["u1"]), reserved(allocated, &["u1", "u2"]));
    assert_eq!(
        status_errors(&patched(old.clone(), gone.clone()), patched(more.clone(), gone.clone())),
        ["status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or \
             `deletionTimestamp` are set"]
    );
    assert_eq!(status_errors(&patched(more, gone.clone()), patched(old, gone)), [""; 0]);
}

#[test]
fn drivers_report_of_allocated_devices() {
    let report = |patch: Value| patched(json!({"driver": "d", "pool": "p", "device": "x"}), patch);
    let with = |reports: Vec<Value>| allocated(json!({"status": {"devices": reports}}));
    let good = report(json!({
        "data": {"a": 1},
        "networkData": {"interfaceName": "eth0", "ips": ["10.9.8.7/24", "2001:db8::1/64"], "hardwareAddress": "aa"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }));
    assert_eq!(status_errors(&allocated(json!({})), with(vec![good])), [""; 0]);
    let network = json!({
        "interfaceName": "x".repeat(257), "hardwareAddress": "x".repeat(129),
        "ips": ["10.9.8.7", "2001:DB8::1/64", "10.0.0.1/8", "10.0.0.1/8"],
    });
    assert_eq!(
        status_errors(
            &allocated(json!({})),
            with(vec![
                report(json!({"data": [1], "networkData": network})),
                report(json!({"device": "y"})),
                report(json!({})),
            ])
        ),
        [
            "status.devices[0].data: Invalid value: \"<value omitted>\": must be a valid JSON object",
            "status.devices[0].networkData.interfaceName: Too long: may not be more than 256 bytes",
            "status.devices[0].networkData.hardwareAddress: Too long: may not be more than 128 bytes",
            "status.devices[0].networkData.ips[0]: Invalid value: \"10.9.8.7\": must be a valid address in CIDR form, \
             (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
            "status.devices[0].networkData.ips[1]: Invalid value: \"2001:DB8::1/64\": must be in canonical form \
             (\"2001:db8::1/64\")",
            "status.devices[0].networkData.ips[3]: Duplicate value: \"10.0.0.1/8\"",
            "status.devices[1]: Invalid value: {\"Driver\":\"d\",\"Pool\":\"p\",\"Device\":\"y\",\"ShareID\":\"\"}: must \
             be an allocated device in the claim",
            "status.devices[2]: Duplicate value: {\"Driver\":\"d\",\"Pool\":\"p\",\"Device\":\"x\",\"ShareID\":\"\"}",
        ]
    );
}

#[test]
fn reports_go_with_the_allocation() {
    let devices = json!({"status": {"devices": [{"driver": "d", "pool": "p", "device": "x"}]}});
    let old = allocated(devices.clone());
    let new = patched(claim(json!({"requests": [one(), several()]})), devices);
    let (object, errors) = updated(&RESOURCE, &STATUS, "", old, new);
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.items_at(&["status", "devices"]).len(), 0);
}

#[test]
fn a_row_shows_how_far_it_has_come() {
    let state = |object: Value| row(&RESOURCE, object)[1].clone();
    let plain = claim(json!({}));
    let gone = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let reserved = allocated(json!({"status": {"reservedFor": [{"uid": "u"}]}}));
    assert_eq!(row(&RESOURCE, plain.clone()), ["c", "pending", "<unknown>"]);
    assert_eq!(state(allocated(json!({}))), "allocated");
    assert_eq!(state(reserved.clone()), "allocated,reserved");
    assert_eq!(state(patched(reserved, gone.clone())), "deleted,allocated,reserved");
    assert_eq!(state(patched(plain, gone)), "deleted");
}
