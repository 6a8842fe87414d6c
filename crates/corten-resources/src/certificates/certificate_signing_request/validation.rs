//! Rules of certificate signing requests.
//!
//! Upstream: pkg/apis/certificates/validation (v1.35).

use std::collections::BTreeSet;

use base64::Engine as _;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path, quote},
};

use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest, pem::parse_x509_pem,
    prelude::FromDer as _,
};

use super::{der, signature};
use crate::{
    certificates::{pem, signer_name},
    internal_form,
    report::Report,
    tree::{text_at, texts_at},
    view::Seen,
};

/// Upstream's usages, sorted as its message shows them.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const EXPIRATION_MIN_SECONDS: i64 = 600;
/// Of requests that were made before signers had names.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";

/// What an endpoint may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// The conditions `Approved` and `Denied`.
    pub(super) approval: bool,
    /// The certificate, once.
    pub(super) certificate: bool,
}

/// What is wrong with an old request already, and may stay so.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    both_approved_and_denied: bool,
    legacy_signer: bool,
    repeated_conditions: bool,
    conditions_without_type: bool,
    any_certificate: bool,
    unknown_usages: bool,
    repeated_usages: bool,
}

impl Taken {
    fn of(request: &Value, old: &Value) -> Self {
        let types: Vec<&str> = conditions_of(old).iter().map(|condition| text_at(condition, &["type"])).collect();
        let usages = usages(old);
        let repeats = |words: &[&str]| words.iter().collect::<BTreeSet<_>>().len() < words.len();
        Self {
            both_approved_and_denied: types.contains(&"Approved") && types.contains(&"Denied"),
            legacy_signer: text_at(old, &["spec", "signerName"]) == LEGACY_SIGNER,
            repeated_conditions: repeats(&types),
            conditions_without_type: types.contains(&""),
            any_certificate: certificate(request) == certificate(old) || check_certificate(certificate(old)).is_err(),
            unknown_usages: usages.iter().any(|usage| !USAGES.contains(usage)),
            repeated_usages: repeats(&usages),
        }
    }
}

fn conditions_of(request: &Value) -> &[Value] {
    request.items_at(&["status", "conditions"])
}

fn usages(request: &Value) -> Vec<&str> {
    texts_at(request, &["spec", "usages"])
}

fn certificate(request: &Value) -> &str {
    text_at(request, &["status", "certificate"])
}

pub(super) fn create(request: &Value) -> ErrorList {
    check(request, Taken::default())
}

fn check(request: &Value, taken: Taken) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let text = |field: &str| text_at(request, &["spec", field]);
    if let Err(error) = is_signed_request(text("request")) {
        errors.invalid(&spec.child("request"), text("request"), error);
    }
    let (usages, usages_at) = (usages(request), spec.child("usages"));
    if usages.is_empty() {
        errors.required(&usages_at, "");
    }
    for (index, usage) in usages.iter().enumerate().filter(|_| !taken.unknown_usages) {
        errors.one_of(&usages_at.index(index), usage, USAGES);
    }
    let mut seen = Seen::default();
    for (index, usage) in usages.iter().enumerate().filter(|_| !taken.repeated_usages) {
        if !seen.is_new(*usage) {
            errors.push_with(|| Error::duplicate(&usages_at.index(index), *usage));
        }
    }
    let (signer, signer_at) = (text("signerName"), spec.child("signerName"));
    if signer == LEGACY_SIGNER && !taken.legacy_signer {
        errors.invalid(&signer_at, signer, "the legacy signerName is not allowed via this API version");
    } else {
        signer_name::validate(signer, &signer_at, &mut errors);
    }
    let seconds = request.i64_at(&["spec", "expirationSeconds"]);
    if let Some(seconds) = seconds.filter(|seconds| *seconds < EXPIRATION_MIN_SECONDS) {
        let detail = format!("may not specify a duration less than {EXPIRATION_MIN_SECONDS} seconds (10 minutes)");
        errors.invalid(&spec.child("expirationSeconds"), seconds, detail);
    }
    conditions(request, taken, &mut errors);
    if !taken.any_certificate
        && let Err(fault) = check_certificate(certificate(request))
    {
        errors.invalid(&Path::new("status").child("certificate"), "<certificate data>", fault);
    }
    errors
}

/// Errors: why these bytes, in base64, are no certificates in blocks of PEM. Nothing is none yet, and that is fine.
fn check_certificate(encoded: &str) -> Result<(), String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    if bytes.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut count = 0;
    for block in pem::blocks(&text) {
        if block.ty != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {}", quote(block.ty)));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        count += 1;
        if block.bytes.is_empty() {
            return Err("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        let mut rest = block.bytes.as_slice();
        while !rest.is_empty() {
            // Go's parser says what is wrong where; that much is not known here.
            rest = X509Certificate::from_der(rest).map_err(|_| "x509: malformed certificate")?.0;
        }
    }
    if count == 0 { Err("must contain at least one CERTIFICATE PEM block".to_owned()) } else { Ok(()) }
}

/// The bytes are a PEM block with a certificate request that its own key has signed.
///
/// Errors: why not; Go's words where the reason is the signature.
fn is_signed_request(request: &str) -> Result<(), String> {
    const NOT_PEM: &str = "PEM block type must be CERTIFICATE REQUEST";
    let bytes = base64::engine::general_purpose::STANDARD.decode(request).map_err(|_| NOT_PEM)?;
    let pem = match parse_x509_pem(&bytes) {
        Ok((_, pem)) if pem.label == "CERTIFICATE REQUEST" => pem,
        _ => return Err(NOT_PEM.to_owned()),
    };
    der::check(&pem.contents)?;
    let (_, parsed) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
    signature::check(&parsed)
}

fn conditions(request: &Value, taken: Taken, errors: &mut ErrorList) {
    let path = Path::new("status").child("conditions");
    let (mut seen, mut has_approved, mut has_denied) = (Seen::default(), false, false);
    for (index, condition) in conditions_of(request).iter().enumerate() {
        let at = path.index(index);
        let (ty, status) = (text_at(condition, &["type"]), text_at(condition, &["status"]));
        let type_at = at.child("type");
        if !taken.conditions_without_type {
            errors.require(&type_at, ty);
        }
        let statuses: &[&str] =
            if matches!(ty, "Approved" | "Denied" | "Failed") { &["True"] } else { &["False", "True", "Unknown"] };
        errors.require_one_of(&at.child("status"), status, statuses);
        has_approved |= ty == "Approved";
        has_denied |= ty == "Denied";
        let is_either = matches!(ty, "Approved" | "Denied");
        if !taken.both_approved_and_denied && is_either && has_approved && has_denied {
            errors.invalid(&type_at, ty, "Approved and Denied conditions are mutually exclusive");
        }
        if !taken.repeated_conditions && !seen.is_new(ty) {
            errors.push_with(|| Error::duplicate(&type_at, ty));
        }
    }
}

pub(super) fn update(request: &Value, old: &Value, allowed: Allowed) -> ErrorList {
    let mut errors = check(request, Taken::of(request, old));
    let path = Path::new("status").child("conditions");
    let of_type = |request: &Value, ty: &str| -> Vec<Value> {
        let is_it = |condition: &&Value| text_at(condition, &["type"]) == ty;
        conditions_of(request).iter().filter(is_it).cloned().collect()
    };
    for ty in ["Approved", "Denied", "Failed"] {
        if of_type(request, ty).len() < of_type(old, ty).len() {
            errors.forbidden(&path, format!("updates may not remove a condition of type {}", quote(ty)));
        }
    }
    for ty in ["Approved", "Denied"].into_iter().filter(|_| !allowed.approval) {
        let (new, was) = (of_type(request, ty), of_type(old, ty));
        if new.len() > was.len() {
            errors.forbidden(&path, format!("updates may not add a condition of type {}", quote(ty)));
        } else if new.len() == was.len() && new != was {
            let name = "io.k8s.api.certificates.v1.CertificateSigningRequestCondition";
            let shown = internal_form::difference_of(name, Some(&Value::array(was)), Some(&Value::array(new)));
            let detail = format!("updates may not modify a condition of type {}\n{shown}", quote(ty));
            errors.forbidden(&path, detail);
        }
    }
    let (new, was) = (certificate(request), certificate(old));
    if new != was {
        let path = Path::new("status").child("certificate");
        if !allowed.certificate {
            errors.forbidden(&path, "updates may not set certificate content");
        } else if !was.is_empty() {
            errors.forbidden(&path, "updates may not modify existing certificate content");
        }
    }
    errors
}
