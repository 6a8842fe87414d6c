//! Field selectors: `metadata.name=web,status.phase!=Running`.
//!
//! Upstream: k8s.io/apimachinery/pkg/fields/selector.go (v1.35).

use std::collections::HashMap;

use crate::value::Str;

/// What all fields have to be. Without any rule, everything is selected.
///
/// A field has one rule, however often it is named: a match costs no more for what a client says again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    field: Str,
    /// The value that was asked for, the first one if there are several: of a text, the one whose part is the least, as
    /// upstream reads the parts in their order.
    wanted: Option<Str>,
    /// Another one was asked for, too: no object has both.
    is_contradicted: bool,
    /// Sorted.
    unwanted: Vec<Str>,
}

impl Rule {
    fn any(field: Str) -> Self {
        Self { field, wanted: None, is_contradicted: false, unwanted: Vec::new() }
    }

    fn add(&mut self, value: Str, equal: bool) {
        if !equal {
            self.unwanted.push(value);
        } else if let Some(wanted) = &self.wanted {
            self.is_contradicted |= *wanted != value;
        } else {
            self.wanted = Some(value);
        }
    }

    fn matches(&self, value: &str) -> bool {
        !self.is_contradicted
            && self.wanted.as_ref().is_none_or(|wanted| wanted == value)
            && self.unwanted.binary_search_by(|unwanted| unwanted.as_str().cmp(value)).is_err()
    }
}

/// A selector that cannot be read. The text is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl Selector {
    /// Selects objects whose `field` has `value`.
    pub fn one(field: impl Into<Str>, value: impl Into<Str>) -> Self {
        Self(vec![Rule { wanted: Some(value.into()), ..Rule::any(field.into()) }])
    }

    /// Selects objects each of whose fields has the value, or has it not: (field, value, whether it has to).
    pub fn new(requirements: impl IntoIterator<Item = (Str, Str, bool)>) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        let mut by_field: HashMap<Str, usize> = HashMap::new();
        for (field, value, equal) in requirements {
            let at = *by_field.entry(field).or_insert_with_key(|field| {
                rules.push(Rule::any(field.clone()));
                rules.len() - 1
            });
            rules[at].add(value, equal);
        }
        rules.iter_mut().for_each(|rule| rule.unwanted.sort_unstable());
        Self(rules)
    }

    /// Reads the text form. `\,`, `\=` and `\\` stand for the characters themselves in values.
    ///
    /// Errors: a part that compares nothing, or a value with a character that has to be escaped.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parts = split_terms(text);
        // Upstream tells of the first in this order that is wrong.
        parts.sort_unstable();
        let requirements = parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
            let unclear = || SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"));
            let at = find_operator(part).ok_or_else(unclear)?;
            let (field, rest) = part.split_at(at);
            let (value, equal) = match rest {
                _ if rest.starts_with("!=") => (&rest[2..], false),
                _ if rest.starts_with("==") => (&rest[2..], true),
                _ => (&rest[1..], true),
            };
            Ok((Str::from(field), unescape(value)?, equal))
        });
        requirements.collect::<Result<Vec<_>, _>>().map(Self::new)
    }

    /// Whether everything is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks for other fields in place of those that are asked for.
    pub fn rename(&mut self, name: impl Fn(&str) -> Option<Str>) {
        for rule in &mut self.0 {
            if let Some(name) = name(&rule.field) {
                rule.field = name;
            }
        }
    }

    /// The fields that are asked for, in the order of the requirements: of a text, that of its sorted parts.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rule| rule.field.as_str())
    }

    /// Whether an object whose fields `get` reads is selected; an unset field reads as the empty text.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|rule| rule.matches(get(&rule.field)))
    }

    /// The value that `field` must have, if the selector asks for exactly one.
    #[must_use]
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|rule| rule.field == field).and_then(|rule| rule.wanted.as_deref())
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

fn unescape(value: &str) -> Result<Str, SelectorError> {
    let mut out = Str::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(SelectorError(format!("invalid field selector: invalid escape sequence: \\{other}")));
                }
            },
            // Go writes the character as a number.
            ',' | '=' => {
                let why = format!("invalid field selector: unescaped character in value: {}", u32::from(c));
                return Err(SelectorError(why));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_their_escapes() {
        let selector = Selector::parse(r"metadata.name=a\,b\=c,status.phase!=Running,spec.x==y").unwrap();
        assert_eq!(selector.fields().collect::<Vec<_>>(), ["metadata.name", "spec.x", "status.phase"]);
        assert_eq!(selector.required_value("metadata.name"), Some("a,b=c"));
        let get = |name: &str| match name {
            "metadata.name" => "a,b=c",
            "spec.x" => "y",
            _ => "Pending",
        };
        assert!(selector.matches(get));
        assert!(!selector.matches(|_| "Running"));
        // The parts are read in their order, as upstream reads them.
        let sorted = Selector::parse("b=2,a=1,b=1,a==9").unwrap();
        assert_eq!(sorted.fields().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((sorted.required_value("a"), sorted.required_value("b")), (Some("1"), Some("1")));
    }

    #[test]
    fn what_is_said_of_one_field_is_put_together() {
        let check = |text: &str, want: bool| {
            assert_eq!(Selector::parse(text).unwrap().matches(|_| "a"), want, "{text}");
        };
        check("x=a,x==a,x!=b", true);
        check("x=a,x=b", false);
        check("x=a,x!=a", false);
        check("x!=c,x!=a,x!=b", false);
        check("x!=c,x!=d,y=a", true);
        let twice = Selector::parse("x=b,y!=c,x=a").unwrap();
        assert_eq!((twice.required_value("x"), twice.required_value("y")), (Some("a"), None));
        assert_eq!(twice.fields().collect::<Vec<_>>(), ["x", "y"]);
    }

    /// Each of thousands of names that were to be left out was compared with that of every object: here, for minutes.
    #[test]
    fn a_match_does_not_cost_what_a_selector_says() {
        let text = (0..20_000).map(|n| format!("metadata.name!=n{n}")).collect::<Vec<_>>().join(",");
        let selector = Selector::parse(&text).unwrap();
        (0..1_000_000).for_each(|_| assert!(selector.matches(|_| "n20000")));
        assert!(!selector.matches(|_| "n19999"));
    }

    #[test]
    fn bad_selectors_are_refused() {
        for (text, want) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
            ("a=1,z,b", "invalid selector: 'a=1,z,b'; can't understand 'b'"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err().to_string(), want, "{text}");
        }
        assert!(Selector::parse("").unwrap().is_empty());
    }
}
