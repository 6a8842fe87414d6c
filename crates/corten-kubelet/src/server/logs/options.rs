//! What part of a log is wanted.
//!
//! Upstream: `ValidatePodLogOptions` in pkg/apis/core/validation (v1.35).

use std::time::Duration;

use corten_cri::log_format::LogStream;
use jiff::Timestamp;

use crate::server::query::Query;

/// What part of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogOptions {
    /// Goes on with what is written later.
    pub(super) follow: bool,
    /// The log of the container before the present one.
    pub(super) previous: bool,
    /// Whether each line begins with its time.
    pub(super) timestamps: bool,
    /// How many lines from the end.
    pub(super) tail_lines: Option<u64>,
    /// How many bytes at most.
    pub(super) limit_bytes: Option<u64>,
    /// Nothing that was written before.
    pub(super) since: Option<Timestamp>,
    /// Only what was written to one stream.
    pub(super) stream: Option<LogStream>,
}

/// Why options cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadOptions {
    /// Some value has no meaning.
    Undecodable,
    /// Values break a rule.
    Invalid,
}

impl LogOptions {
    pub(super) fn parse(query: &Query, now: Timestamp) -> Result<Self, BadOptions> {
        let number = |name: &str| match query.find(name) {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| BadOptions::Undecodable),
        };
        let at_least = |least: i64, value: Option<i64>| match value {
            Some(value) if value < least => Err(BadOptions::Invalid),
            value => Ok(value.map(i64::unsigned_abs)),
        };
        // An older name, with a word for no limit.
        let tail = match query.find("tail") {
            Some("all") => None,
            Some(text) if !text.is_empty() => Some(text.parse::<i64>().map_err(|_| BadOptions::Undecodable)?),
            _ => number("tailLines")?,
        };
        let tail_lines = at_least(0, tail)?;
        let limit_bytes = at_least(1, number("limitBytes")?)?;
        let since_seconds = at_least(1, number("sinceSeconds")?)?;
        let since_time = match query.find("sinceTime").filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| BadOptions::Undecodable)?),
            None => None,
        };
        let since = match (since_seconds, since_time) {
            (Some(_), Some(_)) => return Err(BadOptions::Invalid),
            (Some(seconds), None) => now.checked_sub(Duration::from_secs(seconds)).ok(),
            (None, time) => time,
        };
        let stream = match query.find("stream") {
            None | Some("" | "All") => None,
            Some("Stdout") => Some(LogStream::Stdout),
            Some("Stderr") => Some(LogStream::Stderr),
            Some(_) => return Err(BadOptions::Invalid),
        };
        if stream.is_some() && tail_lines.is_some() {
            return Err(BadOptions::Invalid);
        }
        Ok(Self {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            tail_lines,
            limit_bytes,
            since,
            stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, want: Result<LogOptions, BadOptions>) {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(LogOptions::parse(&Query::parse(query), now), want, "{query}");
    }

    #[test]
    fn options_are_read_as_upstream_reads_them() {
        let none = LogOptions::default();
        check(
            "follow=true&timestamps&previous=False",
            Ok(LogOptions { follow: true, timestamps: true, ..none.clone() }),
        );
        check("tailLines=0", Ok(LogOptions { tail_lines: Some(0), ..none.clone() }));
        check("tail=all&tailLines=4", Ok(none.clone()));
        let since = Some("2026-01-01T00:00:50Z".parse().unwrap());
        check("sinceSeconds=10", Ok(LogOptions { since, ..none.clone() }));
        check(
            "sinceTime=2026-01-01T00:00:50Z&limitBytes=1",
            Ok(LogOptions { since, limit_bytes: Some(1), ..none.clone() }),
        );
        check("stream=Stderr", Ok(LogOptions { stream: Some(LogStream::Stderr), ..none }));
        check("tailLines=-1", Err(BadOptions::Invalid));
        check("limitBytes=0", Err(BadOptions::Invalid));
        check("sinceSeconds=1&sinceTime=2026-01-01T00:00:50Z", Err(BadOptions::Invalid));
        check("stream=Stdout&tailLines=1", Err(BadOptions::Invalid));
        check("tailLines=x", Err(BadOptions::Undecodable));
        check("sinceTime=now", Err(BadOptions::Undecodable));
    }
}
