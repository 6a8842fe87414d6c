//! The value of a string or bytes literal.
//!
//! Upstream: cel-go parser/unescape.go (v0.26.0).

/// Why a literal has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnescapeError {
    /// A backslash before something that means nothing.
    Escape,
    /// A code point that does not exist.
    CodePoint,
}

impl UnescapeError {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Escape => "unable to unescape string",
            Self::CodePoint => "invalid unicode code point",
        }
    }
}

/// The value of a literal without its prefix letters: quotes off, escapes resolved. In bytes `\x` and octal escapes are single
/// bytes; in strings they are code points.
pub(super) fn unescape(quoted: &str, raw: bool, bytes: bool) -> Result<Vec<u8>, UnescapeError> {
    let long = ["\"\"\"", "'''"].iter().any(|quote| quoted.starts_with(quote) && quoted.len() >= 6);
    let edge = if long { 3 } else { 1 };
    let body = quoted.get(edge..quoted.len() - edge).ok_or(UnescapeError::Escape)?;
    // Line ends are one kind, wherever the text was written.
    let body = body.replace("\r\n", "\n").replace('\r', "\n");
    if raw || !body.contains('\\') {
        return Ok(body.into_bytes());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.as_str();
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], bytes, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Resolves the escape at the start of `text`, which is behind a backslash; returns what follows it.
fn escape<'t>(text: &'t str, bytes: bool, out: &mut Vec<u8>) -> Result<&'t str, UnescapeError> {
    let mut characters = text.chars();
    let kind = characters.next().ok_or(UnescapeError::Escape)?;
    let rest = characters.as_str();
    let simple = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '\'' | '"' | '`' | '?' => kind as u8,
        'x' | 'X' => return code_point(rest, 2, 16, bytes, out),
        'u' | 'U' if bytes => return Err(UnescapeError::Escape),
        'u' => return code_point(rest, 4, 16, false, out),
        'U' => return code_point(rest, 8, 16, false, out),
        '0'..='3' => return code_point(text, 3, 8, bytes, out),
        _ => return Err(UnescapeError::Escape),
    };
    out.push(simple);
    Ok(rest)
}

fn code_point<'t>(
    text: &'t str,
    digits: usize,
    radix: u32,
    as_byte: bool,
    out: &mut Vec<u8>,
) -> Result<&'t str, UnescapeError> {
    let number = text.get(..digits).ok_or(UnescapeError::Escape)?;
    if !number.chars().all(|digit| digit.is_digit(radix)) {
        return Err(UnescapeError::Escape);
    }
    let number = u32::from_str_radix(number, radix).map_err(|_| UnescapeError::Escape)?;
    if as_byte {
        out.push(u8::try_from(number).map_err(|_| UnescapeError::Escape)?);
    } else {
        let character = char::from_u32(number).ok_or(UnescapeError::CodePoint)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(&text[digits..])
}
