//! Media types with parameters, as a `Content-Type` has them.
//!
//! Upstream: `ParseMediaType` in Go's mime, which refuses a body for a parameter that is none.

/// The media type in lower case; `None` if what stands behind it are no parameters.
pub(super) fn parse(text: &str) -> Option<String> {
    let (base, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
    let mut known: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let Some((name, value, after)) = parameter(rest) else {
            // A semicolon at the end is no error.
            if rest.trim() == ";" {
                break;
            }
            return None;
        };
        match known.iter().find(|(other, _)| *other == name) {
            Some((_, other)) if *other != value => return None,
            Some(_) => {}
            None => known.push((name, value)),
        }
        rest = after;
    }
    Some(base.trim().to_ascii_lowercase())
}

/// The parameter that `text` begins with, and what follows it.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, rest) = token(text.strip_prefix(';')?.trim_start())?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_text(quoted)?,
        None => token(rest).map(|(value, rest)| (value.to_owned(), rest))?,
    };
    Some((name.to_ascii_lowercase(), value, rest))
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_graphic() || is_special(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// What stands before the closing quote, and what follows it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            // Only signs that need it are escaped: programs send the paths of files, too.
            '\\' => match chars.next_if(|(_, next)| is_special(*next)) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push(c),
            },
            '\r' | '\n' => return None,
            c => value.push(c),
        }
    }
    None
}

/// The `tspecials` of RFC 2045.
fn is_special(c: char) -> bool {
    "()<>@,;:\\\"/[]?=".contains(c)
}
