use base64::Engine as _;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated};

/// PKCS#10 of `O=team, CN=eve`.
const SIGNED: &str = concat!(
    "MIHWMH8CAQAwHTENMAsGA1UECgwEdGVhbTEMMAoGA1UEAwwDZXZlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7Jn/WNi4C2fG",
    "+j4jeongmQ/QfQViog+/3dns2q4wATof+u9xojB+e4wwMg/HkBE8MZ4yTRulOTa9go76Zr0XPKAAMAoGCCqGSM49BAMCA0cAMEQC",
    "IA2Cx9RfjO0yc/eE80f6yVVSJYN2a6oEwSXn3vmtzcPUAiAmVFea9zqznIFxwN6SppCKG/DihQuxS6quczGXL6yr6g==",
);

fn pem(der: &str) -> String {
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{der}\n-----END CERTIFICATE REQUEST-----\n");
    base64::engine::general_purpose::STANDARD.encode(pem)
}

fn request(patch: Value) -> Value {
    let pem = pem(SIGNED);
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

/// The bug was that any base64 within a PEM block was taken.
#[test]
fn a_request_is_signed_with_its_own_key() {
    let mut der = base64::engine::general_purpose::STANDARD.decode(SIGNED).unwrap();
    let at = der.windows(4).position(|bytes| bytes == b"team").unwrap();
    der[at] = b's';
    let spoiled = pem(&base64::engine::general_purpose::STANDARD.encode(der));
    let error = format!("spec.request: Invalid value: \"{spoiled}\": x509: ECDSA verification failure");
    refuses(&RESOURCE, request(json!({"spec": {"request": spoiled}})), &[&error]);
}

/// What could not be checked was taken as signed.
#[test]
fn a_signature_that_cannot_be_checked_is_none() {
    const ECDSA_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let base64 = base64::engine::general_purpose::STANDARD;
    let replace = |der: &[u8], from: &[u8], to: &[u8]| {
        let at = der.windows(from.len()).position(|bytes| bytes == from).unwrap();
        [&der[..at], to, &der[at + from.len()..]].concat()
    };
    let signed = base64.decode(SIGNED).unwrap();
    let check = |der: &[u8], want: Option<&str>| {
        let request_pem = pem(&base64.encode(der));
        let errors = created(&RESOURCE, request(json!({"spec": {"request": request_pem}}))).1;
        let want = want.map(|want| format!("spec.request: Invalid value: \"{request_pem}\": {want}"));
        assert_eq!(errors, want.into_iter().collect::<Vec<_>>());
    };
    check(&signed, None);
    let mut unknown = ECDSA_SHA256;
    unknown[9] = 0x09;
    let unimplemented = "x509: cannot verify signature: algorithm unimplemented";
    check(&replace(&signed, &ECDSA_SHA256, &unknown), Some(unimplemented));
    // As long as sha256WithRSAEncryption and a null is longer.
    let rsa = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
    let with = |rsa: &[u8]| {
        let mut der = replace(&signed, &[&[0x30, 0x0a][..], &ECDSA_SHA256].concat(), &[&[0x30, 0x0d], rsa].concat());
        der[2] += 3;
        der
    };
    let other = "x509: signature algorithm specifies an RSA public key, but have public key of type *ecdsa.PublicKey";
    check(&with(&rsa), Some(other));
    let mut md5 = rsa;
    md5[10] = 0x04;
    check(&with(&md5), Some("x509: cannot verify signature: insecure algorithm MD5-RSA"));

    let made = |algorithm: &'static rcgen::SignatureAlgorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
    };
    check(&made(&rcgen::PKCS_ECDSA_P521_SHA512), None);
    check(&made(&rcgen::PKCS_ECDSA_P384_SHA384), None);
    check(&made(&rcgen::PKCS_RSA_SHA256), None);
    let mut of_ed25519 = made(&rcgen::PKCS_ED25519);
    check(&of_ed25519, None);
    let last = of_ed25519.len() - 1;
    of_ed25519[last] ^= 1;
    check(&of_ed25519, Some("x509: Ed25519 verification failure"));
    // A key and a signature of Ed448.
    for byte in 0..of_ed25519.len() - 3 {
        if of_ed25519[byte..].starts_with(&[0x2b, 0x65, 0x70]) {
            of_ed25519[byte + 2] = 0x71;
        }
    }
    check(&of_ed25519, Some(unimplemented));
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
        &strategy::STATUS,
        request(json!({})),
        patched(request(json!({})), approved()),
        &["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""],
    );
    let issued = |certificate: &str| request(json!({"status": {"certificate": certificate}}));
    let none =
        "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block";
    refuses_update(&RESOURCE, &strategy::STATUS, request(json!({})), issued("AA=="), &[none]);
    let other = base64::engine::general_purpose::STANDARD.encode("-----BEGIN X-----\nAAAA\n-----END X-----\n");
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        request(json!({})),
        issued(&other),
        &[
            "status.certificate: Invalid value: \"<certificate data>\": only CERTIFICATE PEM blocks are allowed, found \"X\"",
        ],
    );
    // What is no certificate already may be replaced by nothing better, but not here.
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        issued("AA=="),
        issued("AQ=="),
        &["status.certificate: Forbidden: updates may not modify existing certificate content"],
    );
}

#[test]
fn a_request_is_approved_or_denied_and_stays_so() {
    let with = |conditions: Value| request(json!({"status": {"conditions": conditions}}));
    let one = |ty: &str| json!({"type": ty, "status": "True"});
    refuses_update(
        &RESOURCE,
        &strategy::Approval,
        request(json!({})),
        with(json!([one("Denied"), one("Approved"), one("Denied"), {"type": "", "status": "Odd"}])),
        &[
            "status.conditions[1].type: Invalid value: \"Approved\": Approved and Denied conditions are mutually exclusive",
            "status.conditions[2].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
            "status.conditions[2].type: Duplicate value: \"Denied\"",
            "status.conditions[3].type: Required value",
            "status.conditions[3].status: Unsupported value: \"Odd\": supported values: \"False\", \"True\", \"Unknown\"",
        ],
    );
    // What was wrong before may stay.
    let both = with(json!([one("Denied"), one("Approved"), one("Denied")]));
    let odd = json!({"spec": {"usages": ["odd", "odd"], "signerName": "kubernetes.io/legacy-unknown"}});
    let both = patched(both, odd);
    refuses_update(&RESOURCE, &strategy::Approval, both.clone(), both.clone(), &[]);
    refuses_update(
        &RESOURCE,
        &strategy::Approval,
        with(json!([one("Approved")])),
        request(json!({})),
        &["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""],
    );
    let changed = json!([{"type": "Approved", "status": "True", "reason": "r"}]);
    let (_, errors) = updated(&RESOURCE, &strategy::STATUS, with(json!([one("Approved")])), with(changed));
    assert_eq!(errors.len(), 1);
    let want = "status.conditions: Forbidden: updates may not modify a condition of type \"Approved\"\n";
    assert!(errors[0].starts_with(want), "{errors:?}");
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
