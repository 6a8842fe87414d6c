//! Paths that name a field of a schema: of `fieldPath` in rules, and of selectable fields.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go ValidFieldPath (v1.35).

use super::Structural;
use crate::field::Path;

/// The schema that `path` leads to from `schema`, and the path as errors write it.
///
/// `.spec.name`, and with `allow_brackets` also `.labels['a.b']`. Errors: why it leads nowhere.
pub fn resolve_field_path<'s>(
    path: &str,
    schema: &'s Structural,
    allow_brackets: bool,
) -> Result<(Path, &'s Structural), String> {
    let (mut schema, mut resolved, mut tokens) = (schema, Path::root(), Tokens { rest: path });
    while let Some(token) = tokens.next() {
        let name = match token {
            "[" if !allow_brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let quoted = tokens.next().ok_or("unexpected end of JSON path")?;
                let is_quoted = quoted.len() >= 2 && quoted.starts_with('\'') && quoted.ends_with('\'');
                if !is_quoted {
                    return Err(format!("expected single quoted string but got {quoted}"));
                }
                unescape(&quoted[1..quoted.len() - 1])?
            }
            "." => tokens.next().ok_or("unexpected end of JSON path")?.to_owned(),
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        (resolved, schema) = step(&resolved, schema, &name)?;
        if token == "[" {
            match tokens.next() {
                Some("]") => {}
                Some(other) => return Err(format!("expected ] but got {other}")),
                None => return Err("unexpected end of JSON path".to_owned()),
            }
        }
    }
    Ok((resolved, schema))
}

fn step<'s>(path: &Path, schema: &'s Structural, name: &str) -> Result<(Path, &'s Structural), String> {
    const NOWHERE: &str = "does not refer to a valid field";
    if schema.properties.is_empty() {
        let additional = schema.field(name).ok_or(NOWHERE)?;
        return Ok((path.key(name), additional));
    }
    let property = schema.properties.get(name).ok_or(NOWHERE)?;
    Ok((path.child(name), property))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(c @ ('\'' | '\\')) => c,
            Some(other) => return Err(format!("invalid string literal: invalid escape char \\{other}")),
            // A backslash at the end escapes nothing.
            None => '\\',
        });
    }
    Ok(out)
}

/// Dots, brackets, texts in quotes, and what stands between.
struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let text = self.rest;
        let length = match text.chars().next()? {
            '.' | '[' | ']' => 1,
            '\'' => {
                let closing = text.char_indices().skip(1).find(|(at, c)| *c == '\'' && !text[..*at].ends_with('\\'));
                closing.map_or(text.len(), |(at, _)| at + 1)
            }
            _ => text.find(['.', '[', ']']).unwrap_or(text.len()),
        };
        let (token, rest) = text.split_at(length);
        self.rest = rest;
        Some(token)
    }
}
