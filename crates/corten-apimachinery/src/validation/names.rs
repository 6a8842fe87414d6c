//! DNS labels and subdomains, qualified names, label values, path segments.

use super::{max_length, regex_message};

const SUBDOMAIN_MAX_BYTES: usize = 253;
const LABEL_MAX_BYTES: usize = 63;

const LABEL_REGEX: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_REGEX: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const UNDERSCORE_SUBDOMAIN_REGEX: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const LABEL_1035_REGEX: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_NAME_REGEX: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether `text` is not empty, starts and ends with an `edge` byte and has only `inner` bytes.
fn bounded(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if edge(*first) && edge(*last))
        && bytes.iter().all(|byte| inner(*byte))
}

fn label_shape(text: &str) -> bool {
    bounded(text, lower_or_digit, |byte| lower_or_digit(byte) || byte == b'-')
}

fn subdomain_shape(text: &str) -> bool {
    text.split('.').all(label_shape)
}

fn qualified_shape(text: &str) -> bool {
    bounded(
        text,
        |byte| byte.is_ascii_alphanumeric(),
        |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
    )
}

/// A `prefix` may end in a dash, because a suffix will be added.
fn with_suffix(name: &str, prefix: bool, check: fn(&str) -> Vec<String>) -> Vec<String> {
    // Upstream cuts what is before the dash as well, and puts one letter in the place of both: whatever stands there is not
    // looked at, and a prefix may be one longer than a name. See `maskTrailingDash` in
    // k8s.io/apimachinery/pkg/api/validation/generic.go (v1.35).
    let Some(stem) = name.strip_suffix('-').filter(|_| prefix) else { return check(name) };
    match stem.as_bytes().split_last() {
        Some((cut, _)) if cut.is_ascii() => check(&format!("{}a", &stem[..stem.len() - 1])),
        _ => check(name),
    }
}

/// A DNS subdomain (RFC 1123).
#[must_use]
pub fn is_dns1123_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(max_length(SUBDOMAIN_MAX_BYTES));
    }
    if !subdomain_shape(name) {
        errors.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            SUBDOMAIN_REGEX,
            &["example.com"],
        ));
    }
    errors
}

/// A DNS subdomain (RFC 1123); a `prefix` may end where a suffix will be added.
#[must_use]
pub fn is_dns1123_subdomain_prefixed(name: &str, prefix: bool) -> Vec<String> {
    with_suffix(name, prefix, is_dns1123_subdomain)
}

/// A DNS subdomain in which labels may contain and start with underscores.
#[must_use]
pub fn is_dns1123_subdomain_with_underscore(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(max_length(SUBDOMAIN_MAX_BYTES));
    }
    let label = |label: &str| {
        bounded(label.strip_prefix('_').unwrap_or(label), lower_or_digit, |byte| {
            lower_or_digit(byte) || matches!(byte, b'-' | b'_')
        })
    };
    if !name.split('.').all(label) {
        errors.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character",
            UNDERSCORE_SUBDOMAIN_REGEX,
            &["example.com"],
        ));
    }
    errors
}

/// A DNS subdomain after `*.`.
#[must_use]
pub fn is_wildcard_dns1123_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(max_length(SUBDOMAIN_MAX_BYTES));
    }
    if !name.strip_prefix("*.").is_some_and(subdomain_shape) {
        errors.push(regex_message(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
             consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!("\\*\\.{SUBDOMAIN_REGEX}"),
            &["*.example.com"],
        ));
    }
    errors
}

/// A DNS label (RFC 1123).
#[must_use]
pub fn is_dns1123_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX_BYTES {
        errors.push(max_length(LABEL_MAX_BYTES));
    }
    if !label_shape(name) {
        errors.push(if subdomain_shape(name) {
            "must not contain dots".to_owned()
        } else {
            regex_message(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character",
                LABEL_REGEX,
                &["my-name", "123-abc"],
            )
        });
    }
    errors
}

/// A DNS label (RFC 1123); a `prefix` may end where a suffix will be added.
#[must_use]
pub fn is_dns1123_label_prefixed(name: &str, prefix: bool) -> Vec<String> {
    with_suffix(name, prefix, is_dns1123_label)
}

/// A DNS label (RFC 1035): starts with a letter.
#[must_use]
pub fn is_dns1035_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX_BYTES {
        errors.push(max_length(LABEL_MAX_BYTES));
    }
    if !label_shape(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        errors.push(regex_message(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            LABEL_1035_REGEX,
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// A DNS label (RFC 1035); a `prefix` may end where a suffix will be added.
#[must_use]
pub fn is_dns1035_label_prefixed(name: &str, prefix: bool) -> Vec<String> {
    with_suffix(name, prefix, is_dns1035_label)
}

/// A name with an optional DNS subdomain and slash before it: keys of labels, annotations, finalizers.
#[must_use]
pub fn is_qualified_name(name: &str) -> Vec<String> {
    let message = || {
        regex_message(
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character",
            QUALIFIED_NAME_REGEX,
            &["MyName", "my.name", "123-abc"],
        )
    };
    let mut errors = Vec::new();
    let mut parts = name.split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return vec![format!(
            "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            message()
        )];
    }
    let local = match second {
        None => first,
        Some(local) => {
            if first.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(is_dns1123_subdomain(first).into_iter().map(|error| format!("prefix part {error}")));
            }
            local
        }
    };
    if local.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if local.len() > LABEL_MAX_BYTES {
        errors.push(format!("name part {}", max_length(LABEL_MAX_BYTES)));
    }
    if !qualified_shape(local) {
        errors.push(format!("name part {}", message()));
    }
    errors
}

/// The value of a label.
#[must_use]
pub fn is_label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX_BYTES {
        errors.push(max_length(LABEL_MAX_BYTES));
    }
    if !value.is_empty() && !qualified_shape(value) {
        errors.push(regex_message(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// A name that can be one segment of a path: what kinds without a stricter rule take (roles, bindings).
#[must_use]
pub fn is_path_segment_name(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].into_iter().filter(|part| name.contains(part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// Like `is_path_segment_name`; a `prefix` may be `.` or `..`, because a suffix will be added.
#[must_use]
pub fn is_path_segment_name_prefixed(name: &str, prefix: bool) -> Vec<String> {
    if prefix && matches!(name, "." | "..") { Vec::new() } else { is_path_segment_name(name) }
}
