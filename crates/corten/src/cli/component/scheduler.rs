//! `corten kube-scheduler`. Flags: kube-scheduler v1.35; flags count more than the file of `--config`.

mod configuration;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use corten_base::TaskSet;
use corten_informer::InitialList;
use tracing::warn;

use self::configuration::Configuration;
use super::{
    ClientOptions, LeaderOptions,
    not_followed::{Known, NotFollowed},
};
use crate::{assembly, cli::common::run_until_signal};

const NAME: &str = "kube-scheduler";

/// Options of `corten kube-scheduler`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    leader: LeaderOptions,
    /// A file with a `KubeSchedulerConfiguration` of kubescheduler.config.k8s.io/v1.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    not_followed: NotFollowed<Upstream>,
}

/// Flags that are known and not followed.
#[derive(Debug)]
enum Upstream {}

impl Known for Upstream {
    const SWITCHES: &'static [&'static str] = &["contention-profiling", "profiling"];
    const VALUES: &'static [&'static str] = &[
        "authentication-kubeconfig",
        "authorization-kubeconfig",
        "bind-address",
        "feature-gates",
        "kube-api-burst",
        "kube-api-qps",
        "secure-port",
    ];
}

impl Options {
    /// Takes over from the file what no flag says, and gives how pods are scheduled and which fields are not followed.
    fn complete(&mut self) -> anyhow::Result<(corten_scheduler::framework::Config, Vec<String>)> {
        let file = self.config.as_deref().map(Configuration::read).transpose()?.unwrap_or_default();
        let (client, leader) = (&mut self.client, &mut self.leader);
        client.kubeconfig = client.kubeconfig.take().or(file.kubeconfig);
        leader.leader_elect = leader.leader_elect.or(file.leader_elect);
        leader.leader_elect_resource_name = leader.leader_elect_resource_name.take().or(file.lease_name);
        leader.leader_elect_resource_namespace = leader.leader_elect_resource_namespace.take().or(file.lease_namespace);
        Ok((file.scheduling, file.ignored))
    }
}

/// Schedules until it is told to stop.
pub(crate) fn run(mut options: Options) -> anyhow::Result<ExitCode> {
    let (scheduling, ignored) = options.complete()?;
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        options.not_followed.tell();
        if !ignored.is_empty() {
            warn!(fields = ignored.join(" "), "Fields of the configuration are not followed");
        }
        let (from, scheduling) = (&base, &scheduling);
        let work = |signal: corten_base::Shutdown| async move {
            let tasks = TaskSet::new("scheduler");
            let times = (&from.clock, &from.rng);
            assembly::start_scheduler(&from.client, scheduling, times, &tasks, &signal, InitialList::WatchList)?;
            tasks.guard(signal.requested()).await;
            tasks.join().await.context("end the scheduler")
        };
        options.leader.lead(NAME, &base, work, shutdown).await?;
        let tasks = base.tasks.clone();
        drop(base);
        tasks.join().await.context("close connections")
    })?;
    Ok(ExitCode::SUCCESS)
}
