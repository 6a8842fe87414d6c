use corten_apimachinery::{
    meta::ObjectMeta as _,
    resource::{Context, Strategy as _},
};
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{context, created, features, patched, refuses, refuses_update, row, updated, value};

fn ingress(spec: Value) -> Value {
    json!({"metadata": {"name": "i"}, "spec": spec})
}

fn backend() -> Value {
    json!({"service": {"name": "web", "port": {"number": 80}}})
}

/// An ingress with one rule.
fn with_path(host: &str, path: Value) -> Value {
    let path = patched(json!({"path": "/", "pathType": "Prefix", "backend": backend()}), path);
    ingress(json!({"rules": [{"host": host, "http": {"paths": [path]}}]}))
}

#[test]
fn a_new_ingress_is_nowhere_yet() {
    let sent = patched(
        ingress(json!({"defaultBackend": backend()})),
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}}),
    );
    let (object, errors) = created(&RESOURCE, sent);
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "i", "generation": 1}, "spec": {"defaultBackend": backend()}, "status": {"loadBalancer": {}},
    });
    assert_eq!(object, value(want));
}

#[test]
fn rules_are_checked() {
    let cases: [(Value, &[&str]); 9] = [
        (with_path("a.example", json!({})), &[]),
        (with_path("*.example", json!({"pathType": "ImplementationSpecific", "path": "/..//"})), &[]),
        (with_path("", json!({"pathType": "ImplementationSpecific", "path": null})), &[]),
        (ingress(json!({})), &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        // It was shown as null, too.
        (
            ingress(json!({"rules": []})),
            &["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
        ),
        (
            with_path("10.0.0.1", json!({"pathType": null})),
            &[
                "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
            ],
        ),
        (
            with_path("", json!({"pathType": "Odd", "path": "x"})),
            &["spec.rules[0].http.paths[0].pathType: Unsupported value: \"Odd\": supported values: \"Exact\", \
                 \"ImplementationSpecific\", \"Prefix\""],
        ),
        (
            with_path("", json!({"path": "a//%2F/.."})),
            &[
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//%2F/..\": must be an absolute path",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//%2F/..\": must not contain '//'",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//%2F/..\": must not contain '%2F'",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//%2F/..\": cannot end with '/..'",
            ],
        ),
        (
            ingress(json!({"rules": [{"host": "a.example", "http": {"paths": []}}]})),
            &["spec.rules[0].http.paths: Required value"],
        ),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
    let (_, errors) = created(&RESOURCE, with_path("a.*.b", json!({})));
    assert!(
        errors[0].starts_with("spec.rules[0].host: Invalid value: \"a.*.b\": a wildcard DNS-1123 subdomain must"),
        "{errors:?}"
    );
}

#[test]
fn backends_are_checked() {
    let resource = json!({"apiGroup": "a.example", "kind": "Bucket", "name": "b"});
    let cases: [(Value, &[&str]); 8] = [
        (json!({"resource": resource}), &[]),
        (json!({"service": {"name": "web", "port": {"name": "http"}}}), &[]),
        (json!({}), &["spec.defaultBackend: Invalid value: \"\": resource or service backend is required"]),
        (
            json!({"resource": resource, "service": {"name": "web", "port": {"number": 80}}}),
            &["spec.defaultBackend: Invalid value: \"\": cannot set both resource and service backends"],
        ),
        (
            json!({"resource": {"kind": "a/b"}}),
            &[
                "spec.defaultBackend.resource.kind: Invalid value: \"a/b\": may not contain '/'",
                "spec.defaultBackend.resource.name: Required value: name is required",
            ],
        ),
        (
            json!({"service": {"name": "", "port": {"number": 80, "name": "http"}}}),
            &[
                "spec.defaultBackend.service.name: Required value",
                "spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number",
            ],
        ),
        (
            json!({"service": {"name": "web"}}),
            &["spec.defaultBackend: Required value: port name or number is required"],
        ),
        (
            json!({"service": {"name": "web", "port": {"number": 65536}}}),
            &["spec.defaultBackend.service.port.number: Invalid value: 65536: must be between 1 and 65535, inclusive"],
        ),
    ];
    for (backend, want) in cases {
        refuses(&RESOURCE, ingress(json!({"defaultBackend": backend})), want);
    }
}

#[test]
fn names_of_services_may_begin_with_a_digit_with_a_gate_or_if_they_did() {
    let digit = ingress(json!({"defaultBackend": {"service": {"name": "1web", "port": {"number": 80}}}}));
    assert_eq!(created(&RESOURCE, digit.clone()).1.len(), 1);
    refuses_update(&RESOURCE, RESOURCE.strategy, digit.clone(), digit.clone(), &[]);
    let gates = features("RelaxedServiceNameValidation=true");
    let cx = Context { features: &gates, ..context("networking.k8s.io/v1") };
    assert!(RESOURCE.strategy.validate(&cx, &value(digit)).is_empty());
}

#[test]
fn certificates_are_checked_unless_they_were_wrong_before() {
    let with = |tls: Value| ingress(json!({"defaultBackend": backend(), "tls": [tls]}));
    refuses(&RESOURCE, with(json!({"hosts": ["*.a.example", "b.example"], "secretName": "s"})), &[]);
    let bad = with(json!({"hosts": ["A"], "secretName": "S"}));
    let errors = created(&RESOURCE, bad.clone()).1;
    assert_eq!(errors.len(), 2);
    assert!(errors[0].starts_with("spec.tls[0].hosts[0]: Invalid value: \"A\": a lowercase RFC 1123 subdomain must"));
    assert!(errors[1].starts_with("spec.tls[0].secretName: Invalid value: \"S\": a lowercase RFC 1123 subdomain must"));
    assert_eq!(updated(&RESOURCE, RESOURCE.strategy, bad.clone(), bad).1.len(), 1);
}

#[test]
fn a_rule_of_a_wildcard_that_was_wrong_may_stay_so() {
    let bad = with_path("*.example", json!({"path": "x"}));
    assert_eq!(created(&RESOURCE, bad.clone()).1.len(), 1);
    refuses_update(&RESOURCE, RESOURCE.strategy, bad.clone(), bad, &[]);
}

#[test]
fn the_class_is_said_once() {
    let annotated = |spec: Value| {
        patched(
            ingress(patched(json!({"defaultBackend": backend()}), spec)),
            json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}}),
        )
    };
    refuses(&RESOURCE, annotated(json!({"ingressClassName": "a"})), &[]);
    let two = annotated(json!({"ingressClassName": "b"}));
    let want = "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are \
                specified";
    refuses(&RESOURCE, two.clone(), &[want]);
    refuses_update(&RESOURCE, RESOURCE.strategy, two.clone(), two.clone(), &[]);
    let warnings =
        |object: Value| RESOURCE.strategy.warnings_on_create(&context("networking.k8s.io/v1"), &value(object));
    assert_eq!(
        warnings(annotated(json!({}))),
        ["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"]
    );
    assert_eq!(warnings(two), [""; 0]);
}

#[test]
fn a_status_says_where_it_is_reached() {
    let with = |points: Value| {
        patched(ingress(json!({"defaultBackend": backend()})), json!({"status": {"loadBalancer": {"ingress": points}}}))
    };
    let old = with(json!([{"ip": "ten"}]));
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        old.clone(),
        with(json!([{"ip": "ten"}, {"ip": "010.0.0.1"}, {"ip": "eleven"}, {"hostname": "10.0.0.1"}])),
        &[
            "status.loadBalancer.ingress[2].ip: Invalid value: \"eleven\": must be a valid IP address, (e.g. 10.9.8.7 or \
             2001:db8::ffff)",
            "status.loadBalancer.ingress[3].hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
        ],
    );
    let cx = context("networking.k8s.io/v1");
    let sloppy = value(with(json!([{"ip": "010.0.0.1"}])));
    assert_eq!(strategy::Status.warnings_on_update(&cx, &sloppy, &value(old)).len(), 1);
}

#[test]
fn a_change_makes_a_generation() {
    let old = patched(ingress(json!({"defaultBackend": backend()})), json!({"metadata": {"generation": 2}}));
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), ingress(json!({"defaultBackend": backend()})));
    let (other, _) = updated(&RESOURCE, RESOURCE.strategy, old, with_path("", json!({})));
    assert_eq!((same.generation(), other.generation()), (2, 3));
}

#[test]
fn a_row_shows_hosts_and_addresses() {
    let rules = ["a.example", "", "b.example", "c.example", "d.example"].map(|host| json!({"host": host}));
    let object = patched(
        ingress(json!({"ingressClassName": "x", "rules": rules, "tls": [{}]})),
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "h"}, {"ip": "1.1.1.1"}]}}}),
    );
    let want = ["i", "x", "a.example,b.example,c.example + 2 more...", "1.1.1.1,9.9.9.9,h", "80, 443", "<unknown>"];
    assert_eq!(row(&RESOURCE, object), want);
    assert_eq!(row(&RESOURCE, ingress(json!({}))), ["i", "<none>", "*", "", "80", "<unknown>"]);
}
