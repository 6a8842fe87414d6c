//! All automation of the workspace, in Rust.

mod codegen;

use clap::Parser;

/// Automation of the Corten workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Make files that are generated and committed.
    Codegen(codegen::Options),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Codegen(options) => codegen::run(&options),
    }
}
