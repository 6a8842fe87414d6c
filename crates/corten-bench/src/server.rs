//! A control plane in a process of its own: `corten server` on fresh data.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use corten_base::{SharedClock, SystemClock};
use tempfile::TempDir;

use crate::process;

/// A running control plane; it ends with this value.
pub(crate) struct Server {
    root: TempDir,
    child: Child,
    /// From the start of the process to its log's line that it serves.
    pub(crate) listening: Duration,
    pub(crate) clock: SharedClock,
}

impl Server {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_under(&[])
    }

    /// Starts it under a program that runs another in its own process, such as valgrind.
    pub(crate) fn start_under(program: &[&str]) -> anyhow::Result<Self> {
        let clock = SystemClock::shared();
        let root = tempfile::Builder::new().prefix("corten-bench-").tempdir().context("make a data folder")?;
        let binary = process::binary()?;
        let started = clock.monotonic();
        let mut command = match program.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&binary);
                command
            }
            None => Command::new(&binary),
        };
        let mut child = command
            .args(["server", "--listen", "127.0.0.1:0", "--root"])
            .arg(root.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let mut log = BufReader::new(child.stderr.take().context("the log is piped")?);
        let mut line = String::new();
        loop {
            line.clear();
            if log.read_line(&mut line).context("read the log")? == 0 {
                bail!("{} ended before it served", binary.display());
            }
            if line.contains("Started the API server") {
                break;
            }
        }
        let listening = clock.monotonic() - started;
        // The pipe has to be emptied, or the server would wait for it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { root, child, listening, clock })
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.path().join("admin.conf")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server rests: what controllers make of many new objects is no part of what is measured next.
    ///
    /// Errors: it does not within a minute.
    pub(crate) async fn rest(&self) -> anyhow::Result<()> {
        const LOOKS: usize = 120;
        for _ in 0..LOOKS {
            let ((), cpu, wall) = self
                .measure(async {
                    self.clock.sleep(Duration::from_millis(500)).await;
                    Ok(())
                })
                .await?;
            if cpu < wall / 20 {
                return Ok(());
            }
        }
        bail!("the server did not come to rest within a minute")
    }

    /// The processor time and the time on the wall that `work` takes of the server.
    pub(crate) async fn measure<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Duration, Duration)> {
        let (cpu, wall) = (process::cpu_time(self.pid())?, self.clock.monotonic());
        let result = work.await?;
        Ok((result, process::cpu_time(self.pid())? - cpu, self.clock.monotonic() - wall))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The benchmark is over; a process that is gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
