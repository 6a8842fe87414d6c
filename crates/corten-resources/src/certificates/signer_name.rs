//! Names of signers: a domain and a path.
//!
//! Upstream: pkg/apis/core/validation ValidateSignerName (v1.35).

use corten_apimachinery::{
    field::{Error, ErrorList, Path, quote},
    validation::{is_dns1123_label, is_dns1123_subdomain},
};

use crate::report::Report;

const DOMAIN_MAX_BYTES: usize = 253;
/// A domain, and behind it a domain and a label, with what stands between them.
const MAX_BYTES: usize = DOMAIN_MAX_BYTES + 1 + DOMAIN_MAX_BYTES + 1 + 63;

/// A name like `example.com/signer`.
pub(crate) fn validate(name: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, name) {
        return;
    }
    let [domain, rest] = name.split('/').collect::<Vec<_>>()[..] else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, detail);
        return;
    };
    if domain.len() > DOMAIN_MAX_BYTES {
        errors.push(Error::too_long(path, DOMAIN_MAX_BYTES));
    }
    parts(domain, is_dns1123_label, path, errors);
    if !domain.contains('.') {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    parts(rest, is_dns1123_subdomain, path, errors);
    if name.len() > MAX_BYTES {
        errors.push(Error::too_long(path, MAX_BYTES));
    }
}

/// An hour: no certificate of a pod is asked for a shorter time.
pub(crate) const EXPIRATION_MIN_SECONDS: i64 = 3_600;

/// For how many seconds a pod's certificate of a signer is asked for at most: a day where Kubernetes itself signs, 91 elsewhere.
pub(crate) fn expiration_max_seconds(signer: &str) -> i64 {
    let domain = signer.split('/').next().unwrap_or_default();
    if domain == "kubernetes.io" || domain.ends_with(".kubernetes.io") { 86_400 } else { 91 * 86_400 }
}

/// What is wrong with the first part that is wrong.
fn parts(text: &str, check: fn(&str) -> Vec<String>, path: &Path, errors: &mut ErrorList) {
    let wrong = text.split('.').map(|part| (part, check(part))).find(|(_, faults)| !faults.is_empty());
    for (part, fault) in wrong.iter().flat_map(|(part, faults)| faults.iter().map(move |fault| (part, fault))) {
        errors.invalid(path, text, format!("validating label {}: {fault}", quote(part)));
    }
}
