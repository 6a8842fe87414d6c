//! A container's log file: its output, cut into lines of the CRI log format.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use corten_cri::log_format::{CONTENT_BYTES_MAX, LogLine, LogStream};
use jiff::Timestamp;

/// The log of one container. Without a path, output goes nowhere.
#[derive(Debug)]
pub(super) struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
    /// The beginnings of lines that are not complete: stdout, stderr.
    open: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let mut log = Self { path, file: None, open: [Vec::new(), Vec::new()] };
        log.reopen()?;
        Ok(log)
    }

    /// Opens the file anew at its path. On an error the old one stays.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.file = Some(OpenOptions::new().create(true).append(true).mode(0o640).open(path)?);
        }
        Ok(())
    }

    /// Adds what a stream said; complete lines and full pieces are written.
    pub(super) fn write(&mut self, stream: LogStream, time: Timestamp, mut bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let open = &mut self.open[stream as usize];
        let mut out = Vec::with_capacity(bytes.len() + 128);
        while !bytes.is_empty() {
            let room = CONTENT_BYTES_MAX - open.len();
            let newline = bytes[..bytes.len().min(room + 1)].iter().position(|byte| *byte == b'\n');
            let length = newline.unwrap_or(bytes.len().min(room));
            open.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            if newline.is_some() {
                bytes = &bytes[1..];
                LogLine { time, stream, partial: false, content: open }.write(&mut out);
                open.clear();
            } else if open.len() == CONTENT_BYTES_MAX && !bytes.is_empty() {
                LogLine { time, stream, partial: true, content: open }.write(&mut out);
                open.clear();
            }
        }
        file.write_all(&out)
    }

    /// Writes what each stream said after its last line: as a part of a line, so that readers show no newline which the
    /// container did not write. Upstream: containerd's `redirectLogs`.
    pub(super) fn finish(&mut self, time: Timestamp) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut out = Vec::new();
        for (open, stream) in self.open.iter_mut().zip([LogStream::Stdout, LogStream::Stderr]) {
            if !open.is_empty() {
                LogLine { time, stream, partial: true, content: open }.write(&mut out);
                open.clear();
            }
        }
        file.write_all(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(bool, usize)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::open(Some(path.clone())).unwrap();
        let time = Timestamp::UNIX_EPOCH;
        for piece in pieces {
            log.write(LogStream::Stdout, time, piece).unwrap();
        }
        log.finish(time).unwrap();
        let text = std::fs::read(path).unwrap();
        let lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| LogLine::parse(line).unwrap());
        lines.map(|line| (line.partial, line.content.len())).collect()
    }

    #[test]
    fn lines_come_in_any_pieces() {
        assert_eq!(lines(&[b"one\ntw", b"o\n\n", b"end\n"]), [(false, 3), (false, 3), (false, 0), (false, 3)]);
        assert_eq!(lines(&[]), []);
    }

    /// It was written as a whole line: logs and the message of a container that failed showed a newline that it had never
    /// written.
    #[test]
    fn an_end_without_a_newline_is_no_whole_line() {
        assert_eq!(lines(&[b"one\nend"]), [(false, 3), (true, 3)]);
        assert_eq!(lines(&[&[b'x'; CONTENT_BYTES_MAX]]), [(true, CONTENT_BYTES_MAX)]);
    }

    #[test]
    fn long_lines_are_split() {
        let long = [vec![b'x'; 50_000], b"\n".to_vec()].concat();
        let piece = CONTENT_BYTES_MAX;
        assert_eq!(lines(&[&long]), [(true, piece), (true, piece), (true, piece), (false, 50_000 - 3 * piece)]);
        let exact = [vec![b'x'; piece], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&exact]), [(false, piece)]);
        assert_eq!(lines(&[&exact[..piece], b"\n"]), [(false, piece)]);
    }

    #[test]
    fn a_reopened_log_goes_on_in_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("log"), directory.path().join("log.1"));
        let mut log = Log::open(Some(path.clone())).unwrap();
        log.write(LogStream::Stderr, Timestamp::UNIX_EPOCH, b"one\n").unwrap();
        std::fs::rename(&path, &rotated).unwrap();
        log.reopen().unwrap();
        log.write(LogStream::Stderr, Timestamp::UNIX_EPOCH, b"two\n").unwrap();
        for (path, want) in [(rotated, "one"), (path, "two")] {
            let text = std::fs::read_to_string(path).unwrap();
            assert_eq!(text, format!("1970-01-01T00:00:00.000000000Z stderr F {want}\n"));
        }
    }
}
