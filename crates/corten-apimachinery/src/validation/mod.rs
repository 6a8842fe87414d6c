//! Rules of names and texts that all kinds share, with upstream's messages.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/validation (v1.35).

/// Why `name` is no DNS subdomain (RFC 1123); nothing if it is one. A `prefix` may end where a suffix will be added.
#[must_use]
pub fn is_dns1123_subdomain_prefixed(name: &str, prefix: bool) -> Vec<String> {
    if prefix && name.ends_with('-') { is_dns1123_subdomain(&format!("{name}a")) } else { is_dns1123_subdomain(name) }
}

/// Why `name` is no DNS subdomain (RFC 1123); nothing if it is one.
#[must_use]
pub fn is_dns1123_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 253 {
        errors.push("must be no more than 253 bytes".to_owned());
    }
    let label = |label: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(label.as_bytes().first())
            && edge(label.as_bytes().last())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !name.split('.').all(label) {
        errors.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    errors
}
