//! Names of fields as expressions spell them.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/escaping.go (v1.35).

use std::borrow::Cow;

use crate::syntax::is_reserved;

/// Whether a variable can have this name.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let is_head = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    is_head && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) && !is_reserved(name)
}

/// `name` as expressions spell it; `None` if they cannot.
#[must_use]
pub fn escape(name: &str) -> Option<Cow<'_, str>> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_reserved(name) {
        return Some(format!("__{name}__").into());
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')) {
        return None;
    }
    if !name.contains(['-', '.', '/']) && !name.contains("__") {
        return Some(name.into());
    }
    let mut out = String::with_capacity(name.len() + 16);
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let (length, escaped) = match c {
            '_' if rest.starts_with("__") => (2, "__underscores__"),
            '.' => (1, "__dot__"),
            '-' => (1, "__dash__"),
            '/' => (1, "__slash__"),
            _ => (1, &rest[..1]),
        };
        out.push_str(escaped);
        rest = &rest[length..];
    }
    Some(out.into())
}
