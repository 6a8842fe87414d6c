//! Runs past the field set of a managed-fields entry that is written as the server writes them.
//!
//! Such a set is an object of objects: no spaces, no other values, no escapes but of quotes and backslashes.

/// What a field set takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) bytes: usize,
    pub(super) objects: usize,
    pub(super) depth: usize,
}

/// How far the field set reaches that `text` begins with; `None` if it is written in another way, or is none.
pub(super) fn extent(text: &[u8]) -> Option<Extent> {
    let mut at = 0;
    let (mut objects, mut depth, mut deepest) = (0, 0_usize, 0);
    loop {
        // An object begins.
        if *text.get(at)? != b'{' {
            return None;
        }
        at += 1;
        objects += 1;
        depth += 1;
        deepest = deepest.max(depth);
        if *text.get(at)? == b'}' {
            loop {
                at += 1;
                depth -= 1;
                if depth == 0 {
                    return Some(Extent { bytes: at, objects, depth: deepest });
                }
                match *text.get(at)? {
                    b'}' => {}
                    b',' => break at += 1,
                    _ => return None,
                }
            }
        }
        at += key(text.get(at..)?)?;
        if *text.get(at)? != b':' {
            return None;
        }
        at += 1;
    }
}

/// How many bytes the string takes that `text` begins with, if it is written plainly.
fn key(text: &[u8]) -> Option<usize> {
    if *text.first()? != b'"' {
        return None;
    }
    let mut at = 1;
    loop {
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if matches!(text.get(at + 1), Some(b'"' | b'\\')) => at += 2,
            // Written as escapes, or never: control characters, what means something in HTML, and two line separators.
            b'\\' | 0..=0x1f | b'<' | b'>' | b'&' | 0xe2 => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_as_the_server_writes_them_are_run_past() {
        for (text, rest, objects, depth) in [
            (r#"{}"#, "", 1, 1),
            (r#"{"f:a":{}}"#, "", 2, 2),
            (r#"{"f:a":{".":{},"f:b":{"f:c":{}}},"f:d":{}}"#, ",\"operation\":\"Update\"}", 6, 4),
            (r#"{"k:{\"name\":\"a\\b\"}":{".":{}}}"#, "}", 3, 3),
        ] {
            let whole = format!("{text}{rest}");
            assert_eq!(extent(whole.as_bytes()), Some(Extent { bytes: text.len(), objects, depth }), "{text}");
        }
    }

    #[test]
    fn other_text_is_left_to_the_decoder() {
        for text in [
            "",
            "{",
            "null",
            "[]",
            r#"{ "f:a":{}}"#,
            r#"{"f:a": {}}"#,
            r#"{"f:a":{} }"#,
            r#"{"f:a":{},}"#,
            r#"{"f:a":{}{}}"#,
            r#"{"f:a":1}"#,
            r#"{"f:a":{},"f:b":null}"#,
            r#"{"f:a"}"#,
            r#"{"f:a":}"#,
            r#"{"f:\u0061":{}}"#,
            "{\"f:\n\":{}}",
            r#"{"f:<":{}}"#,
            r#"{"f:a":{}"#,
            r#"{"f:a"#,
        ] {
            assert_eq!(extent(text.as_bytes()), None, "{text}");
        }
    }
}
