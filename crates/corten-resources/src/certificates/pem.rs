//! Blocks of PEM, found as Go finds them: what is none is passed over.
//!
//! Upstream: encoding/pem Decode (Go 1.25).

use base64::Engine as _;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'t> {
    /// What stands in its first line.
    pub(super) ty: &'t str,
    /// Whether there is anything between that line and the content.
    pub(super) has_headers: bool,
    /// The content.
    pub(super) bytes: Vec<u8>,
}

/// The blocks of a text, in order.
#[derive(Debug, Clone)]
pub(super) struct Blocks<'t> {
    rest: &'t str,
}

/// The blocks of a text, in order.
pub(super) fn blocks(text: &str) -> Blocks<'_> {
    Blocks { rest: text }
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

impl<'t> Iterator for Blocks<'t> {
    type Item = Block<'t>;

    fn next(&mut self) -> Option<Block<'t>> {
        // Each turn passes a first line, so that the loop ends with the text.
        loop {
            let rest = self.rest;
            let begin = if rest.starts_with(BEGIN) { 0 } else { rest.find("\n-----BEGIN ")? + 1 };
            let (line, behind) = split_line(&rest[begin + BEGIN.len()..]);
            self.rest = behind;
            if let Some((block, behind)) = line.strip_suffix(DASHES).and_then(|ty| content(ty, behind)) {
                self.rest = behind;
                return Some(block);
            }
        }
    }
}

/// The first line, without blanks at its end, and what is behind it.
fn split_line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    (line.trim_end_matches([' ', '\t', '\r']), rest)
}

fn content<'t>(ty: &'t str, text: &'t str) -> Option<(Block<'t>, &'t str)> {
    let (mut body, mut has_headers) = (text, false);
    while let (line, behind) = split_line(body)
        && line.contains(':')
    {
        (body, has_headers) = (behind, true);
    }
    let (base64, rest) = match body.strip_prefix(END) {
        Some(rest) if !has_headers => ("", rest),
        _ => body.split_once("\n-----END ")?,
    };
    let (line, rest) = split_line(rest.strip_prefix(ty)?.strip_prefix(DASHES)?);
    if !line.is_empty() {
        return None;
    }
    let clean: String = base64.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(clean).ok()?;
    Some((Block { ty, has_headers, bytes }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_things() {
        let text = "words\n-----BEGIN A-----\nAQI=\n-----END A-----\n-----BEGIN B-----\n!\n-----END B-----\nx: y\n\
                    -----BEGIN C D----- \r\nK: v\n\nAw\t==\r\n-----END C D-----\n-----BEGIN E-----\n-----END E-----";
        let found: Vec<(&str, bool, Vec<u8>)> =
            blocks(text).map(|block| (block.ty, block.has_headers, block.bytes)).collect();
        assert_eq!(found, [("A", false, vec![1, 2]), ("C D", true, vec![3]), ("E", false, vec![])]);
    }

    #[test]
    fn what_is_no_block_is_passed_over() {
        for text in [
            "",
            "-----BEGIN",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAQI=\n-----END B-----",
            "x-----BEGIN A-----\n-----END A-----",
            "-----BEGIN A-----\n-----END A----- x",
        ] {
            assert_eq!(blocks(text).next(), None, "{text}");
        }
    }
}
