use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{KeyPair as _, RSA_PSS_SHA256, RsaPssSaltLength, RsaSignatureEncoding},
};
use base64::Engine as _;
use corten_apimachinery::resource::Context;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _, SigningKey as _,
    date_time_ymd,
};
use serde_json::{Value, json};

use super::{RESOURCE, key, strategy};
use crate::testing::{context, created, defaulted, patched, refuses, refuses_update, row, value};

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());
/// Made once: each signature is another one.
static PROOF: LazyLock<String> = LazyLock::new(|| base64(&KEY.sign(b"1").unwrap()));

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn request(patch: Value) -> Value {
    let base = json!({
        "metadata": {"name": "r"},
        "spec": {
            "signerName": "example.com/signer", "podName": "p", "podUID": "1", "serviceAccountName": "s",
            "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3",
            "pkixPublicKey": base64(&KEY.subject_public_key_info()), "proofOfPossession": *PROOF,
        },
    });
    patched(base, patch)
}

#[test]
fn a_certificate_is_for_a_day() {
    let (object, errors) = created(&RESOURCE, request(json!({"status": {"certificateChain": "x"}})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(request(json!({"spec": {"maxExpirationSeconds": 86400}, "status": {}}))));
}

#[test]
fn a_request_says_for_whom() {
    refuses(
        &RESOURCE,
        request(json!({"spec": {
            "signerName": "a", "podUID": "", "serviceAccountUID": "u".repeat(129), "maxExpirationSeconds": 60,
            "unverifiedUserAnnotations": {"plain": "x", "Example.com/Key": "y"},
        }})),
        &[
            "spec.signerName: Invalid value: \"a\": must be a fully qualified domain and path of the form \
             'example.com/signer-name'",
            "spec.unverifiedUserAnnotations: Invalid value: \"plain\": must be a domain-prefixed key (such as \"acme.io/foo\")",
            "spec.podUID: Invalid value: \"\": must not be empty",
            "spec.serviceAccountUID: Too long: may not be more than 128 bytes",
            "spec.maxExpirationSeconds: Invalid value: 60: must be in the range [3600, 7862400]",
            "spec.proofOfPossession: Invalid value: could not verify proof-of-possession signature",
        ],
    );
    refuses(
        &RESOURCE,
        request(json!({"spec": {"signerName": "kubernetes.io/s", "maxExpirationSeconds": 86401}})),
        &["spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]"],
    );
    refuses(
        &RESOURCE,
        request(json!({"spec": {"pkixPublicKey": "AAAA"}})),
        &["spec.pkixPublicKey: Invalid value: \"AAAA\": must be a valid PKIX-serialized public key"],
    );
}

#[test]
fn who_asks_has_the_key() {
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let (der, proof) = (pair.subject_public_key_info(), pair.sign(b"uid").unwrap());
        // P-384 signs with another digest here than requests do.
        let want = if algorithm == &PKCS_ED25519 { Ok(()) } else { Err(key::Fault::Proof) };
        assert_eq!(key::check(&der, b"uid", &proof), want);
        assert_eq!(key::check(&der, b"other", &proof), Err(key::Fault::Proof));
    }
    assert_eq!(key::check(b"", b"", b""), Err(key::Fault::Unreadable));
}

/// Go signs with the longest salt that fits.
#[test]
fn rsa_keys_are_long_and_salts_long_or_short() {
    let pair = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
    let der = pair.public_key().as_der().unwrap();
    static LONG: RsaSignatureEncoding = RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
    static SHORT: RsaSignatureEncoding = RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Digest);
    for encoding in [&LONG, &SHORT] {
        let mut proof = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &aws_lc_rs::rand::SystemRandom::new(), b"uid", &mut proof).unwrap();
        assert_eq!(key::check(der.as_ref(), b"uid", &proof), Ok(()));
    }
    let short = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = short.public_key().as_der().unwrap();
    assert_eq!(key::check(der.as_ref(), b"uid", b""), Err(key::Fault::Bits(2048)));
}

#[test]
fn a_request_stays() {
    let (_, errors) = crate::testing::updated(
        &RESOURCE,
        RESOURCE.strategy,
        request(json!({})),
        request(json!({"spec": {"podName": "other"}})),
    );
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("spec: Invalid value: ") && errors[0].ends_with(": field is immutable"),
        "{errors:?}"
    );
}

fn condition(ty: &str, status: &str) -> Value {
    json!({"type": ty, "status": status, "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn with_status(status: Value) -> Value {
    request(json!({"status": status}))
}

#[track_caller]
fn status_check(old: Value, new: Value, want: &[&str]) {
    refuses_update(&RESOURCE, &strategy::STATUS, with_status(old), with_status(new), want);
}

#[test]
fn one_thing_becomes_of_a_request() {
    status_check(json!({}), json!({"conditions": [condition("Denied", "True")]}), &[]);
    status_check(
        json!({}),
        json!({"conditions": [condition("Denied", "True"), condition("Failed", "False"), condition("Odd", "True")]}),
        &[
            "status.conditions.[1].type: Invalid value: \"Failed\": There may be at most one condition with type \"Issued\", \
             \"Denied\", or \"Failed\"",
            "status.conditions.[1].status: Unsupported value: \"False\": supported values: \"True\"",
            "status.conditions.[2].type: Unsupported value: \"Odd\": supported values: \"Issued\", \"Denied\", \"Failed\"",
        ],
    );
    status_check(
        json!({"conditions": [condition("Denied", "True")]}),
        json!({"conditions": [condition("Failed", "True")]}),
        &["status: Invalid value: immutable after PodCertificateRequest is issued, denied, or failed"],
    );
    status_check(
        json!({}),
        json!({"conditions": [condition("Failed", "True")], "certificateChain": "x"}),
        &["status: Invalid value: non-condition status fields must be empty when denying or failing the \
             PodCertificateRequest"],
    );
    status_check(
        json!({}),
        json!({"certificateChain": "x"}),
        &["status: Invalid value: status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\""],
    );
}

/// A certificate from midnight to midnight.
fn issued(pair: &KeyPair, name: &str) -> Value {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 1, 2));
    json!({
        "conditions": [condition("Issued", "True")], "certificateChain": params.self_signed(pair).unwrap().pem(),
        "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-02T00:00:00Z", "beginRefreshAt": "2026-01-01T12:00:00Z",
    })
}

#[track_caller]
fn issue(patch: Value, now: &str, want: &[&str]) {
    let old = defaulted(&RESOURCE, request(json!({})));
    let new = defaulted(&RESOURCE, with_status(patched(issued(&KEY, "a.example.com"), patch)));
    let cx = Context { now: now.parse().unwrap(), ..context("v1beta1") };
    let errors = strategy_errors(&cx, &new, &old);
    assert_eq!(errors.len(), want.len(), "{errors:?}");
    for (error, want) in errors.iter().zip(want) {
        assert!(error.starts_with("status.") && error.ends_with(want), "{error}");
    }
}

fn strategy_errors(
    cx: &Context<'_>,
    new: &corten_apimachinery::Value,
    old: &corten_apimachinery::Value,
) -> Vec<String> {
    use corten_apimachinery::resource::Strategy as _;
    strategy::STATUS.validate_update(cx, new, old).iter().map(ToString::to_string).collect()
}

#[test]
fn a_certificate_is_the_requests_and_valid_as_said() {
    const NOW: &str = "2026-01-01T00:04:00Z";
    issue(json!({}), NOW, &[]);
    issue(json!({}), "2026-01-01T00:05:00Z", &["must be set to within 5 minutes of kube-apiserver's current time"]);
    for (patch, want) in [
        (json!({"certificateChain": ""}), "must contain at least one certificate"),
        (
            json!({"certificateChain": "-----BEGIN X-----\n-----END X-----\n"}),
            "consist entirely of CERTIFICATE PEM blocks",
        ),
        (
            json!({"certificateChain": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}),
            "leaf certificate does not parse as valid X.509",
        ),
        (
            json!({"notBefore": "2026-01-01T00:00:01Z"}),
            "must be set to the NotBefore time encoded in the leaf certificate",
        ),
        (
            json!({"notAfter": "2026-01-02T00:00:01Z"}),
            "must be set to the NotAfter time encoded in the leaf certificate",
        ),
        (json!({"beginRefreshAt": "2026-01-01T00:09:59Z"}), "must be at least 10 minutes after status.notBefore"),
        (json!({"beginRefreshAt": "2026-01-01T23:50:01Z"}), "must be at least 10 minutes before status.notAfter"),
        (json!({"notAfter": null}), "must be present and consistent with the issued certificate"),
        (issued(&KeyPair::generate().unwrap(), "a"), "leaf certificate was not issued to the requested public key"),
        (issued(&KEY, ".a"), "leaf certificate's DNSName should not start or end with '.'"),
    ] {
        issue(patch, NOW, &[want]);
    }
}

#[test]
fn a_row_shows_what_has_become_of_it() {
    assert_eq!(row(&RESOURCE, request(json!({}))), ["r", "p", "s", "n", "example.com/signer", "Pending"]);
    let denied = with_status(json!({"conditions": [condition("Denied", "True")]}));
    assert_eq!(row(&RESOURCE, denied)[5], "Denied");
}
