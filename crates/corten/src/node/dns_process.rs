//! The DNS process and its supervision.
//!
//! DNS is a process of its own (`corten dns`) so that names resolve while the rest of corten restarts: its supervisor leaves
//! it running at the end, and the next one takes it up again if it was started the same way. One that ends is started anew.

use std::{
    fs::OpenOptions,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown, fs, fs::Context as _, timeout};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, unix::AsyncFd},
    process::{Child, Command},
    sync::watch,
};
use tracing::{info, warn};

use crate::{
    blocking::blocking,
    components::{Components, FAILED, RUNNING},
    log_file::put_aside_if_long,
    places::Places,
    process::{self, hold_since, start_time},
    unix_socket::listener_of,
};

/// What the process says on standard output once it answers.
pub(crate) const READY: &str = "ready";

/// What it waits for on standard input before it listens.
pub(crate) const BEGIN: &str = "begin\n";

/// The flag that names the feed's socket, by which the process of a cluster is known.
const FEED_FLAG: &str = "--feed-socket";

/// The name that `corten status` shows.
pub(crate) const COMPONENT: &str = "dns";

/// How long a process may take to begin, and to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a DNS process is started with. One that was started with anything else is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Where it listens, UDP and TCP.
    pub(crate) listen: SocketAddr,
    /// The cluster's domain.
    pub(crate) domain: String,
    /// The program, and when it was written: another corten is another program.
    pub(crate) program: (PathBuf, u64),
}

/// A process that was started, as written down for the next supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: i32,
    /// When it was started, in the kernel's ticks since boot: process ids are used again.
    started: u64,
    settings: Settings,
}

/// Keeps one DNS process running.
#[derive(Debug)]
pub(crate) struct DnsProcess {
    places: Places,
    settings: Settings,
    components: Components,
    clock: SharedClock,
    rng: SharedRng,
}

/// A process that runs.
enum Running {
    Own(Child),
    Adopted(AsyncFd<OwnedFd>),
}

impl DnsProcess {
    /// A supervisor of `corten dns` on `listen`.
    ///
    /// Errors: the running program's own file cannot be found.
    pub(crate) fn new(
        places: Places,
        listen: SocketAddr,
        domain: &str,
        components: Components,
        clock: SharedClock,
        rng: SharedRng,
    ) -> anyhow::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let program = std::env::current_exe().context("find this program's file")?;
        let written = std::fs::metadata(&program).at("read", &program)?.mtime().unsigned_abs();
        let settings = Settings { listen, domain: domain.to_owned(), program: (program, written) };
        Ok(Self { places, settings, components, clock, rng })
    }

    /// Supervises until shutdown; the process runs on. `count` grows with every process that listens on the socket.
    pub(crate) async fn run(self, count: watch::Sender<u64>, shutdown: Shutdown) {
        let mut backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(30)).with_jitter(0.2);
        let supervise = async {
            loop {
                let began = self.clock.monotonic();
                match self.take_up_or_start().await {
                    Ok(running) => {
                        self.components.set(COMPONENT, RUNNING, self.settings.listen.to_string());
                        count.send_modify(|count| *count += 1);
                        let how = running.ended().await;
                        warn!(how, "The DNS process ended");
                        self.components.set(COMPONENT, "Restarting", how);
                    }
                    Err(error) => {
                        warn!(err = format!("{error:#}"), "Could not start the DNS process");
                        self.components.set(COMPONENT, FAILED, format!("{error:#}"));
                    }
                }
                // One that ran for a while is started again at once.
                if self.clock.monotonic().saturating_sub(began) > Duration::from_secs(60) {
                    backoff.reset();
                }
                self.clock.sleep(backoff.next(&*self.rng)).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = supervise => {}
        }
    }

    async fn take_up_or_start(&self) -> anyhow::Result<Running> {
        let record = read_record(&self.places, &self.clock).await?;
        if record.is_none()
            && let Some(process) = unrecorded(&self.places).await?
        {
            end(process, &self.clock).await?;
        }
        if let Some(record) = record
            && let Some(process) = record.open()?
        {
            if record.settings == self.settings {
                info!(pid = record.pid, "Took up the DNS process");
                return Ok(Running::Adopted(watch_end(process)?));
            }
            end(process, &self.clock).await?;
        }
        self.start().await.map(Running::Own)
    }

    async fn start(&self) -> anyhow::Result<Child> {
        let (directory, log) = (self.places.log(), self.places.dns_log_file());
        let opened = log.clone();
        let complaints = blocking(move || {
            fs::create_dir_all(&directory)?;
            put_aside_if_long(&opened)?;
            Ok(OpenOptions::new().append(true).create(true).mode(0o640).open(&opened).at("open", &opened)?)
        });
        let complaints = complaints.await?;
        let (program, _) = &self.settings.program;
        let mut child = Command::new(program)
            .arg("dns")
            .args(["--listen", &self.settings.listen.to_string(), "--cluster-domain", &self.settings.domain])
            .arg(FEED_FLAG)
            .arg(self.places.dns_socket())
            .arg("--begin-on-word")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            // The terminal's Ctrl-C is not for it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {} dns", program.display()))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("it ended at once")?;
        let beginning = Beginning::new(pid)?;
        // Written down before it takes the port: should this process be killed meanwhile, the next one knows of it, or it ends
        // by itself because the word never comes.
        let started = start_time(pid)?.context("it ended at once")?;
        let record = Record { pid, started, settings: self.settings.clone() };
        let text = serde_json::to_vec(&record).context("write its record")?;
        let path = self.places.dns_record();
        blocking(move || Ok(fs::write_atomic(&path, &text, 0o600)?)).await?;
        let mut input = child.stdin.take().context("standard input is piped")?;
        input.write_all(BEGIN.as_bytes()).await.context("tell it to begin")?;
        drop(input);
        let output = child.stdout.take().context("standard output is piped")?;
        let mut word = String::new();
        let mut output = BufReader::new(output);
        let said = timeout(&*self.clock, PATIENCE, output.read_line(&mut word)).await;
        match said {
            Ok(Ok(_)) if word.trim() == READY => {}
            Ok(_) => bail!("it ended before it answered: see {}", log.display()),
            Err(elapsed) => return Err(elapsed).context("wait for its first word"),
        }
        beginning.began();
        info!(pid, listen = %self.settings.listen, "Started the DNS process");
        Ok(child)
    }
}

/// A process that does not answer yet: one that never does would keep its port. Dropped, it is killed.
struct Beginning(Option<OwnedFd>);

impl Beginning {
    /// Watches over a child that has not been waited for.
    fn new(pid: i32) -> anyhow::Result<Self> {
        let number = Pid::from_raw(pid).context("a process has a number")?;
        pidfd_open(number, PidfdFlags::empty()).map(Some).map(Self).context("hold the DNS process")
    }

    fn began(mut self) {
        self.0 = None;
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        let Some(process) = &self.0 else { return };
        match pidfd_send_signal(process, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => warn!(err = %error, "Could not kill a DNS process that did not begin"),
        }
    }
}

impl Running {
    /// Waits for its end and tells how it came. Cancel-safe; the process runs on.
    async fn ended(self) -> String {
        match self {
            Self::Own(mut child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => ErrorChain(&error).to_string(),
            },
            Self::Adopted(process) => match process.readable().await {
                Ok(_) => "ended".to_owned(),
                Err(error) => ErrorChain(&error).to_string(),
            },
        }
    }
}

impl Record {
    /// A handle on the process, if it still is the one that was started.
    fn open(&self) -> anyhow::Result<Option<OwnedFd>> {
        hold_since(self.pid, self.started)
    }
}

/// Lets the runtime watch a process: its handle becomes readable when it ends.
fn watch_end(process: OwnedFd) -> anyhow::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "an owned descriptor stays open and the same while it is registered")]
    AsyncFd::new(process).context("watch the DNS process")
}

/// Ends the DNS process of a cluster, if there is one; says whether there was.
pub(crate) async fn stop(places: &Places, clock: &SharedClock) -> anyhow::Result<bool> {
    let process = match read_record(places, clock).await? {
        Some(record) => record.open()?,
        None => unrecorded(places).await?,
    };
    let was_there = process.is_some();
    if let Some(process) = process {
        end(process, clock).await?;
    }
    fs::remove_file(&places.dns_record())?;
    Ok(was_there)
}

/// The DNS process whose record somebody has removed with the run directory: it still has port 53.
async fn unrecorded(places: &Places) -> anyhow::Result<Option<OwnedFd>> {
    let socket = places.dns_socket();
    blocking(move || {
        process::find(|words| {
            let mut of_flag = words.iter().skip_while(|word| **word != FEED_FLAG.as_bytes());
            words.first() == Some(&&b"dns"[..]) && of_flag.nth(1) == Some(&socket.as_os_str().as_encoded_bytes())
        })
    })
    .await
}

/// Asks a process to end, kills it if it does not, and waits until it has ended.
async fn end(process: OwnedFd, clock: &SharedClock) -> anyhow::Result<()> {
    let process = watch_end(process)?;
    for signal in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(process.get_ref(), signal) {
            Ok(()) => {}
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error).context("end the DNS process"),
        }
        if timeout(&**clock, PATIENCE, process.readable()).await.is_ok() {
            return Ok(());
        }
    }
    bail!("the DNS process does not end")
}

/// What was written down. A record that cannot be read is another version's, or was cut off: its process is the one that
/// has the feed's socket, and ends, because nobody else knows how it was started.
async fn read_record(places: &Places, clock: &SharedClock) -> anyhow::Result<Option<Record>> {
    let text = match fs::read(&places.dns_record()) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match serde_json::from_slice(&text) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            warn!(err = %error, "Could not read the record of the DNS process");
            let socket = places.dns_socket();
            if let Some((_, process)) = blocking(move || listener_of(&socket, PATIENCE)).await? {
                end(process, clock).await?;
            }
            fs::remove_file(&places.dns_record())?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
