//! The first process of a PID namespace that a pod's containers share.

use std::process::ExitCode;

use nix::errno::Errno;

/// What it does: nothing but reap what its siblings leave to it.
pub(super) fn run() -> ExitCode {
    // A shim that was killed ends its pod, and this process with all that is in its namespace.
    if rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        match nix::sys::wait::waitpid(None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            // No children: wait for a signal that ends this process. Children come without one, so SIGCHLD must wake it.
            Err(_) => {
                let mut signals = nix::sys::signal::SigSet::empty();
                signals.add(nix::sys::signal::Signal::SIGCHLD);
                if signals.thread_block().is_err() || signals.wait().is_err() {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
}
