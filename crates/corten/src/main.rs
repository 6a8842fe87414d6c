//! The `corten` binary: every component of Kubernetes behind one command line.
#![forbid(unsafe_code)]

mod assembly;
mod cli;
mod config;

mod addons;
mod archive;
mod backup_file;
mod blocking;
mod commands;
mod components;
mod control;
mod descriptors;
mod floors;
mod ground;
mod identity;
mod instance;
mod kubeconfig;
mod log_file;
mod node;
mod pki;
mod places;
mod preflight;
mod process;
mod program;
mod progress;
mod readiness;
mod record;
mod renewal;
mod rights;
mod sweep;
mod unix_socket;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // Before anything else: a shim may have one thread only, and its memory counts once per pod.
    if arguments.get(1).is_some_and(|word| word == "shim") {
        return corten_container_runtime::shim::main(&arguments[2..]);
    }
    // A parent that blocks signals for itself hands that on; a server that cannot be told to stop would have to be killed.
    if let Err(error) = nix::sys::signal::SigSet::empty().thread_set_mask() {
        unreachable!("an empty signal mask is refused: {error}");
    }
    cli::main(arguments)
}
