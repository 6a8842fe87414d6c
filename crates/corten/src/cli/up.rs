//! `corten up`: a cluster on this machine, in the foreground or as a daemon.

use std::{
    fs::OpenOptions,
    io::BufReader,
    net::IpAddr,
    os::{
        fd::AsFd as _,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use corten_base::{SystemClock, SystemRng, fs, fs::Context as _};
use corten_proxy::ProxyMode;
use ipnet::Ipv4Net;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{
    backup::expect_restored,
    common::{Root, note, run_until_signal, say},
    gates::{feature_gates, runtime_config},
};
use crate::{
    archive,
    assembly::{self, Start},
    config::{Config, Scope, Wishes},
    ground,
    instance::{Abandoned, Asker, Claim, Instance, Purpose},
    log_file::put_aside_if_long,
    places::Places,
    preflight, program,
    progress::{Event, Progress, relay},
    record::Record,
};

/// Options of `corten up`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    root: Root,
    /// Return when the cluster is ready, and let it run on as a daemon.
    #[arg(long, short)]
    detach: bool,
    /// The address to serve the API on: where it was served last if left out, all addresses the first time.
    #[arg(long, env = "CORTEN_LISTEN", value_name = "IP")]
    listen: Option<IpAddr>,
    /// The port to serve the API on: that of the last time if left out, 6443 the first time.
    #[arg(long, env = "CORTEN_API_PORT", value_name = "PORT")]
    api_port: Option<u16>,
    /// The address that pods and other machines reach the API at; the machine's primary address if left out.
    #[arg(long, env = "CORTEN_ADVERTISE_ADDRESS", value_name = "IP")]
    advertise_address: Option<IpAddr>,
    /// The node's name, which a cluster keeps; the host's name, the first time, if left out.
    #[arg(long, env = "CORTEN_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// How services are carried out: as the last time if left out, auto the first time.
    #[arg(long, env = "CORTEN_PROXY_MODE", value_enum)]
    proxy_mode: Option<Mode>,
    /// Import the images of this archive (docker save, or an OCI layout in a tar file) before pods start; may be repeated.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// The range of pods' addresses, which a cluster keeps; 10.244.0.0/16, the first time, if left out.
    #[arg(long, env = "CORTEN_CLUSTER_CIDR", value_name = "CIDR")]
    cluster_cidr: Option<Ipv4Net>,
    /// The range of services' addresses, which a cluster keeps; 10.96.0.0/12, the first time, if left out.
    #[arg(long, env = "CORTEN_SERVICE_CIDR", value_name = "CIDR")]
    service_cidr: Option<Ipv4Net>,
    /// The port of the kubelet's server: that of the last time if left out, 10250 the first time.
    #[arg(long, env = "CORTEN_KUBELET_PORT", value_name = "PORT")]
    kubelet_port: Option<u16>,
    /// Which optional features are on: `Name=true,Other=false`; as the last time if left out.
    #[arg(long, env = "CORTEN_FEATURE_GATES", value_name = "GATES")]
    feature_gates: Vec<String>,
    /// Which versions and resources are served: `api/beta=true,group/version=false`; as the last time if left out.
    #[arg(long, env = "CORTEN_RUNTIME_CONFIG", value_name = "SETTINGS")]
    runtime_config: Vec<String>,
    /// Leave the kubeconfig of the user alone.
    #[arg(long)]
    no_kubeconfig: bool,
    /// Which log lines are written: a level, or module=level pairs.
    #[arg(long, env = "CORTEN_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// Write logs to standard error in place of the log file.
    #[arg(long)]
    log_to_stderr: bool,
    /// Set for the daemon itself: standard output leads to the waiting process.
    #[arg(long, hide = true)]
    daemon: bool,
}

/// `--proxy-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// nftables where the kernel has it, userspace otherwise.
    Auto,
    /// Rules in the kernel.
    Nftables,
    /// Connections through this process.
    Userspace,
}

impl From<Mode> for ProxyMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Nftables => Self::Nftables,
            Mode::Userspace => Self::Userspace,
        }
    }
}

/// Starts a cluster.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    preflight::require_root("up", "it makes network interfaces, packet rules, mounts and control groups")?;
    let places = options.root.places()?;
    let settings = (feature_gates(&options.feature_gates)?, runtime_config(&options.runtime_config)?);
    if options.detach {
        return detach(&places);
    }
    let clock = SystemClock::shared();
    let progress =
        if options.daemon { Progress::for_parent(clock.clone()) } else { Progress::for_people(clock.clone()) };
    if options.daemon {
        // A terminal that goes away takes its session with it, not this process.
        nix::unistd::setsid().context("begin a session")?;
    }
    let outcome = start(options, settings, places, progress.clone(), clock);
    match outcome {
        Err(error) if error.is::<Abandoned>() => {
            // For the log, to which the daemon's complaints go.
            note(format!("{error}: the cluster was not started"));
            Ok(ExitCode::FAILURE)
        }
        Err(error) if progress.is_for_parent() => {
            progress.tell(Event::Failed(format!("{error:#}")));
            Ok(ExitCode::FAILURE)
        }
        outcome => outcome,
    }
}

fn start(
    options: Options,
    (feature_gates, runtime_config): (Option<String>, Option<String>),
    places: Places,
    progress: Progress,
    clock: corten_base::SharedClock,
) -> anyhow::Result<ExitCode> {
    let tell = |line: String| progress.tell(Event::Note(line));
    let stdout = std::io::stdout();
    // Who has asked for a daemon and does not wait for it any more has thought better of it.
    let asker = if options.daemon { Asker::behind(&tell, stdout.as_fd()) } else { Asker::new(&tell) };
    let claim = match Instance::claim(&places, Purpose::Serve, asker)? {
        Claim::Running(running) => running.or_its_end(&places, asker)?,
        ours => ours,
    };
    let wishes = Wishes {
        listen: options.listen,
        api_port: options.api_port,
        advertise: options.advertise_address,
        node_name: options.node_name,
        cluster_cidr: options.cluster_cidr,
        service_cidr: options.service_cidr,
        proxy_mode: options.proxy_mode.map(Into::into),
        kubelet_port: options.kubelet_port,
        feature_gates,
        runtime_config,
    };
    let _instance = match claim {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => {
            if let Some(record) = Record::read(&places.record())? {
                wishes.expect_running(&record)?;
            }
            progress.tell(Event::Ready(already_running(running.pid(), &places)));
            return Ok(ExitCode::SUCCESS);
        }
    };
    asker.expect_there()?;
    expect_restored(&places)?;
    let step = progress.step("preflight");
    let record = Record::read(&places.record())?;
    let config = Config::complete(Scope::Cluster, places, wishes, record.as_ref())?;
    preflight::check(&config)?;
    let images = absolute(options.image)?;
    archive::check(&images)?;
    init_logs(&options.log, options.log_to_stderr, &config.places)?;
    step.done("");
    let begin = Start { images, merge_kubeconfig: !options.no_kubeconfig };
    let rng = SystemRng::shared();
    run_until_signal(|stop, shutdown| {
        assembly::run((config, record), begin, progress, (Arc::clone(&clock), rng), (stop, shutdown))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What to say when there is a cluster already.
pub(crate) fn already_running(pid: Option<i32>, places: &Places) -> String {
    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let (flag, corten) = (places.flag(), program::name());
    format!("a cluster already runs here{pid}: `{corten} status{flag}` shows it, `{corten} down{flag}` stops it")
}

fn absolute(paths: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let one = |path: PathBuf| std::path::absolute(&path).with_context(|| format!("find {}", path.display()));
    paths.into_iter().map(one).collect()
}

/// Starts the daemon: this very command line again, without `--detach`, and shows its progress until it is ready.
fn detach(places: &Places) -> anyhow::Result<ExitCode> {
    ground::settle(places)?;
    fs::create_dir_all(&places.log())?;
    let progress = Progress::for_people(SystemClock::shared());
    let mut child = spawn_daemon(places)?;
    let output = child.stdout.take().context("standard output is piped")?;
    match relay(BufReader::new(output), &progress) {
        Some(Event::Ready(text)) => {
            say(&text);
            Ok(ExitCode::SUCCESS)
        }
        Some(Event::Failed(reason)) => {
            child.wait().context("wait for the daemon")?;
            bail!("{reason}\nThe log is {}", places.log_file().display());
        }
        _ => {
            let status = child.wait().context("wait for the daemon")?;
            if status.success() {
                bail!("the cluster was stopped before it was ready; the log is {}", places.log_file().display());
            }
            bail!(
                "the cluster did not start: the daemon ended with {status}; its log is {}",
                places.log_file().display()
            );
        }
    }
}

fn spawn_daemon(places: &Places) -> anyhow::Result<Child> {
    let log = places.log_file();
    let complaints = OpenOptions::new().append(true).create(true).mode(0o640).open(&log).at("open", &log)?;
    let program = std::env::current_exe().context("find this program's file")?;
    // `-d` and `--detach` come after the word `up`; every other argument keeps its meaning.
    let arguments = std::env::args_os().skip(1).filter(|one| one != "--detach" && one != "-d");
    Command::new(&program)
        .arg0("corten")
        .args(arguments)
        .arg("--daemon")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .spawn()
        .with_context(|| format!("start {}", program.display()))
}

fn init_logs(filter: &str, to_stderr: bool, places: &Places) -> anyhow::Result<()> {
    if to_stderr {
        return Ok(corten_component_base::logs::init(filter, corten_component_base::logs::Format::Text)?);
    }
    let path = places.log_file();
    fs::create_dir_all(&places.log())?;
    put_aside_if_long(&path)?;
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path).at("open", &path)?;
    let parsed = EnvFilter::try_new(filter).with_context(|| format!("parse the log filter {filter:?}"))?;
    let lines = fmt::layer().with_ansi(false).with_target(false).with_writer(Arc::new(file));
    tracing_subscriber::registry().with(parsed).with(lines).try_init().context("set up logs")
}
