//! Every benchmark: a file and a line in the list.

mod api;
mod counts;
mod definitions;
mod node;
mod scale;
mod size;
mod start;
mod watched;

use crate::report::Report;

/// One benchmark.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    /// For the list.
    pub(crate) about: &'static str,
    /// Whether it runs containers, and so needs a machine of its own.
    pub(crate) needs_sandbox: bool,
    /// One run; adds its figures to the report.
    pub(crate) run: fn(&mut Report) -> anyhow::Result<()>,
}

/// All of them.
pub(crate) static BENCHES: &[&Bench] =
    &[&api::BENCH, &counts::BENCH, &definitions::BENCH, &node::BENCH, &scale::BENCH, &size::BENCH, &start::BENCH];

/// Runs asynchronous work on a runtime of its own.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
