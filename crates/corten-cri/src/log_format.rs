//! The lines of a container's log file: `<RFC 3339 time> <stdout|stderr> <P|F> <content>`.
//!
//! `P` marks a piece of a line that is continued, `F` its last piece. Runtimes write them, kubelets read them.
//! Source: Kubernetes design proposals, CRI logging; k8s.io/cri-client, pkg/logs.

use jiff::Timestamp;

/// The longest content that a runtime puts into one line before it splits.
pub const CONTENT_BYTES_MAX: usize = 16 << 10;

/// One line of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When the content was written.
    pub time: Timestamp,
    /// Which stream it was written to.
    pub stream: LogStream,
    /// Whether the container's line goes on in a later log line of the same stream.
    pub partial: bool,
    /// What was written, without a newline.
    pub content: &'a [u8],
}

/// The streams of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output; with a terminal, everything.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that does not follow the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// The line has fewer than three fields.
    #[error("log line has no {0}")]
    Missing(&'static str),
    /// The first field is not a time.
    #[error("log line begins without a time")]
    Time,
    /// The second field names no stream.
    #[error("log line names an unknown stream")]
    Stream,
}

impl LogStream {
    /// The stream's word in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl<'a> LogLine<'a> {
    /// Reads one line, with or without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, LogFormatError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (time, rest) = field(line).ok_or(LogFormatError::Missing("time"))?;
        let (stream, rest) = field(rest).ok_or(LogFormatError::Missing("stream"))?;
        // A line of an empty content may end right after its tags.
        let (tags, content) = field(rest).unwrap_or((rest, b""));
        if tags.is_empty() {
            return Err(LogFormatError::Missing("tag"));
        }
        Ok(Self {
            time: std::str::from_utf8(time).ok().and_then(|time| time.parse().ok()).ok_or(LogFormatError::Time)?,
            stream: match stream {
                b"stdout" => LogStream::Stdout,
                b"stderr" => LogStream::Stderr,
                _ => return Err(LogFormatError::Stream),
            },
            // Further tags may follow after colons; only the first one is defined.
            partial: tags.split(|byte| *byte == b':').next() == Some(b"P"),
            content,
        })
    }

    /// Appends the line with its newline.
    pub fn write(&self, out: &mut Vec<u8>) {
        let tag = if self.partial { 'P' } else { 'F' };
        // Nine digits always, so that times have one width and sort as text.
        out.extend_from_slice(format!("{:.9} {} {tag} ", self.time, self.stream.name()).as_bytes());
        out.extend_from_slice(self.content);
        out.push(b'\n');
    }
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(content: &[u8], partial: bool) -> LogLine<'_> {
        LogLine { time: "2026-01-02T03:04:05.6Z".parse().unwrap(), stream: LogStream::Stdout, partial, content }
    }

    #[track_caller]
    fn check(text: &str, want: Result<LogLine<'_>, LogFormatError>) {
        assert_eq!(LogLine::parse(text.as_bytes()), want, "{text:?}");
    }

    #[test]
    fn lines_are_read() {
        check("2026-01-02T03:04:05.6Z stdout F a b\n", Ok(line(b"a b", false)));
        check("2026-01-02T03:04:05.600000000Z stdout P a", Ok(line(b"a", true)));
        check("2026-01-02T05:04:05.6+02:00 stdout F:x a", Ok(line(b"a", false)));
        check("2026-01-02T03:04:05.6Z stdout F \n", Ok(line(b"", false)));
        check("2026-01-02T03:04:05.6Z stdout F", Ok(line(b"", false)));
    }

    #[test]
    fn lines_that_break_the_format_are_refused() {
        check("", Err(LogFormatError::Missing("time")));
        check("2026-01-02T03:04:05.6Z", Err(LogFormatError::Missing("time")));
        check("2026-01-02T03:04:05.6Z stdout", Err(LogFormatError::Missing("stream")));
        check("2026-01-02T03:04:05.6Z stdin F a", Err(LogFormatError::Stream));
        check("yesterday stdout F a", Err(LogFormatError::Time));
        check("2026-01-02T03:04:05.6Z stdout  a", Err(LogFormatError::Missing("tag")));
    }

    #[test]
    fn a_written_line_reads_back_and_has_nanoseconds() {
        let mut out = Vec::new();
        line(b"hello", true).write(&mut out);
        assert_eq!(out, b"2026-01-02T03:04:05.600000000Z stdout P hello\n");
        assert_eq!(LogLine::parse(&out), Ok(line(b"hello", true)));
    }
}
