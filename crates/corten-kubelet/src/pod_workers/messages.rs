//! The last words of containers: the termination message file, or the end of the log.
//!
//! Nothing here waits for a container: what lies at these paths may be of its making, also a pipe that nobody writes to.
//! Upstream: pkg/kubelet/kuberuntime `getTerminationMessage` (v1.35).

use std::{io, path::Path};

use corten_cri::{
    api::ContainerStatus,
    log_format::{LogLine, LogStream},
};
use nix::libc;
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use crate::pleg::records::{TERMINATION_MESSAGE_PATH, TERMINATION_MESSAGE_POLICY};

/// How much of the file is shown. Upstream: `MaxContainerTerminationMessageLength`.
const MESSAGE_BYTES_MAX: u64 = 4_096;
/// How much of the log is shown. Upstream: `MaxContainerTerminationMessageLogLength`.
const LOG_BYTES_MAX: u64 = 2_048;
/// How many lines of the log are shown. Upstream: `MaxContainerTerminationMessageLogLines`.
const LOG_LINES_MAX: usize = 80;
/// What the runtime writes before each piece of a line: the time, the stream, whether the line goes on.
const LINE_HEAD_BYTES_MAX: u64 = 64;
/// The longest piece of a line that runtimes write. Upstream: containerd's `max_container_log_line_size`.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// What an ended container left to say; empty if nothing. A file that cannot be read is what there is to say.
pub async fn last_words(record: &ContainerStatus) -> String {
    let annotation = |key: &str| record.annotations.get(key).map(String::as_str).unwrap_or_default();
    let path = annotation(TERMINATION_MESSAGE_PATH);
    // Of several mounts at one path the last one is what the container saw.
    let mounted = record.mounts.iter().rev().find(|mount| !path.is_empty() && mount.container_path == path);
    let message = match mounted {
        Some(mount) => match read_end(Path::new(&mount.host_path)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let path = &mount.host_path;
                let operation = if error.kind() == io::ErrorKind::IsADirectory { "read" } else { "open" };
                return format!("Error on reading termination log {path}: {}", told(operation, path, &error));
            }
            Ok(message) => message,
        },
        None => String::new(),
    };
    let from_log = annotation(TERMINATION_MESSAGE_POLICY) == "FallbackToLogsOnError" && record.exit_code != 0;
    if !message.is_empty() || !from_log || record.log_path.is_empty() {
        return message;
    }
    let path = &record.log_path;
    read_log_end(Path::new(path)).await.unwrap_or_else(|error| {
        let cause = if error.kind() == io::ErrorKind::NotFound {
            format!("failed to try resolving symlinks in path {path:?}: {}", told("lstat", path, &error))
        } else {
            format!("failed to open log file {path:?}: {}", told("open", path, &error))
        };
        format!("Error on reading termination message from logs: {cause}")
    })
}

/// An error of the system as upstream shows it: `open /x: permission denied`.
fn told(operation: &str, path: &str, error: &io::Error) -> String {
    let text = error.raw_os_error().map(|code| nix::Error::from_raw(code).desc().to_lowercase());
    format!("{operation} {path}: {}", text.unwrap_or_else(|| error.to_string()))
}

/// Opens a regular file for reading, and its length; `flags` are those of `open`.
async fn open(path: &Path, flags: i32) -> io::Result<(File, u64)> {
    let without_waiting = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(without_waiting | flags).open(path).await?;
    let metadata = file.metadata().await?;
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, metadata.len()))
}

/// The end of a file.
async fn read_end(path: &Path) -> io::Result<String> {
    let (mut file, length) = open(path, libc::O_NOFOLLOW).await?;
    file.seek(io::SeekFrom::Start(length.saturating_sub(MESSAGE_BYTES_MAX))).await?;
    let mut bytes = Vec::new();
    file.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log, without what the runtime writes around them.
async fn read_log_end(path: &Path) -> io::Result<String> {
    let (mut file, length) = open(path, 0).await?;
    // Enough for all lines that can be shown, and one more: of the first one only the end may be there, which is passed over.
    let window = LOG_BYTES_MAX + LINE_BYTES_MAX + (LOG_LINES_MAX + 1) as u64 * LINE_HEAD_BYTES_MAX;
    file.seek(io::SeekFrom::Start(length.saturating_sub(window))).await?;
    let mut bytes = Vec::new();
    file.take(window).read_to_end(&mut bytes).await?;
    let cut =
        if length > window { bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1) } else { 0 };
    let mut lines: Vec<String> = Vec::new();
    for line in bytes[cut..].split_inclusive(|byte| *byte == b'\n').filter_map(|line| LogLine::parse(line).ok()) {
        if matches!(line.stream, LogStream::Stdout | LogStream::Stderr) {
            let end = if line.partial { "" } else { "\n" };
            lines.push(format!("{}{end}", String::from_utf8_lossy(line.content)));
        }
    }
    let from = lines.len().saturating_sub(LOG_LINES_MAX);
    let text = lines[from..].concat();
    let mut cut = text.len().saturating_sub(LOG_BYTES_MAX as usize);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    Ok(text[cut..].to_owned())
}

#[cfg(test)]
mod tests {
    use corten_cri::api::Mount;

    use super::*;

    fn ended(file: &Path, log: &Path) -> ContainerStatus {
        let annotations = [
            (TERMINATION_MESSAGE_PATH.to_owned(), "/dev/termination-log".to_owned()),
            (TERMINATION_MESSAGE_POLICY.to_owned(), "FallbackToLogsOnError".to_owned()),
        ];
        let mount = Mount {
            container_path: "/dev/termination-log".to_owned(),
            host_path: file.display().to_string(),
            ..Mount::default()
        };
        ContainerStatus {
            exit_code: 1,
            annotations: annotations.into(),
            mounts: vec![mount],
            log_path: log.display().to_string(),
            ..ContainerStatus::default()
        }
    }

    #[tokio::test]
    async fn the_end_of_the_file_is_shown_or_else_that_of_the_log_or_why_not() {
        let root = tempfile::tempdir().unwrap();
        let (file, log) = (root.path().join("message"), root.path().join("log"));
        let record = ended(&file, &log);
        let none = log.display();
        assert_eq!(
            last_words(&record).await,
            format!(
                "Error on reading termination message from logs: failed to try resolving symlinks in path \"{none}\": \
                 lstat {none}: no such file or directory"
            )
        );
        std::fs::write(&log, "2026-01-01T00:00:01Z stdout F from the log\n").unwrap();
        assert_eq!(last_words(&record).await, "from the log\n");
        // What a container wrote without a newline gets none.
        std::fs::write(&log, "2026-01-01T00:00:01Z stdout F a\n2026-01-01T00:00:02Z stdout P DONE\n").unwrap();
        assert_eq!(last_words(&record).await, "a\nDONE");
        // Of a long line its end is shown, also if it is in pieces.
        for (first, second) in [(16_384, 616), (16_384, 2_100), (10_000, 0)] {
            let line =
                |mark: &str, length: usize| format!("2026-01-01T00:00:01Z stdout {mark} {}\n", "x".repeat(length));
            let text = [line("F", 16_000), line("F", 16_000), line("P", first), line("F", second)].concat();
            std::fs::write(&log, text).unwrap();
            assert_eq!(last_words(&record).await, format!("{}\n", "x".repeat(2_047)), "{first} and {second}");
        }
        std::fs::write(&file, format!("{}end", "x".repeat(5_000))).unwrap();
        let shown = last_words(&record).await;
        assert!(shown.len() == 4_096 && shown.ends_with("xend"), "{} bytes", shown.len());
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let text = format!("Error on reading termination log {0}: read {0}: is a directory", file.display());
        assert_eq!(last_words(&record).await, text);
        // A container that succeeded has nothing to explain.
        std::fs::remove_dir(&file).unwrap();
        assert_eq!(last_words(&ContainerStatus { exit_code: 0, ..record }).await, "");
    }

    /// Once, a pipe without a writer held the pod's worker, and the kubelet's end with it, for ever.
    #[tokio::test]
    async fn a_pipe_or_a_link_at_the_path_is_no_message() {
        let root = tempfile::tempdir().unwrap();
        let (file, log) = (root.path().join("message"), root.path().join("log"));
        let record = ended(&file, &log);
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let path = file.display();
        let text = format!("Error on reading termination log {path}: open {path}: not a regular file");
        assert_eq!(last_words(&record).await, text);
        std::fs::remove_file(&file).unwrap();
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(root.path().join("secret"), &file).unwrap();
        assert!(
            !last_words(&record).await.contains("secret\n") && last_words(&record).await.contains("symbolic links")
        );
    }

    #[tokio::test]
    async fn the_last_mount_at_the_path_has_the_message() {
        let root = tempfile::tempdir().unwrap();
        let (mine, log) = (root.path().join("mine"), root.path().join("log"));
        let mut record = ended(&root.path().join("covered"), &log);
        std::fs::write(root.path().join("covered"), "covered").unwrap();
        std::fs::write(&mine, "mine").unwrap();
        let mount = Mount { host_path: mine.display().to_string(), ..record.mounts[0].clone() };
        record.mounts.push(mount);
        assert_eq!(last_words(&record).await, "mine");
    }
}
