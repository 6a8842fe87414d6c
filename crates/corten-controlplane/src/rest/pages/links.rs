//! Finds the links of an HTML page and puts others in their place.
//!
//! The page is not taken apart further than that: start tags, their attributes, comments, and what is text whatever it looks
//! like. Bytes that are nothing of these stay as they are.

/// The attributes that are links, by element.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["formaction", "src", "usemap"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements whose content is text up to their end tag, whatever it looks like.
const RAW: &[&str] = &["iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"];

/// The page with its links rewritten; `None` if it would have more than `limit` bytes.
pub(super) fn links(page: &[u8], rewrite: &impl Fn(&str) -> Option<String>, limit: usize) -> Option<Vec<u8>> {
    let mut out = Rewritten { bytes: Vec::with_capacity(page.len() + 1_024), left: limit.checked_sub(page.len())? };
    let mut at = 0;
    while let Some(start) = find(page, at, b"<") {
        out.bytes.extend_from_slice(&page[at..start]);
        at = start;
        if page[at..].starts_with(b"<!--") {
            let end = find(page, at + 4, b"-->").map_or(page.len(), |end| end + 3);
            out.bytes.extend_from_slice(&page[at..end]);
            at = end;
            continue;
        }
        if !page.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
            out.bytes.push(b'<');
            at += 1;
            continue;
        }
        let (element, end) = tag(page, at, &mut out, rewrite)?;
        at = end;
        if RAW.contains(&element.as_str()) {
            let end = end_tag(page, at, &element).unwrap_or(page.len());
            out.bytes.extend_from_slice(&page[at..end]);
            at = end;
        }
    }
    out.bytes.extend_from_slice(&page[at..]);
    Some(out.bytes)
}

/// What has become of a page so far.
struct Rewritten {
    bytes: Vec<u8>,
    /// By how much it may still grow.
    left: usize,
}

/// Copies the start tag at `start`. Returns its element, and where it ends; `None` if the page grows too much.
fn tag(
    page: &[u8],
    start: usize,
    out: &mut Rewritten,
    rewrite: &impl Fn(&str) -> Option<String>,
) -> Option<(String, usize)> {
    let until = |from: usize, is_end: fn(u8) -> bool| {
        page[from..].iter().position(|&byte| is_end(byte)).map_or(page.len(), |length| from + length)
    };
    let mut at = until(start + 1, |byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
    let element = String::from_utf8_lossy(&page[start + 1..at]).to_ascii_lowercase();
    let wanted = LINKS.iter().find(|(name, _)| *name == element).map_or(&[][..], |(_, attributes)| attributes);
    let mut copied = start;
    loop {
        at = until(at, |byte| !byte.is_ascii_whitespace() && byte != b'/');
        match page.get(at) {
            None => break,
            Some(b'>') => {
                at += 1;
                break;
            }
            Some(_) => {}
        }
        // The name of an attribute may begin with an equals sign, but not go on with one.
        let end = until(at + 1, |byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'='));
        let name = String::from_utf8_lossy(&page[at..end]).to_ascii_lowercase();
        at = until(end, |byte| !byte.is_ascii_whitespace());
        if page.get(at) != Some(&b'=') {
            continue;
        }
        at = until(at + 1, |byte| !byte.is_ascii_whitespace());
        let (from, to, next) = match page.get(at) {
            Some(&quote @ (b'"' | b'\'')) => {
                let to = find(page, at + 1, &[quote]).unwrap_or(page.len());
                (at + 1, to, (to + 1).min(page.len()))
            }
            _ => {
                let to = until(at, |byte| byte.is_ascii_whitespace() || byte == b'>');
                (at, to, to)
            }
        };
        if wanted.contains(&name.as_str())
            && let Ok(link) = std::str::from_utf8(&page[from..to])
            && let Some(link) = rewrite(link)
        {
            out.left = (out.left + to - from).checked_sub(link.len())?;
            out.bytes.extend_from_slice(&page[copied..from]);
            out.bytes.extend_from_slice(link.as_bytes());
            copied = to;
        }
        at = next;
    }
    out.bytes.extend_from_slice(&page[copied..at]);
    Some((element, at))
}

/// Where the end tag of `element` begins.
fn end_tag(page: &[u8], from: usize, element: &str) -> Option<usize> {
    let mut at = from;
    while let Some(found) = find(page, at, b"</") {
        let name = page.get(found + 2..found + 2 + element.len());
        if name.is_some_and(|name| name.eq_ignore_ascii_case(element.as_bytes())) {
            return Some(found);
        }
        at = found + 2;
    }
    None
}

fn find(page: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    page.get(from..)?.windows(what.len()).position(|window| window == what).map(|length| from + length)
}
