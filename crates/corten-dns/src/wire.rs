//! The feed of a DNS process: lines of JSON over a local socket, from the process that watches the cluster.
//!
//! Format, version 1: the first line is `{"feed":"corten-dns","version":1}`, then one `Input` a line. A connection begins
//! a replay by itself: the feeder names everything that exists, says `"synced"`, and goes on with changes. When it goes
//! away the last known zone is served on; the next connection replays, and a newer connection takes the place of an older.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    pin::Pin,
};

use corten_base::{ErrorChain, SharedClock, Shutdown};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use tracing::{info, warn};

use crate::dns::Input;

/// A connection that is being read.
type Feeding<'a> = Pin<Box<dyn Future<Output = Result<(), WireError>> + Send + 'a>>;

/// The version that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;
const FEED: &str = "corten-dns";
/// The longest line: a slice of a thousand endpoints takes a tenth of it.
const MAX_LINE_BYTES: u64 = 2 << 20;
/// A listener that fails over and over is tried again at this pace.
const AFTER_ERROR: std::time::Duration = std::time::Duration::from_millis(100);

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    feed: String,
    version: u32,
}

/// Why a feed ended.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection broke.
    #[error("transfer over the feed")]
    Io(#[from] io::Error),
    /// A line is not what the format says.
    #[error("read line of the feed")]
    Line(#[source] serde_json::Error),
    /// A line is longer than any record.
    #[error("line of the feed exceeds {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The other end is of another kind or version.
    #[error("feed is {feed:?} version {version}, not {FEED:?} version {VERSION}")]
    Version {
        /// What it calls itself.
        feed: String,
        /// Its version.
        version: u32,
    },
}

/// The receiving end: a listening socket.
#[derive(Debug)]
pub struct Feed {
    listener: UnixListener,
    path: PathBuf,
}

impl Feed {
    /// Makes the socket, for its owner only; one that is left from before is replaced.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Takes connections, one at a time, and hands on what they say until shutdown.
    pub async fn run(self, inputs: mpsc::Sender<Input>, clock: SharedClock, shutdown: Shutdown) {
        let mut current: Option<Feeding<'_>> = None;
        let mut has_failed = false;
        loop {
            let reading = async {
                match current.as_mut() {
                    Some(feed) => feed.await,
                    None => std::future::pending().await,
                }
            };
            let accept = async {
                if has_failed {
                    clock.sleep(AFTER_ERROR).await;
                }
                self.listener.accept().await
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                accepted = accept => match accepted {
                    Ok((stream, _)) => {
                        current = Some(Box::pin(read_feed(stream, &inputs)));
                        has_failed = false;
                    }
                    // The feed that is being read goes on.
                    Err(error) => {
                        warn!(err = %ErrorChain(&error), "Could not accept feed");
                        has_failed = true;
                    }
                },
                ended = reading => {
                    current = None;
                    match ended {
                        Ok(()) => info!("Feed ended"),
                        Err(error) => warn!(err = %ErrorChain(&error), "Feed broke"),
                    }
                }
            }
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            warn!(err = %ErrorChain(&error), "Could not remove feed socket");
        }
    }
}

async fn read_feed(stream: UnixStream, inputs: &mpsc::Sender<Input>) -> Result<(), WireError> {
    let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
    if !read_line(&mut reader, &mut line).await? {
        return Ok(());
    }
    let Hello { feed, version } = serde_json::from_slice(&line).map_err(WireError::Line)?;
    if feed != FEED || version != VERSION {
        return Err(WireError::Version { feed, version });
    }
    let mut input = Input::Replay;
    loop {
        if inputs.send(input).await.is_err() {
            // The zone's task ended: so does the process.
            return Ok(());
        }
        if !read_line(&mut reader, &mut line).await? {
            return Ok(());
        }
        input = serde_json::from_slice(&line).map_err(WireError::Line)?;
    }
}

/// Reads a line into `line`. False: the other end is done.
async fn read_line(reader: &mut BufReader<UnixStream>, line: &mut Vec<u8>) -> Result<bool, WireError> {
    line.clear();
    let length = reader.take(MAX_LINE_BYTES).read_until(b'\n', line).await?;
    match line.last() {
        Some(b'\n') => Ok(true),
        _ if length as u64 == MAX_LINE_BYTES => Err(WireError::TooLong),
        // A line without an end was cut: its writer died, and replays.
        _ => Ok(false),
    }
}

/// The sending end. Whoever holds it replays everything, says `Synced`, then sends changes; on an error it connects anew.
#[derive(Debug)]
pub struct Feeder {
    stream: BufWriter<UnixStream>,
}

impl Feeder {
    /// Connects to the socket at `path`.
    pub async fn connect(path: &Path) -> Result<Self, WireError> {
        let mut feeder = Self { stream: BufWriter::new(UnixStream::connect(path).await?) };
        feeder.write(&Hello { feed: FEED.to_owned(), version: VERSION }).await?;
        Ok(feeder)
    }

    /// Sends one change; it is on its way for sure only after `flush`.
    pub async fn send(&mut self, input: &Input) -> Result<(), WireError> {
        self.write(input).await
    }

    /// Sends what is buffered.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        Ok(self.stream.flush().await?)
    }

    async fn write(&mut self, line: &impl Serialize) -> Result<(), WireError> {
        let mut line = serde_json::to_vec(line).map_err(WireError::Line)?;
        line.push(b'\n');
        Ok(self.stream.write_all(&line).await?)
    }
}

#[cfg(test)]
mod tests;
