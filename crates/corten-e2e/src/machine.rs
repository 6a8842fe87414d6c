//! A machine with a whole cluster, as its owner sees it: the `corten` command and the real kubectl.
//!
//! Only for tests inside a sandbox: it uses the machine's own places.

use std::{
    env,
    ffi::OsStr,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use corten_base::SystemClock;

use crate::kubectl::{Kubectl, Output};

/// How long a machine that is busy with other work may take for anything that should take a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is only seen from outside.
const PAUSE: Duration = Duration::from_millis(20);

/// The machine of a sandbox.
#[derive(Debug)]
pub struct Machine {
    binary: PathBuf,
    tools: PathBuf,
    images: PathBuf,
    kubeconfig: PathBuf,
}

impl Machine {
    /// The machine that this test runs on.
    pub fn here() -> anyhow::Result<Self> {
        let of = |name: &str| -> anyhow::Result<PathBuf> {
            Ok(PathBuf::from(env::var_os(name).with_context(|| format!("{name} is not set: run `cargo xtask test`"))?))
        };
        Ok(Self {
            binary: of("CORTEN_BIN")?,
            tools: of("CORTEN_TEST_TOOLS")?,
            images: of("CORTEN_TEST_IMAGES")?,
            kubeconfig: of("KUBECONFIG")?,
        })
    }

    /// A machine with a cluster that runs and has the test images.
    pub fn with_cluster() -> anyhow::Result<Self> {
        Self::with_cluster_of(&[])
    }

    /// The same, with more flags for `up`.
    pub fn with_cluster_of(flags: &[&str]) -> anyhow::Result<Self> {
        let machine = Self::here()?;
        machine.corten(&[&["up", "--detach"], flags].concat())?;
        let images: Vec<String> =
            ["kubernetes-bootcamp-v1.docker.tar", "kubernetes-bootcamp-v2.oci.tar", "busybox-1.28.docker.tar"]
                .iter()
                .map(|name| machine.image(name).display().to_string())
                .collect();
        let mut arguments = vec!["image", "import"];
        arguments.extend(images.iter().map(String::as_str));
        machine.corten(&arguments)?;
        Ok(machine)
    }

    /// An archive of a test image.
    #[must_use]
    pub fn image(&self, file_name: &str) -> PathBuf {
        self.images.join(file_name)
    }

    /// Runs `corten` and gives what it printed.
    ///
    /// Errors: it failed; the text has both outputs and the end of the log.
    pub fn corten(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = run(&self.binary, arguments)?;
        ensure!(
            output.success,
            "corten {} failed:\n{}{}{}",
            arguments.join(" "),
            output.out,
            output.err,
            self.log_end()
        );
        Ok(output.out + &output.err)
    }

    /// Runs `corten`, which may fail.
    pub fn try_corten(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(&self.binary, arguments)
    }

    /// Runs `corten`, which may fail, with a file as its standard input.
    pub fn corten_with_input(&self, arguments: &[&str], input: &Path) -> anyhow::Result<Output> {
        let input = std::fs::File::open(input).with_context(|| format!("open {}", input.display()))?;
        run_with(&self.binary, arguments, input.into())
    }

    /// A tool of the tests.
    #[must_use]
    pub fn tool_path(&self, name: &str) -> PathBuf {
        self.tools.join("bin").join(name)
    }

    /// Runs a tool of the tests.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        run(&self.tool_path(name), arguments)
    }

    /// The real kubectl with the kubeconfig that `up` wrote into.
    pub fn kubectl(&self) -> anyhow::Result<Kubectl> {
        Kubectl::new(&self.kubeconfig, Path::new("/run"))
    }

    /// The process id of the running cluster.
    pub fn pid(&self) -> anyhow::Result<i32> {
        for entry in std::fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
            let mut words = line.split(|&byte| byte == 0);
            let program = words.next().unwrap_or_default();
            if program.ends_with(b"corten") && words.next() == Some(b"up") {
                return Ok(pid);
            }
        }
        bail!("no cluster runs")
    }

    /// Ends the cluster's process without warning.
    pub fn kill(&self) -> anyhow::Result<()> {
        let pid = nix::unistd::Pid::from_raw(self.pid()?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).context("kill the cluster")?;
        eventually("the killed process is gone", || {
            let gone = !Path::new(&format!("/proc/{pid}/root")).exists();
            gone.then_some(()).context("it is still there")
        })
    }

    /// The end of the cluster's log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let log = std::fs::read_to_string("/var/lib/corten/corten.log").unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- log\n{}\n", lines[lines.len().saturating_sub(80)..].join("\n"))
    }
}

fn run(program: &Path, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<Output> {
    run_with(program, arguments, Stdio::null())
}

fn run_with(program: &Path, arguments: &[impl AsRef<OsStr>], input: Stdio) -> anyhow::Result<Output> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(input)
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    Ok(Output {
        success: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Asks again until there is an answer.
///
/// Errors: the last refusal, when it took too long.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let clock = SystemClock::shared();
    let started = clock.monotonic();
    loop {
        match look() {
            Ok(answer) => return Ok(answer),
            Err(error) if clock.monotonic() - started > PATIENCE => {
                return Err(error.context(format!("after {PATIENCE:?}, not yet: {what}")));
            }
            // What is seen from outside has no event to wait for.
            Err(_) => std::thread::park_timeout(PAUSE),
        }
    }
}

/// One request over a connection of its own; gives the body.
///
/// Errors: no connection or no complete answer within five seconds; an answer other than 200.
pub fn http_get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let deadline = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, deadline).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(deadline))?;
    stream.set_write_timeout(Some(deadline))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .context("send the request")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.to_owned())
}
