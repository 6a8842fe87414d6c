//! The answering end.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use corten_base::fs::Context as _;
use corten_base::{ErrorChain, SharedClock, Shutdown, TaskSet, fs};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tracing::{debug, warn};

use super::{Answer, Envelope, LINE_BYTES_MAX, Request, VERSION};

/// Commands at the same time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 16;

/// How long to wait after a failed accept: long enough for somebody to give back a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Does what is asked.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// Gives the answer to a request.
    async fn answer(&self, request: Request) -> Answer;
}

/// The socket, listening.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Makes the socket, in place of one that a killed process left: the caller holds the instance's lock.
    pub(crate) fn bind(path: &Path) -> Result<Self, fs::FsError> {
        fs::remove_file(path)?;
        let listener = UnixListener::bind(path).at("listen on", path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).at("set mode of", path)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until shutdown, and returns when the commands at hand are answered.
    pub(crate) async fn run(self, handler: Arc<dyn Handler>, clock: SharedClock, shutdown: Shutdown) {
        let (tasks, places) = (TaskSet::new("control"), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                accepted = async { (place.await, self.listener.accept().await) } => accepted,
            };
            match accepted {
                (Ok(place), Ok((stream, _))) => {
                    let (handler, shutdown) = (Arc::clone(&handler), shutdown.clone());
                    tasks.spawn("command", async move {
                        if let Err(error) = serve(stream, &*handler, &shutdown).await {
                            debug!(err = %ErrorChain(&error), "Lost a command's connection");
                        }
                        drop(place);
                    });
                }
                (_, Err(error)) => {
                    // Out of file descriptors: without an ear the cluster could neither be asked nor stopped.
                    warn!(err = %ErrorChain(&error), "Could not accept a command");
                    tokio::select! {
                        biased;
                        () = shutdown.requested() => break,
                        () = clock.sleep(ACCEPT_PAUSE) => {}
                    }
                }
                (Err(_), _) => break,
            }
        }
        if let Err(error) = fs::remove_file(&self.path) {
            warn!(err = %ErrorChain(&error), "Could not remove the control socket");
        }
        if let Err(panic) = tasks.join().await {
            warn!(err = %panic, "A command panicked");
        }
    }
}

async fn serve(stream: UnixStream, handler: &dyn Handler, shutdown: &Shutdown) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut limited = (&mut stream).take(LINE_BYTES_MAX);
    tokio::select! {
        biased;
        read = limited.read_until(b'\n', &mut line) => { read?; }
        // Whoever connected and says nothing does not hold up the end.
        () = shutdown.requested() => return Ok(()),
    }
    if line.is_empty() {
        // Somebody only looked whether we are there.
        return Ok(());
    }
    let answer = match serde_json::from_slice(&line) {
        Ok(Envelope { version: VERSION, request }) => handler.answer(request).await,
        Ok(Envelope { version, .. }) => Answer::Failed(format!(
            "the running process speaks version {VERSION} of the control protocol, this command {version}"
        )),
        Err(error) => Answer::Failed(format!("the running process does not know this command: {error}")),
    };
    let mut line = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.get_mut().write_all(&line).await
}
