//! `corten kube-scheduler`. Flags: kube-scheduler v1.35.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use corten_base::TaskSet;
use corten_informer::InitialList;

use super::{ClientOptions, LeaderOptions};
use crate::{assembly, cli::common::run_until_signal};

const NAME: &str = "kube-scheduler";

/// Options of `corten kube-scheduler`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    leader: LeaderOptions,
}

/// Schedules until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        let from = &base;
        let work = |signal: corten_base::Shutdown| async move {
            let tasks = TaskSet::new("scheduler");
            let times = (&from.clock, &from.rng);
            assembly::start_scheduler(&from.client, times, &tasks, &signal, InitialList::WatchList)?;
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
