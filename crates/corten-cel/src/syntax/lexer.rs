//! From text to tokens.
//!
//! Upstream: cel-go parser/gen/CEL.g4 (v0.26.0).

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of the text.
    End,
    /// An operator, bracket, or one of the words `in`, `true`, `false`, `null`.
    Symbol(&'static str),
    /// A name.
    Ident,
    /// A name between back quotes.
    QuotedIdent,
    /// An integer.
    Int,
    /// An integer with `u` behind it.
    Uint,
    /// A number with a fraction or exponent.
    Float,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// Nothing that can be read.
    Unknown,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// The byte at which it begins.
    pub(super) position: u32,
}

/// Longer ones first.
const SYMBOLS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%",
];

const WORDS: &[&str] = &["in", "true", "false", "null"];

/// Reads the whole text; the last token is the end. What cannot be read becomes `Unknown`, one for each stretch.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let space = rest.len() - rest.trim_start_matches(['\t', ' ', '\r', '\n', '\u{c}']).len();
        if space > 0 {
            at += space;
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (kind, length) = token(rest);
        let position = u32::try_from(at).unwrap_or(u32::MAX);
        tokens.push(Token { kind, text: &rest[..length], position });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, text: "<EOF>", position: u32::try_from(text.len()).unwrap_or(u32::MAX) });
    tokens
}

fn token(rest: &str) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    if let Some(found) = literal(rest) {
        return found;
    }
    if bytes[0] == b'\'' || bytes[0] == b'"' {
        return (Kind::Unknown, unknown(rest));
    }
    if bytes[0].is_ascii_alphabetic() || bytes[0] == b'_' {
        let length = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let word = &rest[..length];
        return match WORDS.iter().find(|known| **known == word) {
            Some(known) => (Kind::Symbol(known), length),
            None => (Kind::Ident, length),
        };
    }
    if bytes[0] == b'`' {
        let inner = bytes[1..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b' '))
            .count();
        if inner > 0 && bytes.get(inner + 1) == Some(&b'`') {
            return (Kind::QuotedIdent, inner + 2);
        }
        return (Kind::Unknown, 1);
    }
    if bytes[0].is_ascii_digit() || (bytes[0] == b'.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
        return number(bytes);
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return (Kind::Symbol(symbol), symbol.len());
    }
    (Kind::Unknown, unknown(rest))
}

/// How much cannot be read: an open text with its line; half an operator with the character that should have been its other
/// half; else one character.
fn unknown(rest: &str) -> usize {
    if rest.starts_with(['\'', '"']) {
        return rest.find('\n').map_or(rest.len(), |at| at + 1);
    }
    let count = if rest.starts_with(['|', '&', '=']) { 2 } else { 1 };
    rest.chars().take(count).map(char::len_utf8).sum()
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn number(bytes: &[u8]) -> (Kind, usize) {
    if bytes.starts_with(b"0x") {
        let hex = bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if hex > 0 {
            let length = 2 + hex;
            return if matches!(bytes.get(length), Some(b'u' | b'U')) {
                (Kind::Uint, length + 1)
            } else {
                (Kind::Int, length)
            };
        }
    }
    let whole = digits(bytes);
    let mut length = whole;
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(&bytes[length + 1..]);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(bytes.get(length + 1 + sign..).unwrap_or_default());
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    if length > whole {
        (Kind::Float, length)
    } else if matches!(bytes.get(length), Some(b'u' | b'U')) {
        (Kind::Uint, length + 1)
    } else {
        (Kind::Int, length)
    }
}

/// A string or bytes with its prefix letters, if one begins here and ends somewhere.
fn literal(rest: &str) -> Option<(Kind, usize)> {
    let bytes = rest.as_bytes();
    let (mut raw, mut kind, mut at) = (false, Kind::String, 0);
    // Upstream's grammar has the `b` first.
    if matches!(bytes[at], b'b' | b'B') {
        kind = Kind::Bytes;
        at += 1;
    }
    if matches!(bytes.get(at), Some(b'r' | b'R')) {
        raw = true;
        at += 1;
    }
    let quote = *bytes.get(at).filter(|byte| matches!(byte, b'"' | b'\''))?;
    let long = [quote; 3];
    if bytes[at..].starts_with(&long)
        && let Some(end) = end_of(bytes, at + 3, &long, raw, true)
    {
        return Some((kind, end));
    }
    end_of(bytes, at + 1, &[quote], raw, false).map(|end| (kind, end))
}

/// Behind the closing quote.
fn end_of(bytes: &[u8], from: usize, quote: &[u8], raw: bool, lines: bool) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            _ if bytes[at..].starts_with(quote) => return Some(at + quote.len()),
            b'\n' | b'\r' if !lines => return None,
            b'\\' if !raw => at += 2,
            _ => at += 1,
        }
    }
    None
}
