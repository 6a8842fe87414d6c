//! Rules of certificate signing requests. That the request is well signed is checked by who signs: it needs cryptography.

use base64::Engine as _;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path, quote},
    validation::{is_dns1123_label, is_dns1123_subdomain},
};

use crate::{report::Report, view::Seen};

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
    if let Err(error) = is_pem_request(text("request")) {
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
    signer(text("signerName"), &spec.child("signerName"), &mut errors);
    let seconds = request.i64_at(&["spec", "expirationSeconds"]);
    if let Some(seconds) = seconds.filter(|seconds| *seconds < EXPIRATION_MIN_SECONDS) {
        let detail = format!("may not specify a duration less than {EXPIRATION_MIN_SECONDS} seconds (10 minutes)");
        errors.invalid(&spec.child("expirationSeconds"), seconds, detail);
    }
    errors.extend(conditions(request));
    errors
}

/// The bytes are one PEM block with a certificate request.
fn is_pem_request(request: &str) -> Result<(), &'static str> {
    let refused = "PEM block type must be CERTIFICATE REQUEST";
    let bytes = base64::engine::general_purpose::STANDARD.decode(request).map_err(|_| refused)?;
    let pem = String::from_utf8(bytes).map_err(|_| refused)?;
    let begin = "-----BEGIN CERTIFICATE REQUEST-----";
    let (_, body) = pem.split_once(begin).ok_or(refused)?;
    let (body, _) = body.split_once("-----END CERTIFICATE REQUEST-----").ok_or(refused)?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(body).map(|_| ()).map_err(|_| refused)
}

fn signer(name: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, name) {
        return;
    }
    let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    let Some((domain, rest)) = name.split_once('/') else {
        errors.invalid(path, name, detail);
        return;
    };
    if name.len() > 571 {
        errors.push(Error::too_long(path, 571));
    }
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.invalid(path, domain, detail);
    }
    errors.invalids(path, domain, is_dns1123_subdomain(domain));
    for part in rest.split('.') {
        errors.invalids(path, part, is_dns1123_label(part));
    }
}

fn conditions(request: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("conditions");
    let all = request.items_at(&["status", "conditions"]);
    let has = |ty: &str| all.iter().any(|condition| condition.str_at(&["type"]) == Some(ty));
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
        if ty == "Denied" && has("Approved") {
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
