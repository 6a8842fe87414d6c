//! A pod's shim as a program of its own: smaller than `corten`, and what this crate's tests run.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // The word that chooses the shim among corten's commands is no argument of it.
    let arguments = arguments.strip_prefix(&["shim".into()]).unwrap_or(&arguments);
    corten_container_runtime::shim::main(arguments)
}
