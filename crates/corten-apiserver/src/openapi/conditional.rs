//! What the conditions of a request come to, as Go's file server decides it: whether the client has the document already, and
//! whether it has a part of it.
//!
//! Upstream: `ServeContent` and `checkPreconditions` of Go's net/http (fs.go), by which k8s.io/kube-openapi/pkg/handler and handler3 answer (v1.35).

use http::{HeaderMap, HeaderName, Method, header};
use jiff::{Timestamp, fmt::strtime, tz::Offset};

/// How HTTP writes times.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// A time as HTTP writes it.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime(HTTP_DATE).to_string()
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// The document is sent, or of it what this header asks for, if it is not empty.
    Send(&'a str),
    /// The client has it.
    NotModified,
    /// The client wants another one.
    Failed,
}

/// What becomes of a request for the document with this tag, which is as it is since `modified`. Whoever names tags means these.
pub(super) fn check<'a>(method: &Method, headers: &'a HeaderMap, etag: &str, modified: Timestamp) -> Outcome<'a> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_wanted = match header(header::IF_MATCH) {
        "" => seconds(header(header::IF_UNMODIFIED_SINCE)).is_none_or(|since| modified.as_second() <= since),
        tags => names(tags, |tag| tag == etag),
    };
    if !is_wanted {
        return Outcome::Failed;
    }
    match header(header::IF_NONE_MATCH) {
        "" => {
            let since = seconds(header(header::IF_MODIFIED_SINCE)).filter(|_| is_read);
            if since.is_some_and(|since| modified.as_second() <= since) {
                return Outcome::NotModified;
            }
        }
        tags if names(tags, |tag| bare(tag) == bare(etag)) => {
            return if is_read { Outcome::NotModified } else { Outcome::Failed };
        }
        _ => {}
    }
    let is_same = match header(header::IF_RANGE) {
        "" => true,
        same => match tag(same) {
            Some((tag, _)) => tag == etag,
            None => seconds(same) == Some(modified.as_second()),
        },
    };
    // Who has a part of another one gets this as a whole.
    Outcome::Send(if is_same || !is_read { header(header::RANGE) } else { "" })
}

/// Whether one of `tags` fits. What stands behind something that is no tag does not count.
fn names(tags: &str, fits: impl Fn(&str) -> bool) -> bool {
    let mut rest = tags;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.starts_with('*') {
            return true;
        }
        let Some((tag, after)) = tag(rest) else { return false };
        if fits(tag) {
            return true;
        }
        rest = after;
    }
}

/// The tag that a text begins with, and what follows it.
fn tag(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_matches([' ', '\t']);
    let quoted = bare(text).strip_prefix('"')?;
    let is_of_tag = |c: char| c == '!' || ('#'..='~').contains(&c) || c >= '\u{80}';
    let end = quoted.find(|c| !is_of_tag(c)).filter(|end| quoted[*end..].starts_with('"'))?;
    Some(text.split_at(text.len() - quoted.len() + end + 1))
}

/// A tag without what marks it as a weak one.
fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The time that a header has, in whole seconds.
fn seconds(text: &str) -> Option<i64> {
    let parts = strtime::parse(HTTP_DATE, text).and_then(|parts| parts.to_datetime()).ok()?;
    Offset::UTC.to_timestamp(parts).ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Fri, 02 Jan 2026 03:04:05 GMT";
    const BEFORE: &str = "Fri, 02 Jan 2026 03:04:04 GMT";
    const AFTER: &str = "Sat, 03 Jan 2026 03:04:05 GMT";

    fn outcome(method: &Method, headers: &[(HeaderName, &str)]) -> String {
        let modified: Timestamp = "2026-01-02T03:04:05.9Z".parse().unwrap();
        assert_eq!(http_date(modified), MODIFIED);
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        match check(method, &headers, "\"a\"", modified) {
            Outcome::Send(range) => format!("send {range}").trim().to_owned(),
            Outcome::NotModified => "known".to_owned(),
            Outcome::Failed => "failed".to_owned(),
        }
    }

    /// Only the bare tag was known: who names several, or a weak one as caches make of them, got megabytes anew.
    #[test]
    fn a_tag_is_known_in_every_form() {
        for (tags, want, want_strong) in [
            ("\"a\"", true, true),
            ("W/\"a\"", true, false),
            ("*", true, true),
            ("\"b\", W/\"a\"", true, false),
            (" ,\"b\",\"a\"", true, true),
            ("\"b\", *", true, true),
            ("\"b\"", false, false),
            ("a", false, false),
            ("\"a", false, false),
            ("b, \"a\"", false, false),
            ("\"b c\", \"a\"", false, false),
            ("W/a", false, false),
        ] {
            let known = outcome(&Method::GET, &[(header::IF_NONE_MATCH, tags)]);
            assert_eq!(known, if want { "known" } else { "send" }, "{tags}");
            let wanted = outcome(&Method::GET, &[(header::IF_MATCH, tags)]);
            assert_eq!(wanted, if want_strong { "send" } else { "failed" }, "{tags}");
        }
        assert_eq!(outcome(&Method::POST, &[(header::IF_NONE_MATCH, "*")]), "failed");
    }

    #[test]
    fn what_has_not_changed_since_is_known() {
        for (since, modified, unmodified) in [
            (MODIFIED, "known", "send"),
            (AFTER, "known", "send"),
            (BEFORE, "send", "failed"),
            ("2026-01-02T03:04:05Z", "send", "send"),
            ("", "send", "send"),
        ] {
            assert_eq!(outcome(&Method::GET, &[(header::IF_MODIFIED_SINCE, since)]), modified, "{since}");
            assert_eq!(outcome(&Method::GET, &[(header::IF_UNMODIFIED_SINCE, since)]), unmodified, "{since}");
            assert_eq!(outcome(&Method::POST, &[(header::IF_MODIFIED_SINCE, since)]), "send", "{since}");
        }
        // Tags say more.
        let both = [(header::IF_NONE_MATCH, "\"b\""), (header::IF_MODIFIED_SINCE, MODIFIED)];
        assert_eq!(outcome(&Method::GET, &both), "send");
    }

    #[test]
    fn a_part_is_sent_of_the_document_that_the_client_has() {
        for (same, want) in [
            ("", "send bytes=0-1"),
            ("\"a\"", "send bytes=0-1"),
            (MODIFIED, "send bytes=0-1"),
            ("W/\"a\"", "send"),
            ("\"b\"", "send"),
            (AFTER, "send"),
            ("a", "send"),
        ] {
            let headers = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, same)];
            assert_eq!(outcome(&Method::HEAD, &headers), want, "{same}");
            assert_eq!(outcome(&Method::POST, &headers), "send bytes=0-1", "{same}");
        }
    }
}
