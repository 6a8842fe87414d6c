//! Field selectors: `metadata.name=web,status.phase!=Running`.
//!
//! Upstream: k8s.io/apimachinery/pkg/fields/selector.go (v1.35).

use crate::value::Str;

/// All terms have to hold. Without any, everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Str,
    value: Str,
    equal: bool,
}

/// A selector that cannot be read. The text is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl Selector {
    /// Selects objects whose `field` has `value`.
    pub fn one(field: impl Into<Str>, value: impl Into<Str>) -> Self {
        Self(vec![Term { field: field.into(), value: value.into(), equal: true }])
    }

    /// Reads the text form. `\,`, `\=` and `\\` stand for the characters themselves in values.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for part in split_terms(text) {
            if part.is_empty() {
                continue;
            }
            let invalid = || SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"));
            let at = find_operator(part).ok_or_else(invalid)?;
            let (field, rest) = part.split_at(at);
            let (value, equal) = match rest {
                _ if rest.starts_with("!=") => (&rest[2..], false),
                _ if rest.starts_with("==") => (&rest[2..], true),
                _ => (&rest[1..], true),
            };
            terms.push(Term { field: field.into(), value: unescape(value).ok_or_else(invalid)?, equal });
        }
        Ok(Self(terms))
    }

    /// Whether everything is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks for other fields in place of those that are asked for.
    pub fn rename(&mut self, name: impl Fn(&str) -> Option<&'static str>) {
        for term in &mut self.0 {
            if let Some(name) = name(&term.field) {
                term.field = Str::const_new(name);
            }
        }
    }

    /// The fields that are asked for.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|term| term.field.as_str())
    }

    /// Whether an object whose fields `get` reads is selected; an unset field reads as the empty text.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|term| (get(&term.field) == term.value) == term.equal)
    }

    /// The value that `field` must have, if the selector asks for exactly one.
    #[must_use]
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }
}

/// Parts between commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn find_operator(term: &str) -> Option<usize> {
    let at = term.find('=')?;
    Some(if at > 0 && term.as_bytes()[at - 1] == b'!' { at - 1 } else { at })
}

fn unescape(value: &str) -> Option<Str> {
    let mut out = Str::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            ',' | '=' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_their_escapes() {
        let selector = Selector::parse(r"metadata.name=a\,b\=c,status.phase!=Running,spec.x==y").unwrap();
        assert_eq!(selector.fields().collect::<Vec<_>>(), ["metadata.name", "status.phase", "spec.x"]);
        assert_eq!(selector.required_value("metadata.name"), Some("a,b=c"));
        let get = |name: &str| match name {
            "metadata.name" => "a,b=c",
            "spec.x" => "y",
            _ => "Pending",
        };
        assert!(selector.matches(get));
        assert!(!selector.matches(|_| "Running"));
    }

    #[test]
    fn bad_selectors_are_refused() {
        for text in ["a", "a=b=c", r"a=\x", "a,b=c"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
        assert!(Selector::parse("").unwrap().is_empty());
    }
}
