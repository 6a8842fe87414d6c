//! Links of HTML pages that come through a proxy: those to the page's own server lead through the proxy, too.
//!
//! Flow: body, unpacked -> start tags -> the values of attributes that are links -> body, packed as it was. All other bytes
//! stay as they are.
//! Upstream: k8s.io/apimachinery/pkg/util/proxy/transport.go (v1.35), which reads pages of any size into memory; here those
//! beyond `PAGE_BYTES_MAX`, and those packed in other ways than gzip and deflate, go on as they came.

use std::io::{self, Read as _, Write as _};

use bytes::{Bytes, BytesMut};
use corten_apiserver::response::ByteStream;
use flate2::{
    Compression,
    read::{DeflateDecoder, GzDecoder},
    write::{DeflateEncoder, GzEncoder},
};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};

/// The largest page whose links are rewritten, unpacked.
const PAGE_BYTES_MAX: usize = 8 << 20;

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

/// Whether a body of this type is a page.
pub(super) fn is_page(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == "text/html"
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Deflate,
}

/// The body with its links rewritten; `rewrite` gives what a link is to become, or `None` to keep it.
pub(super) async fn rewritten(
    headers: &mut HeaderMap,
    mut body: ByteStream,
    rewrite: impl Fn(&str) -> Option<String>,
) -> ByteStream {
    let packing = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"") => Packing::Plain,
        Some(b"gzip") => Packing::Gzip,
        Some(b"deflate") => Packing::Deflate,
        Some(_) => return body,
    };
    let mut whole = BytesMut::new();
    while whole.len() <= PAGE_BYTES_MAX {
        match body.next().await {
            Some(Ok(bytes)) => whole.extend_from_slice(&bytes),
            // What there is goes on, and then the failure.
            Some(Err(error)) => return joined(whole.freeze(), stream::once(async { Err(error) }).boxed()),
            None => {
                let page = whole.freeze();
                let changed = unpack(packing, &page).map(|page| links(&page, &rewrite));
                let sent = match changed.and_then(|page| pack(packing, &page).ok()) {
                    Some(changed) => changed,
                    None => page,
                };
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent.len()));
                return stream::once(async { Ok(sent) }).boxed();
            }
        }
    }
    joined(whole.freeze(), body)
}

fn joined(first: Bytes, rest: ByteStream) -> ByteStream {
    stream::once(async { Ok(first) }).chain(rest).boxed()
}

/// The page itself; `None` if it is packed wrongly, or too large.
fn unpack(packing: Packing, packed: &Bytes) -> Option<Bytes> {
    let read = |reader: &mut dyn io::Read| {
        let mut page = Vec::new();
        let limit = PAGE_BYTES_MAX as u64 + 1;
        reader.take(limit).read_to_end(&mut page).ok()?;
        (page.len() <= PAGE_BYTES_MAX).then(|| page.into())
    };
    match packing {
        Packing::Plain => Some(packed.clone()),
        Packing::Gzip => read(&mut GzDecoder::new(&packed[..])),
        Packing::Deflate => read(&mut DeflateDecoder::new(&packed[..])),
    }
}

fn pack(packing: Packing, page: &[u8]) -> io::Result<Bytes> {
    let packed = match packing {
        Packing::Plain => page.to_vec(),
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(page)?;
            encoder.finish()?
        }
        Packing::Deflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(page)?;
            encoder.finish()?
        }
    };
    Ok(packed.into())
}

/// The page with its links rewritten.
fn links(page: &[u8], rewrite: &impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.len() + 1_024);
    let mut at = 0;
    while let Some(start) = find(page, at, b"<") {
        out.extend_from_slice(&page[at..start]);
        at = start;
        if page[at..].starts_with(b"<!--") {
            let end = find(page, at + 4, b"-->").map_or(page.len(), |end| end + 3);
            out.extend_from_slice(&page[at..end]);
            at = end;
            continue;
        }
        if !page.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
            out.push(b'<');
            at += 1;
            continue;
        }
        let (element, end) = tag(page, at, &mut out, rewrite);
        at = end;
        if RAW.contains(&element.as_str()) {
            let end = end_tag(page, at, &element).unwrap_or(page.len());
            out.extend_from_slice(&page[at..end]);
            at = end;
        }
    }
    out.extend_from_slice(&page[at..]);
    out
}

/// Copies the start tag at `start`. Returns its element, and where it ends.
fn tag(page: &[u8], start: usize, out: &mut Vec<u8>, rewrite: &impl Fn(&str) -> Option<String>) -> (String, usize) {
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
            out.extend_from_slice(&page[copied..from]);
            out.extend_from_slice(link.as_bytes());
            copied = to;
        }
        at = next;
    }
    out.extend_from_slice(&page[copied..at]);
    (element, at)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn through_proxy(link: &str) -> Option<String> {
        link.starts_with('/').then(|| format!("/proxy{link}"))
    }

    #[track_caller]
    fn check(page: &str, want: &str) {
        let got = links(page.as_bytes(), &through_proxy);
        assert_eq!(String::from_utf8(got).unwrap(), want);
    }

    #[test]
    fn links_of_start_tags_lead_through_the_proxy() {
        check("<a href=\"/rewriteme\">test</a>", "<a href=\"/proxy/rewriteme\">test</a>");
        check("<A title='/x' HREF = '/x'>", "<A title='/x' HREF = '/proxy/x'>");
        check("<img src=/a.png alt=/b><link href=\"css/x\">", "<img src=/proxy/a.png alt=/b><link href=\"css/x\">");
        check("<p href=\"/x\">1 < 2 <b></p>", "<p href=\"/x\">1 < 2 <b></p>");
        check(
            "<form action='/a' method=post><br/><input src='/b'/>",
            "<form action='/proxy/a' method=post><br/><input src='/proxy/b'/>",
        );
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        let script = "<script src=\"/proxy/s\">if (a<b) '<a href=\"/x\">'</script><a href=\"/proxy/y\">";
        check("<script src=\"/s\">if (a<b) '<a href=\"/x\">'</script><a href=\"/y\">", script);
        for page in [
            "<!-- <a href=\"/x\"> -->",
            "<!-- <a href=\"/x\">",
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"",
            "</a href=\"/x\">",
        ] {
            check(page, page);
        }
        check("<a href=\"/x", "<a href=\"/proxy/x");
    }

    #[tokio::test]
    async fn packed_pages_are_packed_again_and_others_left_alone() {
        let page = Bytes::from_static(b"<a href=\"/x\">");
        for (encoding, packing) in [("", Packing::Plain), ("gzip", Packing::Gzip), ("deflate", Packing::Deflate)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            let packed = pack(packing, &page).unwrap();
            let body = stream::iter(packed.chunks(5).map(|part| Ok(Bytes::copy_from_slice(part))).collect::<Vec<_>>());
            let sent: Vec<Bytes> =
                rewritten(&mut headers, body.boxed(), through_proxy).await.map(Result::unwrap).collect().await;
            let sent = Bytes::from(sent.concat());
            assert_eq!(headers[header::CONTENT_LENGTH], sent.len().to_string());
            assert_eq!(unpack(packing, &sent).unwrap(), "<a href=\"/proxy/x\">");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        let body = stream::iter([Ok(page.clone())]).boxed();
        let sent: Vec<Bytes> = rewritten(&mut headers, body, through_proxy).await.map(Result::unwrap).collect().await;
        assert_eq!(sent, [page]);
    }
}
