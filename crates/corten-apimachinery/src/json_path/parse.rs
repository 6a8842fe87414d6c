//! Reads templates.

use super::node::{Node, Operator, Slice, SliceEnd};
use crate::value::Str;

/// How deep filters and unions may be nested: each is read by itself.
const DEPTH_MAX: usize = 16;
/// The longest template: longer than any that somebody wrote.
const TEXT_MAX_BYTES: usize = 16 * 1024;

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

type Result<T> = std::result::Result<T, ParseError>;

fn fail<T>(reason: impl Into<String>) -> Result<T> {
    Err(ParseError(reason.into()))
}

pub(super) fn template(text: &str) -> Result<Vec<Node>> {
    if text.len() > TEXT_MAX_BYTES {
        return fail("template is too long");
    }
    template_within(text, 0)
}

fn template_within(text: &str, depth: usize) -> Result<Vec<Node>> {
    if depth > DEPTH_MAX {
        return fail("template is nested too deeply");
    }
    let mut parser = Parser { rest: text, depth };
    let mut nodes = Vec::new();
    while !parser.rest.is_empty() {
        let end = parser.rest.find('{').unwrap_or(parser.rest.len());
        if end > 0 {
            nodes.push(Node::Text(parser.take(end).into()));
        } else {
            parser.take(1);
            nodes.push(Node::Action(parser.action()?));
        }
    }
    Ok(nodes)
}

/// Reads what stands in braces by itself.
fn action(text: &str, depth: usize) -> Result<Vec<Node>> {
    match template_within(&format!("{{{text}}}"), depth + 1)?.into_iter().next() {
        Some(Node::Action(nodes)) => Ok(nodes),
        _ => Ok(Vec::new()),
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

/// Whether a word ends here.
fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'t> Parser<'t> {
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Reads up to the closing brace.
    fn action(&mut self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            if self.rest.starts_with("[?(") {
                nodes.push(self.filter()?);
                continue;
            }
            if self.rest.starts_with("..") {
                if nodes.last() == Some(&Node::Recursive) {
                    return fail("invalid multiple recursive descent");
                }
                self.take(2);
                nodes.push(Node::Recursive);
                if self.rest.starts_with(is_word) {
                    nodes.push(self.field());
                }
                continue;
            }
            let Some(first) = self.rest.chars().next() else { return fail("unclosed action") };
            match first {
                '}' => {
                    self.take(1);
                    return Ok(nodes);
                }
                '\r' | '\n' => return fail("unclosed action"),
                ' ' | '@' | '$' => {
                    self.take(1);
                }
                '[' => self.array(&mut nodes)?,
                '"' | '\'' => nodes.push(self.quoted(first)?),
                '.' => {
                    self.take(1);
                    nodes.push(self.field());
                }
                '+' | '-' => nodes.push(self.number()?),
                c if c.is_numeric() => nodes.push(self.number()?),
                c if is_word(c) => {
                    let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
                    nodes.push(match self.take(end) {
                        "true" => Node::Bool(true),
                        "false" => Node::Bool(false),
                        word => Node::Identifier(word.into()),
                    });
                }
                c => return fail(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c))),
            }
        }
    }

    /// A name up to what ends it; a backslash takes away the meaning of the next character.
    fn field(&mut self) -> Node {
        let mut end = self.rest.len();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if is_terminator(c) {
                end = at;
                break;
            }
        }
        match self.take(end) {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "").into()),
        }
    }

    fn number(&mut self) -> Result<Node> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|c: char| c != '.' && !c.is_numeric()).map(|at| at + sign);
        let text = self.take(digits.unwrap_or(self.rest.len()));
        match (text.parse(), text.parse()) {
            (Ok(int), _) => Ok(Node::Int(int)),
            (_, Ok(float)) => Ok(Node::Float(float)),
            _ => fail(format!("cannot parse number {text}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Node> {
        let mut before = quote;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == '\n' {
                break;
            }
            if c == quote && before != '\\' {
                let text = self.take(at + 1);
                return match unescape(&text[1..at]) {
                    Some(text) => Ok(Node::Text(text)),
                    None => fail(format!("unquote string {text} error invalid syntax")),
                };
            }
            before = c;
        }
        fail("unterminated quoted string")
    }

    /// `[0]`, `[1:-1:2]`, `[*]`, `['name']`, or several of them with commas.
    fn array(&mut self, nodes: &mut Vec<Node>) -> Result<()> {
        let end = match self.rest.find([']', '\n']) {
            Some(end) if self.rest[end..].starts_with(']') => end,
            _ => return fail("unterminated array"),
        };
        let text = &self.take(end + 1)[1..end];
        if text.contains(',') {
            let parts = text.split(',').map(|part| action(&format!("[{}]", part.trim_matches(' ')), self.depth));
            nodes.push(Node::Union(parts.collect::<Result<_>>()?));
            return Ok(());
        }
        let key = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).filter(|key| !key.contains('\''));
        match key {
            Some(key) => nodes.extend(action(&format!(".{key}"), self.depth)?),
            None => nodes.push(Node::Slice(slice(if text == "*" { ":" } else { text })?)),
        }
        Ok(())
    }

    /// `[?(@.a == "b")]`, `[?(@.a)]`.
    fn filter(&mut self) -> Result<Node> {
        self.take("[?(".len());
        // A parenthesis in a text in quotes ends nothing; upstream knows of one such text.
        let (mut quote, mut is_closed, mut before, mut end) = (None, false, '(', None);
        for (at, c) in self.rest.char_indices() {
            match (c, quote) {
                ('\n', _) => break,
                ('"' | '\'', None) => quote = Some(c),
                ('"' | '\'', Some(opened)) if before != '\\' && c == opened => is_closed = true,
                (')', _) if quote.is_some() == is_closed => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
            before = c;
        }
        let Some(end) = end else { return fail("unterminated filter") };
        let text = self.take(end);
        self.take(1);
        if !self.rest.starts_with(']') {
            return fail("unclosed array expect ]");
        }
        self.take(1);
        let is_sign = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let signs_at = text.find(is_sign).filter(|at| *at > 0);
        let split = signs_at.and_then(|at| {
            let length = text[at..].find(|c| !is_sign(c))?;
            Some((&text[..at], &text[at..at + length], &text[at + length..]))
        });
        let Some((left, signs, right)) = split else {
            return Ok(Node::Filter { left: action(text, self.depth)?, operator: Operator::Exists, right: Vec::new() });
        };
        let operator = match signs {
            "<" => Operator::Less,
            "<=" => Operator::LessEqual,
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterEqual,
            other => Operator::Other(other.into()),
        };
        Ok(Node::Filter { left: action(left, self.depth)?, operator, right: action(right, self.depth)? })
    }
}

fn slice(text: &str) -> Result<Slice> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number = |part: &&str| part.strip_prefix('-').unwrap_or(part).bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(is_number) {
        return fail(format!("invalid array index {text}"));
    }
    let number = |part: Option<&&str>| -> Result<Option<i64>> {
        match part {
            None | Some(&"") => Ok(None),
            Some(part) => part.parse().map(Some).or_else(|_| fail(format!("array index {part} is not a number"))),
        }
    };
    let end = match (parts.get(1), number(parts.get(1))?) {
        (None, _) => SliceEnd::BehindStart,
        (Some(_), Some(at)) => SliceEnd::At(at),
        (Some(_), None) => SliceEnd::Open,
    };
    Ok(Slice { start: number(parts.first())?, end, step: number(parts.get(2))? })
}

/// A text without its quotes, with Go's escapes.
fn unescape(text: &str) -> Option<Str> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'x' => code(&mut chars, 2)?,
            'u' => code(&mut chars, 4)?,
            'U' => code(&mut chars, 8)?,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            c @ ('\\' | '\'' | '"') => c,
            _ => return None,
        });
    }
    Some(out.into())
}

/// The character with the code of the next hexadecimal digits.
fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = chars.take(digits).collect();
    char::from_u32(u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits)?)
}
