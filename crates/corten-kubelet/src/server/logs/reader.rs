//! Reads a log file from the wanted place, and goes on with what is written to it.
//!
//! Upstream: `ReadLogs` in k8s.io/cri-client/pkg/logs (v1.35).

use std::{
    io::{self, SeekFrom},
    os::unix::fs::MetadataExt as _,
};

use bytes::Bytes;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, BufReader},
    sync::mpsc,
};

use super::{
    changes::{Change, Changes},
    end::{ContainerEnd, is_running},
    format::Formatter,
    options::LogOptions,
};
use crate::{interfaces::LogFile, server::Parts, volumes::blocking};

/// Output is handed on in pieces of about this size.
const PIECE_BYTES: usize = 32 << 10;

/// The longest line that is read: runtimes split at 16 KiB.
const LINE_BYTES_MAX: usize = 1 << 20;

/// How much is read at once when looking for the last lines.
const BLOCK_BYTES: u64 = 64 << 10;

/// Where the output goes.
pub(super) type Sink = mpsc::Sender<io::Result<Bytes>>;

/// Sends the wanted part of `log`. It ends with the file or, following, with the container or the client.
///
/// Errors: the file cannot be read.
pub(super) async fn send(parts: &Parts, log: &LogFile, options: &LogOptions, sink: &Sink) -> io::Result<()> {
    // The watch is set before the first read, so that nothing is missed in between.
    let changes = if options.follow {
        let path = log.path.clone();
        Some(blocking(move || Changes::of(&path)).await?)
    } else {
        None
    };
    let mut file = File::open(&log.path).await?;
    seek_tail(&mut file, options.tail_lines).await?;
    let mut lines = Lines::of(file);
    let mut formatter = Formatter::new(options);
    // What is written while the last lines are read does not belong to them.
    let mut lines_left = options.tail_lines.filter(|_| !options.follow);
    if !pass(&mut lines, &mut formatter, &mut lines_left, sink).await? {
        return Ok(());
    }
    let Some(mut changes) = changes else {
        return last(&mut lines, &mut formatter, lines_left, sink).await;
    };
    let runtime = &*parts.cri.runtime;
    let mut end = ContainerEnd::of(runtime, std::sync::Arc::clone(&parts.clock), &log.container_id).await;
    let mut runs = log.is_running && is_running(runtime, &log.container_id).await;
    while runs {
        let mut replaced = false;
        tokio::select! {
            biased;
            () = sink.closed() => return Ok(()),
            change = changes.next() => replaced = change? == Change::Replaced,
            () = end.wait() => runs = false,
        }
        // To the end of the old file first, whatever has happened.
        if !pass(&mut lines, &mut formatter, &mut lines_left, sink).await? {
            return Ok(());
        }
        if replaced && let Some(file) = reopened(lines.file.get_ref(), log).await? {
            lines = Lines::of(file);
            if !pass(&mut lines, &mut formatter, &mut lines_left, sink).await? {
                return Ok(());
            }
        }
    }
    last(&mut lines, &mut formatter, lines_left, sink).await
}

/// The file that has the log's name now, if it is another one than `old`.
async fn reopened(old: &File, log: &LogFile) -> io::Result<Option<File>> {
    let new = match File::open(&log.path).await {
        Ok(new) => new,
        // Renamed, and not made anew yet: that is the next change.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let identity = async |file: &File| file.metadata().await.map(|data| (data.dev(), data.ino()));
    Ok(if identity(old).await? == identity(&new).await? { None } else { Some(new) })
}

struct Lines {
    file: BufReader<File>,
    /// The beginning of a line whose end is not written yet; nothing of one that is too long.
    pending: Vec<u8>,
    /// What comes up to the next newline belongs to a line that is too long.
    is_too_long: bool,
}

impl Lines {
    fn of(file: File) -> Self {
        Self { file: BufReader::with_capacity(PIECE_BYTES, file), pending: Vec::new(), is_too_long: false }
    }

    /// The next complete line, which `pending` holds until it is cleared; `false` at the end of the file. A line that is
    /// too long is complete as well, and empty: no file can have more of it kept than `LINE_BYTES_MAX`.
    async fn next(&mut self) -> io::Result<bool> {
        loop {
            let read = self.file.fill_buf().await?;
            if read.is_empty() {
                return Ok(false);
            }
            let newline = read.iter().position(|byte| *byte == b'\n');
            let length = newline.map_or(read.len(), |at| at + 1);
            self.is_too_long |= self.pending.len() + length > LINE_BYTES_MAX;
            if self.is_too_long {
                self.pending.clear();
            } else {
                self.pending.extend_from_slice(&read[..length]);
            }
            self.file.consume(length);
            if newline.is_some() {
                self.is_too_long = false;
                return Ok(true);
            }
        }
    }
}

/// Sends everything up to the end of the file; `false` if no more is wanted.
async fn pass(
    lines: &mut Lines,
    formatter: &mut Formatter<'_>,
    lines_left: &mut Option<u64>,
    sink: &Sink,
) -> io::Result<bool> {
    let mut out = Vec::new();
    let mut more = true;
    while more && *lines_left != Some(0) && lines.next().await? {
        if !lines.pending.is_empty() {
            formatter.push(&lines.pending, &mut out);
        }
        lines.pending.clear();
        *lines_left = lines_left.map(|left| left - 1);
        more = !formatter.is_full();
        if out.len() >= PIECE_BYTES {
            more &= hand_on(&mut out, sink).await;
        }
    }
    Ok(hand_on(&mut out, sink).await && more && *lines_left != Some(0))
}

/// Sends a last line that has no end.
async fn last(
    lines: &mut Lines,
    formatter: &mut Formatter<'_>,
    lines_left: Option<u64>,
    sink: &Sink,
) -> io::Result<()> {
    let mut out = Vec::new();
    if lines_left != Some(0) {
        formatter.push(&lines.pending, &mut out);
    }
    hand_on(&mut out, sink).await;
    Ok(())
}

/// `false` once the client has gone.
async fn hand_on(out: &mut Vec<u8>, sink: &Sink) -> bool {
    if out.is_empty() {
        return true;
    }
    sink.send(Ok(Bytes::from(std::mem::take(out)))).await.is_ok()
}

/// Moves to the beginning of the last `lines` lines.
async fn seek_tail(file: &mut File, lines: Option<u64>) -> io::Result<()> {
    let Some(lines) = lines else { return Ok(()) };
    let end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(());
    }
    let (mut position, mut found) = (end, 0);
    let mut block = Vec::new();
    while position > 0 {
        let length = position.min(BLOCK_BYTES);
        position -= length;
        file.seek(SeekFrom::Start(position)).await?;
        block.clear();
        (&mut *file).take(length).read_to_end(&mut block).await?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + index as u64 + 1;
            // The newline at the very end closes the last line.
            if after == end {
                continue;
            }
            found += 1;
            if found == lines {
                file.seek(SeekFrom::Start(after)).await?;
                return Ok(());
            }
        }
    }
    file.seek(SeekFrom::Start(0)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn check(text: &str, lines: u64, want: &str) {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), text).unwrap();
        let mut file = File::open(path.path()).await.unwrap();
        seek_tail(&mut file, Some(lines)).await.unwrap();
        let mut got = String::new();
        file.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, want, "{lines} of {text:?}");
    }

    /// A line was read into memory whole before its length was looked at.
    #[tokio::test]
    async fn a_line_that_is_too_long_is_left_out_and_never_kept() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let long = "x".repeat(LINE_BYTES_MAX);
        std::fs::write(path.path(), format!("a\n{long}{long}\n{}\nb\n{long}x", &long[1..])).unwrap();
        let mut lines = Lines::of(File::open(path.path()).await.unwrap());
        let mut lengths = Vec::new();
        while lines.next().await.unwrap() {
            lengths.push(lines.pending.len());
            lines.pending.clear();
        }
        assert_eq!(lengths, [2, 0, LINE_BYTES_MAX, 2]);
        assert!(lines.pending.is_empty() && lines.is_too_long);
        assert!(lines.pending.capacity() <= 2 * LINE_BYTES_MAX);
    }

    #[tokio::test]
    async fn the_last_lines_are_found_from_behind() {
        check("a\nb\nc\n", 2, "b\nc\n").await;
        check("a\nb\nc", 2, "b\nc").await;
        check("a\nb\n", 5, "a\nb\n").await;
        check("a\nb\n", 0, "").await;
        check("", 1, "").await;
        let long = format!("{}\n", "x".repeat(200_000));
        check(&format!("first\n{long}last\n"), 2, &format!("{long}last\n")).await;
    }
}
