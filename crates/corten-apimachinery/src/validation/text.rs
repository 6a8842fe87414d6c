//! Identifiers, environment variables, ports, percentages, header names, numbers in a range.

use super::{inclusive_range, max_length, regex_message};
use crate::{
    field::{Error, ErrorList, Path},
    value::Value,
};

fn made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

/// An identifier of the C language.
#[must_use]
pub fn is_c_identifier(text: &str) -> Vec<String> {
    let ok = made_of(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit());
    if ok {
        return Vec::new();
    }
    vec![regex_message(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
         characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// The name of an environment variable, by the rule of before v1.30.
#[must_use]
pub fn is_env_var_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let ok = made_of(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && !text.starts_with(|first: char| first.is_ascii_digit());
    if !ok {
        errors.push(regex_message(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and \
             must not start with a digit",
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        ));
    }
    errors.extend(parent_directory(text));
    errors
}

/// The name of an environment variable: printable ASCII without `=`.
#[must_use]
pub fn is_relaxed_env_var_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.is_empty() {
        errors.push("environment variable name must be non-empty".to_owned());
    }
    if text.chars().any(|c| !matches!(c, ' '..='~') || c == '=') {
        errors.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    errors
}

/// The key of a config map or secret.
#[must_use]
pub fn is_config_map_key(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push(max_length(253));
    }
    if !made_of(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')) {
        errors.push(regex_message(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    errors.extend(parent_directory(text));
    errors
}

fn parent_directory(text: &str) -> Option<String> {
    match text {
        "." | ".." => Some(format!("must not be '{text}'")),
        _ if text.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

/// The name of a port (RFC 6335, lower case only).
#[must_use]
pub fn is_port_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 15 {
        errors.push(max_length(15));
    }
    if !made_of(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A number from `min` to `max`.
#[must_use]
pub fn in_range(number: i64, min: i64, max: i64) -> Vec<String> {
    if (min..=max).contains(&number) { Vec::new() } else { vec![inclusive_range(min, max)] }
}

/// A port that can be connected to.
#[must_use]
pub fn is_port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65_535)
}

/// A user id.
#[must_use]
pub fn is_user_id(uid: i64) -> Vec<String> {
    in_range(uid, 0, i64::from(u32::MAX))
}

/// A group id.
#[must_use]
pub fn is_group_id(gid: i64) -> Vec<String> {
    in_range(gid, 0, i64::from(u32::MAX))
}

/// A whole percentage: `25%`.
#[must_use]
pub fn is_percent(text: &str) -> Vec<String> {
    if text.strip_suffix('%').is_some_and(|digits| made_of(digits, |byte| byte.is_ascii_digit())) {
        return Vec::new();
    }
    vec![regex_message(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// The name of an HTTP header.
#[must_use]
pub fn is_http_header_name(text: &str) -> Vec<String> {
    if made_of(text, |byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![regex_message(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A name below a domain, such as `acme.io/foo`: what names a controller.
#[must_use]
pub fn validate_domain_prefixed_path(text: &str, path: &Path) -> ErrorList {
    if text.is_empty() {
        return Error::required(path, "").into();
    }
    let Some((host, rest)) = text.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) else {
        return Error::invalid(path, text, "must be a domain-prefixed path (such as \"acme.io/foo\")").into();
    };
    let mut errors: ErrorList =
        super::is_dns1123_subdomain(host).into_iter().map(|message| Error::invalid(path, host, message)).collect();
    if !made_of(rest, |byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte)) {
        let message = regex_message("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]);
        errors.push(Error::invalid(path, rest, message));
    }
    errors
}

/// The error of a changed field that must not change; nothing if both are equal, as
/// [`semantically_equal`](crate::value::semantically_equal) has it.
#[must_use]
pub fn field_is_immutable(new: Option<&Value>, old: Option<&Value>, path: &Path) -> ErrorList {
    if crate::value::semantically_equal(new, old) {
        return ErrorList::new();
    }
    Error::invalid(path, new.cloned().unwrap_or_default(), "field is immutable").into()
}
