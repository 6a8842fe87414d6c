//! The last words of containers: the termination message file, or the end of the log.
//!
//! Upstream: pkg/kubelet/kuberuntime `getTerminationMessage` (v1.35).

use std::path::Path;

use corten_cri::{
    api::ContainerStatus,
    log_format::{LogLine, LogStream},
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::pleg::records::{TERMINATION_MESSAGE_PATH, TERMINATION_MESSAGE_POLICY};

/// How much of the file is shown. Upstream: `MaxContainerTerminationMessageLength`.
const MESSAGE_BYTES_MAX: u64 = 4_096;
/// How much of the log is shown. Upstream: `MaxContainerTerminationMessageLogLength`.
const LOG_BYTES_MAX: u64 = 2_048;
/// How many lines of the log are shown. Upstream: `MaxContainerTerminationMessageLogLines`.
const LOG_LINES_MAX: usize = 80;

/// What an ended container left to say; empty if nothing. Files that cannot be read say nothing.
pub async fn last_words(record: &ContainerStatus) -> String {
    let annotation = |key: &str| record.annotations.get(key).map(String::as_str).unwrap_or_default();
    let path = annotation(TERMINATION_MESSAGE_PATH);
    let mounted = record.mounts.iter().find(|mount| !path.is_empty() && mount.container_path == path);
    let message = match mounted {
        Some(mount) => read_start(Path::new(&mount.host_path)).await.unwrap_or_default(),
        None => String::new(),
    };
    let from_log = annotation(TERMINATION_MESSAGE_POLICY) == "FallbackToLogsOnError" && record.exit_code != 0;
    if message.is_empty() && from_log && !record.log_path.is_empty() {
        return read_log_end(Path::new(&record.log_path)).await.unwrap_or_default();
    }
    message
}

async fn read_start(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    tokio::fs::File::open(path).await?.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log, without what the runtime writes around them.
async fn read_log_end(path: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    // Time and stream take some 40 bytes a line: enough is read for all lines that can be shown.
    let window = LOG_BYTES_MAX + LOG_LINES_MAX as u64 * 64;
    file.seek(std::io::SeekFrom::Start(length.saturating_sub(window))).await?;
    let mut bytes = Vec::new();
    file.take(window).read_to_end(&mut bytes).await?;
    let mut lines: Vec<String> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| LogLine::parse(line).ok()) {
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
