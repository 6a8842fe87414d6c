//! Groups that begin with a question mark: names and flags.
//!
//! Upstream: `parsePerlFlags` in Go's regexp/syntax/parse.go (1.25).

/// The flags, in the order in which they are written.
const FLAGS: &str = "imsU";

/// Writes the opening of a group, with which `text` begins: `(?:`, `(?i)`, `(?i-s:`, `(?P<name>`, `(?<name>`. Returns what
/// is behind it.
pub(super) fn group<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    for opening in ["(?P<", "(?<"] {
        if let Some(named) = text.strip_prefix(opening).filter(|named| !named.is_empty()) {
            let Some((name, tail)) = named.split_once('>') else {
                return Err(format!("invalid named capture: `{text}`"));
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(format!("invalid named capture: `{opening}{name}>`"));
            }
            // Crate `regex` wants no digit at the start.
            out.push_str(&format!("(?P<n{name}>"));
            return Ok(tail);
        }
    }
    let (mut on, mut off) = (String::new(), String::new());
    // Whether a minus sign was there, and a flag behind it.
    let (mut negates, mut negated) = (false, false);
    let body = &text["(?".len()..];
    let mut shown = text.len();
    for (at, letter) in body.char_indices() {
        shown = "(?".len() + at + letter.len_utf8();
        match letter {
            '-' if !negates => negates = true,
            ':' | ')' if negated || !negates => {
                let kept: String = FLAGS.chars().filter(|flag| on.contains(*flag) && !off.contains(*flag)).collect();
                let gone: String = FLAGS.chars().filter(|flag| off.contains(*flag)).collect();
                match (letter, kept.is_empty() && gone.is_empty()) {
                    (')', true) => {}
                    (_, true) => out.push_str("(?:"),
                    _ if gone.is_empty() => out.push_str(&format!("(?{kept}{letter}")),
                    _ => out.push_str(&format!("(?{kept}-{gone}{letter}")),
                }
                return Ok(&text[shown..]);
            }
            flag if FLAGS.contains(flag) => {
                negated |= negates;
                if negates { off.push(flag) } else { on.push(flag) }
            }
            _ => break,
        }
    }
    Err(format!("invalid or unsupported Perl syntax: `{}`", &text[..shown]))
}
