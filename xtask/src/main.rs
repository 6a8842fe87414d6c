//! All automation of the workspace, in Rust: `cargo xtask help` lists it.
//!
//! Invariant: nothing on the system changes. What a task installs, builds or writes goes under cargo's target folder.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what a task does")]

mod bench;
mod codegen;
mod dist;
mod fuzz;
mod golden;
mod images;
mod places;
mod process;
mod sandbox;
mod stopwatch;
mod test;
mod tidy;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::places::Places;

/// Automation of the Corten workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need under target/tools and run all stages; fails if any of them fails.
    Test(test::Options),
    /// Check layers, purity, module docs and the other invariants that need no compiler.
    Tidy {
        /// Another work tree than this one.
        root: Option<PathBuf>,
    },
    /// Install kubectl, helm, cargo-nextest and some Debian packages under target/tools.
    Tools,
    /// Run a command in namespaces of its own with a network uplink; nothing of it stays behind.
    Sandbox(sandbox::Options),
    /// Write the container images of the tests to target/images.
    Images,
    /// Build the release binary; print its size and SHA-256.
    Dist,
    /// Rewrite golden files from what the code does now; review the change with git diff.
    Golden(golden::Options),
    /// Make files that are generated and committed.
    Codegen(codegen::Options),
    /// Run a benchmark of crate corten-bench.
    Bench(bench::Options),
    /// Give the decoders of all crates random input for as long as asked.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            // Piped output of children has been flushed by now, so the reason stands last.
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let places = Places::find().context("find the workspace")?;
    match task {
        Task::Test(options) => return test::run(&places, &options),
        Task::Sandbox(options) => return sandbox::run(&options),
        Task::Tidy { root } => tidy::run(root.as_deref().unwrap_or(&places.root))?,
        Task::Tools => tools::install_all(&places)?,
        Task::Images => images::build(&places)?,
        Task::Codegen(options) => codegen::run(&options)?,
        Task::Dist => dist::run(&places)?,
        Task::Golden(options) => golden::run(&places, &options)?,
        Task::Bench(options) => bench::run(&places, &options)?,
        Task::Fuzz(options) => fuzz::run(&places, &options)?,
    }
    Ok(ExitCode::SUCCESS)
}
