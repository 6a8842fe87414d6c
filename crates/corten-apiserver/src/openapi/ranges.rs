//! Parts of a document, as Go's file server cuts them.
//!
//! Upstream: `ServeContent` and `parseRange` of Go's net/http (fs.go), by which k8s.io/kube-openapi/pkg/handler and handler3
//! answer (v1.35).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::response::{Reply, Response};

/// Who asks for more parts gets the whole, which costs less: each takes some 150 bytes around it, and a request has room for
/// hundreds of thousands. RFC 9110 lets servers pass over such ranges.
const PARTS_MAX: usize = 100;

/// As long as those that Go draws by lot.
const BOUNDARY_CHARS: usize = 60;

/// Consecutive bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start: usize,
    length: usize,
}

/// Why no part can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unsatisfiable {
    #[error("invalid range")]
    Invalid,
    #[error("invalid range: failed to overlap")]
    NoOverlap,
}

/// The answer that has of `body` what `ranges` asks for, or all of it if that is empty. `hash`, in hexadecimal digits, is that of
/// the document: what stands between parts is made of it.
pub(super) fn cut(body: &Bytes, ranges: &str, content_type: &'static str, hash: &str) -> Reply {
    let size = body.len();
    let parts = match parse(ranges, size) {
        Ok(parts) => parts,
        // Nothing can be cut from nothing.
        Err(Unsatisfiable::NoOverlap) if size == 0 => Vec::new(),
        Err(error) => {
            let mut reply = Reply::text(StatusCode::RANGE_NOT_SATISFIABLE, format!("{error}\n"));
            reply.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if error == Unsatisfiable::NoOverlap {
                insert(&mut reply.headers, header::CONTENT_RANGE, &format!("bytes */{size}"));
            }
            return reply;
        }
    };
    let is_more = parts.len() > PARTS_MAX || parts.iter().map(|part| part.length).sum::<usize>() > size;
    let raw = |code, body| Reply::new(Response::Raw { code, content_type, body });
    let mut reply = match &*parts {
        [] => raw(StatusCode::OK, body.clone()),
        _ if is_more => raw(StatusCode::OK, body.clone()),
        [part] => {
            let mut reply = raw(StatusCode::PARTIAL_CONTENT, part.of(body));
            insert(&mut reply.headers, header::CONTENT_RANGE, &part.place(size));
            reply
        }
        parts => {
            let boundary = &hash[..hash.len().min(BOUNDARY_CHARS)];
            let mut reply = raw(StatusCode::PARTIAL_CONTENT, multipart(body, parts, content_type, boundary));
            insert(&mut reply.headers, header::CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
            reply
        }
    };
    reply.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    reply
}

impl Part {
    fn of(self, body: &Bytes) -> Bytes {
        body.slice(self.start..self.start + self.length)
    }

    /// Where it is. One without bytes ends before it begins, as Go has it.
    fn place(self, size: usize) -> String {
        let end = (self.start + self.length) as i64 - 1;
        format!("bytes {}-{end}/{size}", self.start)
    }
}

fn multipart(body: &Bytes, parts: &[Part], content_type: &str, boundary: &str) -> Bytes {
    let mut out = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let line_end = if index == 0 { "" } else { "\r\n" };
        let place = part.place(body.len());
        let head = format!("{line_end}--{boundary}\r\nContent-Range: {place}\r\nContent-Type: {content_type}\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&part.of(body));
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out.into()
}

/// The parts that a header asks for, of `size` bytes: none if it is empty.
fn parse(header: &str, size: usize) -> Result<Vec<Part>, Unsatisfiable> {
    if header.is_empty() {
        return Ok(Vec::new());
    }
    let ranges = header.strip_prefix("bytes=").ok_or(Unsatisfiable::Invalid)?;
    let number = |text: &str| -> Result<usize, Unsatisfiable> {
        // Go's numbers have 64 bits and a sign.
        let number: i64 = text.parse().map_err(|_| Unsatisfiable::Invalid)?;
        usize::try_from(number).map_err(|_| Unsatisfiable::Invalid)
    };
    let (mut parts, mut is_behind) = (Vec::new(), false);
    for range in ranges.split(',').map(trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').ok_or(Unsatisfiable::Invalid)?;
        let (first, last) = (trim(first), trim(last));
        if first.is_empty() {
            // So many at the end.
            if last.starts_with('-') {
                return Err(Unsatisfiable::Invalid);
            }
            let length = number(last)?.min(size);
            parts.push(Part { start: size - length, length });
            continue;
        }
        let start = number(first)?;
        if start >= size {
            is_behind = true;
            continue;
        }
        let last = if last.is_empty() { size - 1 } else { number(last)? };
        if last < start {
            return Err(Unsatisfiable::Invalid);
        }
        parts.push(Part { start, length: last.min(size - 1) - start + 1 });
    }
    if parts.is_empty() && is_behind { Err(Unsatisfiable::NoOverlap) } else { Ok(parts) }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_go_reads_them() {
        let part = |start, length| Part { start, length };
        let (invalid, behind) = (Err(Unsatisfiable::Invalid), Err(Unsatisfiable::NoOverlap));
        for (header, want) in [
            ("", Ok(vec![])),
            ("bytes=", Ok(vec![])),
            ("bytes=0-4", Ok(vec![part(0, 5)])),
            ("bytes=2-", Ok(vec![part(2, 8)])),
            ("bytes=-5", Ok(vec![part(5, 5)])),
            ("bytes=-50", Ok(vec![part(0, 10)])),
            ("bytes=-0", Ok(vec![part(10, 0)])),
            ("bytes=3-50", Ok(vec![part(3, 7)])),
            ("bytes= 0 - 0 ,\t9-9,", Ok(vec![part(0, 1), part(9, 1)])),
            ("bytes=0-0,20-30", Ok(vec![part(0, 1)])),
            ("bytes=+1-2", Ok(vec![part(1, 2)])),
            ("bytes=10-", behind.clone()),
            ("bytes=20-30,40-", behind),
            ("bytes=5-4", invalid.clone()),
            ("bytes=x-4", invalid.clone()),
            ("bytes=4-x", invalid.clone()),
            ("bytes=4", invalid.clone()),
            ("bytes=-", invalid.clone()),
            ("bytes=--1", invalid.clone()),
            ("bytes=99999999999999999999-", invalid.clone()),
            ("lines=1-2", invalid.clone()),
            ("0-4", invalid),
        ] {
            assert_eq!(parse(header, 10), want, "{header}");
        }
    }

    #[track_caller]
    fn check(ranges: &str, code: u16, place: &str, body: &str) {
        let reply = cut(&Bytes::from_static(b"0123456789"), ranges, "text/x", "AB");
        let Response::Raw { code: got, body: sent, .. } = &reply.response else { panic!("{reply:?}") };
        let header = |name| reply.headers.get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap());
        let sent = std::str::from_utf8(sent).unwrap();
        assert_eq!((got.as_u16(), header(header::CONTENT_RANGE), sent), (code, place, body), "{ranges}");
        assert_eq!(header(header::ACCEPT_RANGES), if code == 416 { "" } else { "bytes" }, "{ranges}");
        let is_multipart = header(header::CONTENT_TYPE) == "multipart/byteranges; boundary=AB";
        assert_eq!(is_multipart, body.starts_with("--AB"), "{ranges}");
    }

    #[test]
    fn a_client_gets_the_parts_that_it_asks_for() {
        check("", 200, "", "0123456789");
        check("bytes=1-3", 206, "bytes 1-3/10", "123");
        check("bytes=-0", 206, "bytes 10-9/10", "");
        check("bytes=10-", 416, "bytes */10", "invalid range: failed to overlap\n");
        check("bytes=b", 416, "", "invalid range\n");
        let head = |place| format!("--AB\r\nContent-Range: bytes {place}/10\r\nContent-Type: text/x\r\n\r\n");
        check("bytes=0-1,-1", 206, "", &format!("{}01\r\n{}9\r\n--AB--\r\n", head("0-1"), head("9-9")));
        // Who asks for more than there is gets what there is.
        check("bytes=0-,0-", 200, "", "0123456789");
        check(&format!("bytes={}", "0-0,".repeat(101)), 200, "", "0123456789");
    }
}
