//! Where a webhook is: an address, or a service and a path.
//!
//! Upstream: k8s.io/apiserver/pkg/util/webhook/validation.go (v1.35).

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path, quote},
    go_url::GoUrl,
    validation::{is_dns1123_subdomain, is_port_number},
};

use crate::{
    report::Report,
    tree::{present, text_at},
};

/// A client configuration has a URL or a service.
pub(crate) fn client_config(config: &Value, path: &Path, errors: &mut ErrorList) {
    match (present(config, &["url"]), present(config, &["service"])) {
        (Some(url), None) => address(url.as_str().unwrap_or_default(), &path.child("url"), errors),
        (None, Some(at)) => service(at, &path.child("service"), errors),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

/// An address over TLS with nothing but host and path.
pub(crate) fn address(text: &str, path: &Path, errors: &mut ErrorList) {
    const FORM: &str = "; desired format: https://host[/path]";
    let url = match GoUrl::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let quoted = quote(text);
            errors.required(path, &format!("url must be a valid URL: parse {quoted}: {error}{FORM}"));
            return;
        }
    };
    if url.scheme != "https" {
        errors.invalid(path, url.scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if url.host.is_empty() {
        errors.invalid(path, "", format!("host must be provided{FORM}"));
    }
    if let Some(user) = url.user {
        errors.invalid(path, user, "user information is not permitted in the URL");
    }
    if !url.fragment.is_empty() {
        errors.invalid(path, url.fragment, "fragments are not permitted in the URL");
    }
    if !url.raw_query.is_empty() {
        errors.invalid(path, url.raw_query, "query parameters are not permitted in the URL");
    }
}

fn service(service: &Value, path: &Path, errors: &mut ErrorList) {
    if text_at(service, &["name"]).is_empty() {
        errors.required(&path.child("name"), "service name is required");
    }
    if text_at(service, &["namespace"]).is_empty() {
        errors.required(&path.child("namespace"), "service namespace is required");
    }
    let port = service.i64_at(&["port"]).unwrap_or_default();
    let faults = is_port_number(port);
    if !faults.is_empty() {
        errors.invalid(&path.child("port"), port, format!("port is not valid: {}", faults.join(", ")));
    }
    service_path(text_at(service, &["path"]), &path.child("path"), errors);
}

fn service_path(text: &str, path: &Path, errors: &mut ErrorList) {
    if matches!(text, "" | "/") {
        return;
    }
    if text == "//" {
        errors.invalid(path, text, "segment[0] may not be empty");
        return;
    }
    if !text.starts_with('/') {
        errors.invalid(path, text, "must start with a '/'");
    }
    // Upstream cuts the first byte whatever it is; a letter of several bytes has gone wrong above anyway.
    let rest = text.get(1..).unwrap_or_default();
    for (index, segment) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if segment.is_empty() {
            errors.invalid(path, text, format!("segment[{index}] may not be empty"));
            continue;
        }
        for message in is_dns1123_subdomain(segment) {
            errors.invalid(path, text, format!("segment[{index}]: {message}"));
        }
        if errors.is_full() {
            break;
        }
    }
}
