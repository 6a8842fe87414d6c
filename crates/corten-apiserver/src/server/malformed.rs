//! Requests that HTTP's parser takes and Go's server does not: nobody hears of them, not even the filters.
//!
//! Upstream: `readRequest` in net/http/server.go and `unescape` in net/url, with their words. Over HTTP/2, Go ends the stream
//! instead of answering.

use http::{Method, Version, header, request::Parts};

use crate::request::is_escaped;

/// The signs besides letters and digits that a host may have. Upstream: `validHostByte` in golang.org/x/net/http/httpguts.
const HOST_SIGNS: &[u8] = b"!$%&'()*+,-.:;=[]_~";

/// What is wrong with the head of a request, as it is answered with 400.
pub(super) fn complaint(parts: &Parts) -> Option<&'static str> {
    if !is_escaped(parts.uri.path()) {
        return Some("400 Bad Request");
    }
    if parts.version > Version::HTTP_11 {
        return None;
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version == Version::HTTP_11 && parts.method != Method::CONNECT => {
            Some("400 Bad Request: missing required Host header")
        }
        (Some(_), Some(_)) => Some("400 Bad Request: too many Host headers"),
        (Some(host), None) if !host.as_bytes().iter().all(|&byte| is_of_host(byte)) => {
            Some("400 Bad Request: malformed Host header")
        }
        _ => None,
    }
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || HOST_SIGNS.contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// All of these were answered as if nothing were wrong.
    #[test]
    fn what_go_does_not_take_is_refused() {
        #[track_caller]
        fn check(version: Version, path: &str, hosts: &[&str], want: Option<&str>) {
            let mut request = Request::builder().version(version).uri(path);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let want = want.map(|why| format!("400 Bad Request{why}"));
            assert_eq!(complaint(&parts), want.as_deref(), "{version:?} {path} {hosts:?}");
        }
        let one = &["localhost:6443"];
        check(Version::HTTP_11, "/api", one, None);
        check(Version::HTTP_11, "/api", &["[::1]:6443"], None);
        check(Version::HTTP_11, "/api", &[], Some(": missing required Host header"));
        check(Version::HTTP_10, "/api", &[], None);
        check(Version::HTTP_2, "/api", &[], None);
        check(Version::HTTP_11, "/api", &["a", "a"], Some(": too many Host headers"));
        check(Version::HTTP_11, "/api", &["a b"], Some(": malformed Host header"));
        check(Version::HTTP_11, "/api/%2Fv1%e2?x=%zz", one, None);
        for path in ["/api/%zz", "/api/%", "/api/%4", "/%%20", "/api/%2Fv1%g0"] {
            check(Version::HTTP_11, path, one, Some(""));
            check(Version::HTTP_2, path, &[], Some(""));
        }
    }
}
