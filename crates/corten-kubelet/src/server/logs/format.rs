//! From lines of a log file to what a client sees.
//!
//! Upstream: k8s.io/cri-client/pkg/logs (v1.35).

use corten_cri::log_format::LogLine;

use super::options::LogOptions;

/// Turns lines into output.
#[derive(Debug)]
pub(super) struct Formatter<'a> {
    options: &'a LogOptions,
    /// Bytes that may still go out.
    bytes_left: Option<u64>,
    /// Whether the next piece begins a line of the container.
    begins_line: bool,
}

impl<'a> Formatter<'a> {
    pub(super) fn new(options: &'a LogOptions) -> Self {
        Self { options, bytes_left: options.limit_bytes, begins_line: true }
    }

    /// Appends what the client sees of one line of the file. Lines that do not follow the format are left out.
    pub(super) fn push(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let Ok(line) = LogLine::parse(raw) else { return };
        if self.options.since.is_some_and(|since| line.time < since)
            || self.options.stream.is_some_and(|stream| line.stream != stream)
        {
            return;
        }
        let start = out.len();
        if self.options.timestamps && self.begins_line {
            out.extend_from_slice(format!("{:.9} ", line.time).as_bytes());
        }
        out.extend_from_slice(line.content);
        if !line.partial {
            out.push(b'\n');
        }
        self.begins_line = !line.partial;
        if let Some(left) = &mut self.bytes_left {
            let added = (out.len() - start) as u64;
            if added > *left {
                out.truncate(start + usize::try_from(*left).unwrap_or(usize::MAX));
            }
            *left = left.saturating_sub(added);
        }
    }

    /// Whether no more may go out.
    pub(super) fn is_full(&self) -> bool {
        self.bytes_left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::query::Query;

    const LINES: &[&str] = &[
        "2026-01-01T00:00:01Z stdout P ab",
        "2026-01-01T00:00:02Z stdout F cd",
        "garbage",
        "2026-01-01T00:00:03.5Z stderr F oops",
    ];

    #[track_caller]
    fn check(query: &str, want: &str) {
        let options = LogOptions::parse(&Query::parse(query), "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let (mut formatter, mut out) = (Formatter::new(&options), Vec::new());
        LINES.iter().for_each(|line| formatter.push(line.as_bytes(), &mut out));
        assert_eq!(String::from_utf8(out).unwrap(), want, "{query}");
    }

    #[test]
    fn lines_show_what_the_container_wrote() {
        check("", "abcd\noops\n");
        check("timestamps=true", "2026-01-01T00:00:01.000000000Z abcd\n2026-01-01T00:00:03.500000000Z oops\n");
        check("stream=Stderr", "oops\n");
        check("sinceTime=2026-01-01T00:00:03Z", "oops\n");
        check("limitBytes=6", "abcd\no");
        check("limitBytes=1", "a");
    }
}
