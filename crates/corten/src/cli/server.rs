//! `corten server`: the control plane in the foreground.

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use corten_base::{SystemClock, SystemRng};
use corten_component_base::logs;

use super::{
    backup::expect_restored,
    common::{Root, run_until_signal},
    gates::{feature_gates, runtime_config},
};
use crate::{
    assembly::{self, Start},
    config::{Config, Scope, Wishes},
    instance::{Asker, Claim, Instance, Purpose},
    places::Places,
    progress::Progress,
    record::Record,
};

/// Options of `corten server`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    root: Root,
    /// The address to serve the API on.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// The address that clients inside the cluster are told; that of --listen, or the machine's.
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
    /// Which optional features are on: `Name=true,Other=false`; as the last time if left out.
    #[arg(long, env = "CORTEN_FEATURE_GATES", value_name = "GATES")]
    feature_gates: Vec<String>,
    /// Which versions and resources are served: `api/beta=true,group/version=false`; as the last time if left out.
    #[arg(long, env = "CORTEN_RUNTIME_CONFIG", value_name = "SETTINGS")]
    runtime_config: Vec<String>,
    /// Which log lines are written: a level, or module=level pairs.
    #[arg(long, env = "CORTEN_LOG", default_value = "info")]
    log: String,
}

/// Runs the control plane until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    let (feature_gates, runtime_config) =
        (feature_gates(&options.feature_gates)?, runtime_config(&options.runtime_config)?);
    logs::init(&options.log, logs::Format::Text)?;
    let places = options.root.places()?;
    let tell = |line: String| tracing::info!(what = line, "Waited for another command");
    let asker = Asker::new(&tell);
    let claim = match Instance::claim(&places, Purpose::Serve, asker).with_context(|| why_not(&places))? {
        Claim::Running(running) => running.or_its_end(&places, asker)?,
        ours => ours,
    };
    let _instance = match claim {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => anyhow::bail!(super::up::already_running(running.pid(), &places)),
    };
    expect_restored(&places)?;
    let wishes = Wishes {
        listen: Some(options.listen.ip()),
        api_port: Some(options.listen.port()),
        advertise: options.advertise_address,
        feature_gates,
        runtime_config,
        ..Wishes::default()
    };
    let record = Record::read(&places.record())?;
    let config = Config::complete(Scope::ControlPlane, places, wishes, record.as_ref())?;
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let progress = Progress::for_log(clock.clone());
    run_until_signal(|stop, shutdown| {
        assembly::run((config, record), Start::default(), progress, (clock, rng), (stop, shutdown))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn why_not(places: &Places) -> String {
    format!("the control plane cannot be kept in {}: name a directory of your own with --root", places.root.display())
}
