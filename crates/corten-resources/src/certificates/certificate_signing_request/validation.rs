//! Rules of certificate signing requests.
//!
//! Upstream: pkg/apis/certificates/validation (v1.35).

use base64::Engine as _;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path, quote},
};

use x509_parser::{
    certification_request::X509CertificationRequest, error::X509Error, pem::parse_x509_pem, prelude::FromDer as _,
    public_key::PublicKey,
};

use crate::{certificates::signer_name, report::Report, view::Seen};

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

/// What an endpoint may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// The conditions `Approved` and `Denied`.
    pub(super) approval: bool,
    /// The certificate, once.
    pub(super) certificate: bool,
}

pub(super) fn create(request: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let text = |field: &str| request.str_at(&["spec", field]).unwrap_or_default();
    if let Err(error) = is_signed_request(text("request")) {
        errors.invalid(&spec.child("request"), text("request"), error);
    }
    let usages = request.items_at(&["spec", "usages"]);
    if usages.is_empty() {
        errors.required(&spec.child("usages"), "");
    }
    let mut seen = Seen::default();
    for (index, usage) in usages.iter().filter_map(Value::as_str).enumerate() {
        let path = spec.child("usages").index(index);
        errors.one_of(&path, usage, USAGES);
        if !seen.is_new(usage) {
            errors.push(Error::duplicate(&path, usage));
        }
    }
    signer_name::validate(text("signerName"), &spec.child("signerName"), &mut errors);
    if text("signerName") == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.invalid(&spec.child("signerName"), text("signerName"), detail);
    }
    let seconds = request.i64_at(&["spec", "expirationSeconds"]);
    if let Some(seconds) = seconds.filter(|seconds| *seconds < EXPIRATION_MIN_SECONDS) {
        let detail = format!("may not specify a duration less than {EXPIRATION_MIN_SECONDS} seconds (10 minutes)");
        errors.invalid(&spec.child("expirationSeconds"), seconds, detail);
    }
    errors.extend(conditions(request));
    errors
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
    let (rest, parsed) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err("asn1: syntax error: trailing data".to_owned());
    }
    match parsed.verify_signature() {
        Err(X509Error::SignatureVerificationError) => {
            Err(match parsed.certification_request_info.subject_pki.parsed() {
                Ok(PublicKey::RSA(_)) => "crypto/rsa: verification error",
                Ok(PublicKey::EC(_)) => "x509: ECDSA verification failure",
                _ => "x509: Ed25519 verification failure",
            }
            .to_owned())
        }
        // A kind of key that is not known here: who signs cannot check it either, and refuses.
        _ => Ok(()),
    }
}

fn conditions(request: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("conditions");
    let all = request.items_at(&["status", "conditions"]);
    let has_approved = all.iter().any(|condition| condition.str_at(&["type"]) == Some("Approved"));
    let mut seen = Seen::default();
    for (index, condition) in all.iter().enumerate() {
        let at = path.index(index);
        let text = |field: &str| condition.str_at(&[field]).unwrap_or_default();
        let ty = text("type");
        errors.require(&at.child("type"), ty);
        if matches!(ty, "Approved" | "Denied" | "Failed") {
            if errors.require(&at.child("status"), text("status")) {
                errors.one_of(&at.child("status"), text("status"), &["True"]);
            }
        } else if errors.require(&at.child("status"), text("status")) {
            errors.one_of(&at.child("status"), text("status"), &["True", "False", "Unknown"]);
        }
        if ty == "Denied" && has_approved {
            errors.invalid(&at.child("type"), ty, "Approved and Denied conditions are mutually exclusive");
        }
        if !ty.is_empty() && !seen.is_new(ty) {
            errors.push(Error::duplicate(&at.child("type"), ty));
        }
    }
    errors
}

pub(super) fn update(request: &Value, old: &Value, allowed: Allowed) -> ErrorList {
    let mut errors = create(request);
    let path = Path::new("status").child("conditions");
    let find = |request: &Value, ty: &str| {
        let conditions = request.items_at(&["status", "conditions"]);
        conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ty)).cloned()
    };
    for ty in ["Approved", "Denied", "Failed"] {
        let action = match (find(old, ty), find(request, ty)) {
            (Some(_), None) => "remove",
            (None, Some(_)) if ty != "Failed" && !allowed.approval => "add",
            (Some(old), Some(new)) if ty != "Failed" && !allowed.approval && old != new => "modify",
            _ => continue,
        };
        errors.forbidden(&path, format!("updates may not {action} a condition of type {}", quote(ty)));
    }
    let certificate = |request: &Value| request.str_at(&["status", "certificate"]).unwrap_or_default().to_owned();
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
