use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row};

fn certificate(is_ca: bool) -> String {
    let mut params = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn bundle(name: &str, signer: Option<&str>, anchors: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": anchors}})
}

#[track_caller]
fn check(anchors: &str, want: &[&str]) {
    let want: Vec<String> =
        want.iter().map(|fault| format!("spec.trustBundle: Invalid value: \"<value omitted>\": {fault}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses(&RESOURCE, bundle("b", None, anchors), &want);
}

#[test]
fn a_bundle_holds_authorities_each_once() {
    let (ca, other) = (certificate(true), certificate(true));
    check(&ca, &[]);
    check(&format!("about\n{ca}{other}"), &[]);
    check("words", &["at least one trust anchor must be provided"]);
    check(&format!("{ca}{other}{ca}"), &["duplicate trust anchor (indices [0 2])"]);
    let leaf = certificate(false);
    let with_header = ca.replacen("CERTIFICATE-----", "CERTIFICATE-----\nA: b", 1);
    check(
        &format!(
            "{leaf}{with_header}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{}",
            ca.replace("CERTIFICATE", "OTHER")
        ),
        &[
            "entry 0 does not have the CA bit set",
            "entry 1 has PEM block headers",
            "entry 2 does not parse as X.509",
            "entry 3 has bad block type: OTHER",
        ],
    );
    refuses(
        &RESOURCE,
        bundle("b", None, &"x".repeat(1024 * 1024 + 1)),
        &["spec.trustBundle: Too long: may not be more than 1048576 bytes"],
    );
}

#[test]
fn the_name_begins_with_the_signers() {
    let ca = certificate(true);
    let (_, errors) = created(&RESOURCE, bundle("example.com:signer:a", Some("example.com/signer"), &ca));
    assert_eq!(errors, [""; 0]);
    refuses(
        &RESOURCE,
        bundle("a", Some("example.com/signer"), &ca),
        &[
            "metadata.name: Invalid value: \"a\": ClusterTrustBundle for signerName example.com/signer must be named with \
             prefix example.com:signer:",
        ],
    );
    refuses(
        &RESOURCE,
        bundle("a:b", None, &ca),
        &[
            "metadata.name: Invalid value: \"a:b\": ClusterTrustBundle without signer name must not have \":\" in its name",
        ],
    );
    let (_, errors) = created(&RESOURCE, bundle("a:B", Some("a"), &ca));
    assert!(
        errors[0].starts_with("metadata.name: Invalid value: \"a:B\": a lowercase RFC 1123 subdomain"),
        "{errors:?}"
    );
    assert_eq!(
        errors[1],
        "spec.signerName: Invalid value: \"a\": must be a fully qualified domain and path of the form \
         'example.com/signer-name'"
    );
}

#[test]
fn the_signer_stays_and_so_may_the_anchors() {
    let old = bundle("example.com:signer:a", Some("example.com/signer"), "nothing that is read");
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old.clone(), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        patched(old, json!({"metadata": {"name": "example.com:other:a"}, "spec": {"signerName": "example.com/other"}})),
        &["spec.signerName: Invalid value: \"example.com/other\": field is immutable"],
    );
}

#[test]
fn a_row_shows_the_signer() {
    assert_eq!(row(&RESOURCE, bundle("a", Some("example.com/s"), "")), ["a", "example.com/s"]);
    assert_eq!(row(&RESOURCE, bundle("a", None, "")), ["a", "<none>"]);
}
