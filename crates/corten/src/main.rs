//! The `corten` binary: every component of Kubernetes behind one command line.
#![forbid(unsafe_code)]

mod assembly;
mod cli;
mod config;
mod kubeconfig;
mod pki;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    cli::run(cli::Arguments::parse())
}
