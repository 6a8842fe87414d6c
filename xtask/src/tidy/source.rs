//! A Rust source as tidy sees it: the text, and the same text with comments and literals blanked out.
//!
//! Invariant: [`Source::code`] has the byte length and the line breaks of [`Source::text`], so an offset found in one
//! is valid in the other.

use std::ops::Range;

/// One file of the project. Files in other languages than Rust have `code` equal to `text`.
pub(crate) struct Source {
    pub(crate) text: String,
    /// `text` with the insides of comments, strings and character literals replaced by spaces.
    pub(crate) code: String,
    /// Byte ranges of items under `#[cfg(test)]`.
    test_ranges: Vec<Range<usize>>,
}

impl Source {
    pub(crate) fn new(path: &str, text: String) -> Self {
        if !path.ends_with(".rs") {
            return Self { code: text.clone(), text, test_ranges: Vec::new() };
        }
        let code = mask(&text);
        let test_ranges = find_test_ranges(&code);
        Self { text, code, test_ranges }
    }

    /// The line of a byte offset, counted from one.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// The first line that contains `needle`, or line 1.
    pub(crate) fn line_of(&self, needle: &str) -> usize {
        self.text.find(needle).map_or(1, |offset| self.line_at(offset))
    }

    /// Whether the offset lies in an item that only tests compile.
    pub(crate) fn is_test_code(&self, offset: usize) -> bool {
        self.test_ranges.iter().any(|range| range.contains(&offset))
    }

    /// Offsets in `code` where `path` (an identifier, or several joined by `::`) stands on its own.
    pub(crate) fn find_path<'a>(&'a self, path: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(path).filter_map(move |(at, _)| {
            let before = self.code[..at].bytes().next_back();
            let after = self.code[at + path.len()..].bytes().next();
            let stands_alone = !before.is_some_and(is_ident_byte) && !after.is_some_and(is_ident_byte);
            stands_alone.then_some(at)
        })
    }

    /// Every path that a `use` brings in, groups taken apart: `use a::{b, c::d as e};` gives `a::b` and `a::c::d`.
    pub(crate) fn use_paths(&self) -> Vec<(usize, String)> {
        let mut paths = Vec::new();
        for at in self.find_path("use") {
            // `+ use<'a>` in a signature captures lifetimes and imports nothing.
            let rest = &self.code[at + 3..];
            if rest.trim_start().starts_with('<') {
                continue;
            }
            if let Some(end) = rest.find(';') {
                expand_use_tree(&rest[..end], "", &mut |path| paths.push((at, path)));
            }
        }
        paths
    }
}

pub(crate) fn is_ident_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

fn expand_use_tree(tree: &str, prefix: &str, found: &mut dyn FnMut(String)) {
    let tree = tree.trim().trim_start_matches("::");
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        if !name.is_empty() {
            found(format!("{prefix}{name}"));
        }
        return;
    };
    let inner = tree[open + 1..].strip_suffix('}').unwrap_or(&tree[open + 1..]);
    let prefix = format!("{prefix}{}", &tree[..open]);
    for part in split_top_level(inner, b',') {
        expand_use_tree(&inner[part], &prefix, found);
    }
}

/// Ranges between the separators that stand outside of any bracket.
pub(crate) fn split_top_level(code: &str, separator: u8) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ if byte == separator && depth == 0 => {
                parts.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(start..code.len());
    parts
}

/// The offset behind the bracket that closes the one at `open`, or the end of the code.
pub(crate) fn end_of_block(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn find_test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, opening) in code.match_indices("#[cfg(").chain(code.match_indices("#![cfg(")) {
        let condition_end = end_of_block(code, at + opening.len() - 1);
        let condition = &code[at..condition_end];
        let names_test = condition.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "test");
        if !names_test || condition.contains("not(") {
            continue;
        }
        if opening.starts_with("#!") {
            ranges.push(0..code.len());
            continue;
        }
        // The item ends with its block, or with a semicolon when it has none.
        let body = condition_end + 1;
        let end = code[body..].bytes().position(|byte| byte == b'{' || byte == b';').map_or(code.len(), |offset| {
            let stop = body + offset;
            if code.as_bytes()[stop] == b'{' { end_of_block(code, stop) } else { stop + 1 }
        });
        ranges.push(at..end);
    }
    ranges
}

/// Blanks the insides of comments and literals.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (end, keep) = if rest.starts_with(b"//") {
            (at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()), 0)
        } else if rest.starts_with(b"/*") {
            (end_of_block_comment(bytes, at), 0)
        } else if rest[0] == b'"' {
            (end_of_string(bytes, at), 1)
        } else if rest[0] == b'\'' {
            (end_of_char(bytes, at), 1)
        } else if let Some(end) = end_of_raw_string(bytes, at) {
            (end, 0)
        } else {
            at += 1;
            continue;
        };
        // The quotes stay: they show that a literal stood there.
        let inside = (at + keep).min(end)..end.saturating_sub(keep).max(at + keep);
        for byte in &mut out[inside] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("only ASCII spaces were written, and over whole characters")
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A quote opens a character literal or a lifetime; the latter has no closing quote one character further on.
fn end_of_char(bytes: &[u8], start: usize) -> usize {
    if bytes.get(start + 1) == Some(&b'\\') {
        let close = bytes.iter().skip(start + 3).position(|&byte| byte == b'\'');
        return close.map_or(bytes.len(), |offset| start + 3 + offset + 1);
    }
    let width = match bytes.get(start + 1) {
        Some(byte) if *byte >= 0xf0 => 4,
        Some(byte) if *byte >= 0xe0 => 3,
        Some(byte) if *byte >= 0xc0 => 2,
        _ => 1,
    };
    if bytes.get(start + 1 + width) == Some(&b'\'') { start + width + 2 } else { start + 1 }
}

/// `r"..."`, `r#"..."#` and their `b` and `c` forms; a raw identifier such as `r#type` is none.
fn end_of_raw_string(bytes: &[u8], start: usize) -> Option<usize> {
    if start > 0 && is_ident_byte(bytes[start - 1]) {
        return None;
    }
    let letters = if matches!(bytes[start], b'b' | b'c') { 1 } else { 0 };
    if bytes.get(start + letters) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[start + letters + 1..].iter().take_while(|&&byte| byte == b'#').count();
    let open = start + letters + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let closing: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let length = bytes[open + 1..].windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + closing.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_mask(text: &str, want: &str) {
        assert_eq!(mask(text), want);
    }

    #[test]
    fn blanks_comments_and_literals() {
        check_mask("a // b\nc", "a     \nc");
        check_mask("a /* b /* c */ d */ e", "a                   e");
        check_mask(r#"f("x\"y")"#, r#"f("    ")"#);
        check_mask("('x', '\\'', '\\u{41}')", "(' ', '  ', '      ')");
        check_mask("let a: &'static str;", "let a: &'static str;");
        check_mask("r#type + r#\"x\"y\"# + br\"z\"", "r#type +          +      ");
    }

    #[test]
    fn keeps_offsets_when_a_literal_is_not_closed() {
        for text in ["\"abc", "'\\", "/* a", "r#\"a\"", "'"] {
            assert_eq!(mask(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn takes_use_groups_apart() {
        let source = Source::new("a.rs", "use a::{self, b::{c, d as e}, f};\nuse ::g::h;".to_owned());
        let paths: Vec<String> = source.use_paths().into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["a::self", "a::b::c", "a::b::d", "a::f", "g::h"]);
    }

    #[test]
    fn knows_test_code() {
        let source = Source::new(
            "a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(not(test))]\nfn c() {}\n#[cfg(any(test, x))]\nmod d;\nfn e() {}".to_owned(),
        );
        let is_test = |name: &str| source.is_test_code(source.code.find(name).unwrap());
        assert!(!is_test("fn a"));
        assert!(is_test("fn b"));
        assert!(!is_test("fn c"));
        assert!(is_test("mod d"));
        assert!(!is_test("fn e"));
    }
}
