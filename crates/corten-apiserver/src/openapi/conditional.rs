//! Whether a client has a document already, as Go's file server decides it.
//!
//! Upstream: `ServeContent` of Go's net/http, by which k8s.io/kube-openapi/pkg/handler and handler3 answer (v1.35).

use http::header;
use jiff::{Timestamp, fmt::strtime, tz::Offset};

use crate::request::Request;

/// How HTTP writes times.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// A time as HTTP writes it.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime(HTTP_DATE).to_string()
}

/// Whether the client has the document with this tag, which is as it is since `modified`. Whoever names tags means these.
pub(super) fn has_it(request: &Request, etag: &str, modified: Timestamp) -> bool {
    match request.header(header::IF_NONE_MATCH) {
        "" => is_newer(request.header(header::IF_MODIFIED_SINCE), modified),
        tags => names(tags, etag),
    }
}

/// Whether one of `tags` is `etag`, be it a weak one. What stands behind something that is no tag does not count.
fn names(tags: &str, etag: &str) -> bool {
    let mut rest = tags;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.starts_with('*') {
            return true;
        }
        let Some(quoted) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"') else { return false };
        let is_of_tag = |c: char| c == '!' || ('#'..='~').contains(&c) || c >= '\u{80}';
        let Some(end) = quoted.find(|c| !is_of_tag(c)).filter(|end| quoted[*end..].starts_with('"')) else {
            return false;
        };
        if etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')) == Some(&quoted[..end]) {
            return true;
        }
        rest = &quoted[end + 1..];
    }
}

/// Whether the document is as it was at `since`, in whole seconds.
fn is_newer(since: &str, modified: Timestamp) -> bool {
    let since = strtime::parse(HTTP_DATE, since).and_then(|parts| parts.to_datetime());
    let since = since.and_then(|since| Offset::UTC.to_timestamp(since));
    since.is_ok_and(|since| modified.as_second() <= since.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the bare tag was known: who names several, or a weak one as caches make of them, got megabytes anew.
    #[test]
    fn a_tag_is_known_in_every_form() {
        for (tags, want) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("*", true),
            ("\"b\", W/\"a\"", true),
            (" ,\"b\",\"a\"", true),
            ("\"b\", *", true),
            ("\"b\"", false),
            ("a", false),
            ("\"a", false),
            ("b, \"a\"", false),
            ("\"b c\", \"a\"", false),
            ("W/a", false),
        ] {
            assert_eq!(names(tags, "\"a\""), want, "{tags}");
        }
    }

    #[test]
    fn what_has_not_changed_since_is_known() {
        let modified: Timestamp = "2026-01-02T03:04:05.9Z".parse().unwrap();
        assert_eq!(http_date(modified), "Fri, 02 Jan 2026 03:04:05 GMT");
        for (since, want) in [
            ("Fri, 02 Jan 2026 03:04:05 GMT", true),
            ("Sat, 03 Jan 2026 03:04:05 GMT", true),
            ("Fri, 02 Jan 2026 03:04:04 GMT", false),
            ("2026-01-02T03:04:05Z", false),
            ("", false),
        ] {
            assert_eq!(is_newer(since, modified), want, "{since}");
        }
    }
}
