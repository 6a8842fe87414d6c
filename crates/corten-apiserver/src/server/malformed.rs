//! Requests that HTTP's parser takes and Go's server does not: nobody hears of them, not even the filters.
//!
//! Upstream: `readRequest` in net/http/server.go and `unescape` in net/url, with their words. Over HTTP/2, Go ends the stream
//! instead of answering.

use http::{Method, StatusCode, Version, header, request::Parts};

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

/// The answer to what Go's server answers itself: an expectation that it does not know, and a question about the server as
/// a whole.
///
/// Upstream: `sendExpectationFailed` and `globalOptionsHandler` in net/http/server.go.
pub(super) fn own_answer(parts: &Parts) -> Option<StatusCode> {
    let expected = parts.headers.get(header::EXPECT).map_or(&b""[..], |value| value.as_bytes());
    let is_known = expected.is_empty()
        || expected.split(|byte| b" \t,".contains(byte)).any(|word| word.eq_ignore_ascii_case(b"100-continue"));
    if parts.version <= Version::HTTP_11 && !is_known {
        return Some(StatusCode::EXPECTATION_FAILED);
    }
    (parts.method == Method::OPTIONS && parts.uri.path() == "*").then_some(StatusCode::OK)
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

    /// What was expected was passed over, and the server as a whole was not found.
    #[test]
    fn some_questions_go_answers_itself() {
        #[track_caller]
        fn check(version: Version, (method, path): (&str, &str), expected: &str, want: Option<u16>) {
            let request = Request::builder().version(version).method(method).uri(path).header(header::EXPECT, expected);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let code = own_answer(&parts).map(|code| code.as_u16());
            assert_eq!(code, want, "{version:?} {method} {path} {expected}");
        }
        let post = ("POST", "/api");
        check(Version::HTTP_11, post, "", None);
        check(Version::HTTP_11, post, "100-Continue", None);
        check(Version::HTTP_11, post, "a, 100-continue", None);
        check(Version::HTTP_11, post, "frob", Some(417));
        check(Version::HTTP_10, post, "100-continued", Some(417));
        check(Version::HTTP_2, post, "frob", None);
        check(Version::HTTP_11, ("OPTIONS", "*"), "", Some(200));
        check(Version::HTTP_2, ("OPTIONS", "*"), "", Some(200));
        check(Version::HTTP_11, ("OPTIONS", "*"), "frob", Some(417));
        check(Version::HTTP_11, ("OPTIONS", "/"), "", None);
        check(Version::HTTP_11, ("GET", "*"), "", None);
    }
}
