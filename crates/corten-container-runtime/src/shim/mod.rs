//! The process beside each pod that owns its containers: `corten shim`.
//!
//! Flow: runtime -> `client` -> socket of the pod -> `server` (one thread, one `poll` loop) -> `corten-oci`.
//! The shim is the parent of all first processes and execs, reaps them, copies their output into log files, and writes
//! `state.json` for each container at every step. It needs nobody: when the runtime dies, pods run on, and the next
//! runtime connects to the same socket.

pub(crate) mod client;
mod log;
mod output;
mod pause;
pub(crate) mod process;
pub mod protocol;
mod server;

use std::{ffi::OsString, process::ExitCode};

use corten_base::ErrorChain;

/// The argument that makes the shim's program the first process of a shared PID namespace.
pub(crate) const PAUSE: &str = "pause";

/// The entry of a shim's process: call it before anything has started a thread. `arguments` are what follows the
/// program's name and the word that chose the shim; standard input is the listening socket.
///
/// Returns when the runtime asked it to end, or what it could not start with.
#[must_use]
#[expect(clippy::print_stderr, reason = "standard error is the shim's own log file")]
pub fn main(arguments: &[OsString]) -> ExitCode {
    if arguments.first().is_some_and(|first| first == PAUSE) {
        return pause::run();
    }
    if let Err(error) = corten_oci::self_clone::ensure_read_only_executable() {
        eprintln!("shim: {}", ErrorChain(&error));
        return ExitCode::FAILURE;
    }
    let Some(directory) = arguments.first() else {
        eprintln!("shim: the directory of the pod is missing");
        return ExitCode::FAILURE;
    };
    match server::run(directory.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shim: {}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}
