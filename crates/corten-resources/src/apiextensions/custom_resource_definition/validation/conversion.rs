//! How objects of one version become objects of another.
//!
//! Upstream: also k8s.io/apiserver/pkg/util/webhook/validation.go (v1.35).

use std::collections::BTreeSet;

use base64::Engine as _;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::{is_dns1035_label, is_dns1123_subdomain, is_port_number},
};
use x509_parser::pem::Pem;

use super::ratchet::Requirements;
use crate::report::Report;

/// The versions of reviews that the server speaks.
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

pub(super) fn check(spec: &Value, preserves: bool, requirements: &Requirements, path: &Path, errors: &mut ErrorList) {
    let Some(conversion) = spec.get("conversion").filter(|conversion| !conversion.is_null()) else { return };
    let at = path.child("strategy");
    let strategy = conversion.str_at(&["strategy"]).unwrap_or_default();
    if strategy != "None" && preserves {
        errors.invalid(&at, strategy, "must be None if spec.preserveUnknownFields is true");
    }
    errors.require_one_of(&at, strategy, &["None", "Webhook"]);
    // Upstream's own form has no `webhook` around these two.
    let config = conversion.at(&["webhook", "clientConfig"]).filter(|config| !config.is_null());
    let versions = conversion.items_at(&["webhook", "conversionReviewVersions"]);
    let (config_path, versions_path) = (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if config.is_some() {
            errors.forbidden(&config_path, detail);
        }
        if !versions.is_empty() {
            errors.forbidden(&versions_path, detail);
        }
        return;
    }
    match config {
        None => errors.required(&config_path, "required when strategy is set to Webhook"),
        Some(config) => client_config(config, requirements, &config_path, errors),
    }
    review_versions(versions, requirements, &versions_path, errors);
}

fn client_config(config: &Value, requirements: &Requirements, path: &Path, errors: &mut ErrorList) {
    let url = config.str_at(&["url"]);
    let service = config.get("service").filter(|service| !service.is_null());
    match (url, service) {
        (Some(url), None) => self::url(url, &path.child("url"), errors),
        (None, Some(service)) => self::service(service, &path.child("service"), errors),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
    if !requirements.any_ca_bundle
        && let Some(bundle) = config.str_at(&["caBundle"])
        && let Err(reason) = ca_bundle(bundle)
    {
        errors.invalid(&path.child("caBundle"), bundle, reason);
    }
}

/// Certificates in PEM, at least one, as base64; nothing is fine as well. Errors: what it is not.
pub(super) fn ca_bundle(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let none = "unable to load root certificates: ";
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    let bytes = bytes.map_err(|_| format!("{none}unable to parse bytes as PEM block"))?;
    let mut has_certificate = false;
    for block in Pem::iter_from_buffer(&bytes) {
        let Ok(block) = block else { break };
        if block.label == "CERTIFICATE" {
            if let Err(error) = block.parse_x509() {
                return Err(format!("{none}{error}"));
            }
            has_certificate = true;
        }
    }
    if has_certificate { Ok(()) } else { Err(format!("{none}unable to parse bytes as PEM block")) }
}

fn url(text: &str, path: &Path, errors: &mut ErrorList) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        Some(("", _)) => {
            let quoted = corten_apimachinery::field::quote(text);
            errors.required(path, &format!("url must be a valid URL: parse {quoted}: missing protocol scheme{FORM}"));
            return;
        }
        _ => (String::new(), rest),
    };
    let authority = rest.strip_prefix("//").unwrap_or_default();
    let authority = &authority[..authority.find('/').unwrap_or(authority.len())];
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if scheme != "https" {
        errors.invalid(path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        errors.invalid(path, host, format!("host must be provided{FORM}"));
    }
    if let Some(user) = user {
        errors.invalid(path, user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        errors.invalid(path, fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        errors.invalid(path, query, "query parameters are not permitted in the URL");
    }
}

fn service(service: &Value, path: &Path, errors: &mut ErrorList) {
    // Upstream mixes the two up here, and clients see it.
    let (name, namespace) = (service.str_at(&["namespace"]), service.str_at(&["name"]));
    if name.unwrap_or_default().is_empty() {
        errors.required(&path.child("name"), "service name is required");
    }
    if namespace.unwrap_or_default().is_empty() {
        errors.required(&path.child("namespace"), "service namespace is required");
    }
    let port = service.i64_at(&["port"]).unwrap_or_default();
    let reasons = is_port_number(port);
    if !reasons.is_empty() {
        errors.invalid(&path.child("port"), port, format!("port is not valid: {}", reasons.join(", ")));
    }
    if let Some(text) = service.str_at(&["path"]) {
        service_path(text, &path.child("path"), errors);
    }
}

fn service_path(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.is_empty() || text == "/" {
        return;
    }
    if text == "//" {
        errors.invalid(path, text, "segment[0] may not be empty");
        return;
    }
    if !text.starts_with('/') {
        errors.invalid(path, text, "must start with a '/'");
    }
    // Upstream leaves the first byte out, whatever it is.
    let mut chars = text.chars();
    chars.next();
    let rest = chars.as_str();
    for (index, segment) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if segment.is_empty() {
            errors.invalid(path, text, format!("segment[{index}] may not be empty"));
        } else {
            for reason in is_dns1123_subdomain(segment) {
                errors.invalid(path, text, format!("segment[{index}]: {reason}"));
            }
        }
    }
}

/// Whether a review version among `versions` is one that the server speaks; also if there are none.
pub(super) fn has_known_review_version(versions: &[Value]) -> bool {
    versions.is_empty()
        || versions.iter().any(|version| version.as_str().is_some_and(|version| REVIEW_VERSIONS.contains(&version)))
}

fn review_versions(versions: &[Value], requirements: &Requirements, path: &Path, errors: &mut ErrorList) {
    if versions.is_empty() {
        errors.required(path, "");
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().filter_map(Value::as_str).enumerate() {
        let at = path.index(index);
        if seen.insert(version) {
            errors.invalids(&at, version, is_dns1035_label(version));
        } else {
            errors.invalid(&at, version, "duplicate version");
        }
    }
    if requirements.known_review_version && !has_known_review_version(versions) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.invalid(path, Value::array(versions.iter().cloned()), detail);
    }
}
