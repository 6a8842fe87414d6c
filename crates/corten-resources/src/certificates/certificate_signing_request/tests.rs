use base64::Engine as _;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated};

fn request(patch: Value) -> Value {
    let pem = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    let pem = base64::engine::general_purpose::STANDARD.encode(pem);
    patched(
        json!({
            "metadata": {"name": "a"},
            "spec": {"request": pem, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]},
        }),
        patch,
    )
}

fn approved() -> Value {
    json!({"status": {"conditions": [{"type": "Approved", "status": "True"}]}})
}

#[test]
fn the_server_says_who_asks_and_nobody_approves_himself() {
    let (object, errors) = created(&RESOURCE, patched(request(json!({"spec": {"username": "root"}})), approved()));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["spec", "username"]), Some("alice"));
    assert_eq!(object.items_at(&["status", "conditions"]).len(), 0);
}

#[test]
fn a_request_is_pem_for_a_signer_and_a_use() {
    refuses(
        &RESOURCE,
        request(
            json!({"spec": {"request": "AAAA", "signerName": "nobody", "usages": ["odd"], "expirationSeconds": 60}}),
        ),
        &[
            "spec.request: Invalid value: \"AAAA\": PEM block type must be CERTIFICATE REQUEST",
            "spec.usages[0]: Unsupported value: \"odd\": supported values: \"any\", \"cert sign\", \"client auth\", \"code \
             signing\", \"content commitment\", \"crl sign\", \"data encipherment\", \"decipher only\", \"digital \
             signature\", \"email protection\", \"encipher only\", \"ipsec end system\", \"ipsec tunnel\", \"ipsec user\", \
             \"key agreement\", \"key encipherment\", \"microsoft sgc\", \"netscape sgc\", \"ocsp signing\", \"s/mime\", \
             \"server auth\", \"signing\", \"timestamping\"",
            "spec.signerName: Invalid value: \"nobody\": must be a fully qualified domain and path of the form \
             'example.com/signer-name'",
            "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)",
        ],
    );
}

#[test]
fn only_approval_approves_and_only_status_issues() {
    let (object, errors) =
        updated(&RESOURCE, &strategy::Approval, request(json!({})), patched(request(json!({})), approved()));
    assert_eq!(errors, [""; 0]);
    let condition = &object.items_at(&["status", "conditions"])[0];
    assert_eq!(condition.str_at(&["lastUpdateTime"]), Some("2026-01-01T12:00:00Z"));
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        request(json!({})),
        patched(request(json!({})), approved()),
        &["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""],
    );
    let issued = |certificate: &str| request(json!({"status": {"certificate": certificate}}));
    refuses_update(&RESOURCE, &strategy::Status, request(json!({})), issued("AA=="), &[]);
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        issued("AA=="),
        issued("AQ=="),
        &["status.certificate: Forbidden: updates may not modify existing certificate content"],
    );
}

#[test]
fn a_row_shows_what_has_become_of_it() {
    let object = patched(request(json!({"spec": {"username": "alice", "expirationSeconds": 86400}})), approved());
    assert_eq!(
        row(&RESOURCE, object),
        ["a", "<unknown>", "kubernetes.io/kube-apiserver-client", "alice", "24h", "Approved"]
    );
    assert_eq!(row(&RESOURCE, request(json!({"status": {"certificate": "AA=="}})))[5], "Pending,Issued");
}
