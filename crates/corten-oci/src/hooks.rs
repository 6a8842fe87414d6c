//! Hooks of a bundle that run in the shim's place: poststart and poststop.
//!
//! libcontainer runs them; it starts threads to watch their time, so a fork does it, and the shim stays single-threaded.

use std::{fs::File, io::Read as _, path::Path};

use libcontainer::{config::YoukiConfig, container::Container, hooks::run_hooks};
use nix::{
    fcntl::OFlag,
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};

use crate::{
    error::{During as _, SystemError, chain},
    sys,
};

/// A hook that failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Its words.
    #[error("run {kind} hooks: {message}")]
    Failed {
        /// Which list.
        kind: &'static str,
        /// What happened.
        message: String,
    },
    /// It could not be tried.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Which hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    PostStart,
    PostStop,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::PostStart => "poststart",
            Self::PostStop => "poststop",
        }
    }
}

/// Runs the hooks one after the other; `state` is libcontainer's directory of the container, where it has kept them.
pub(crate) fn run(kind: Kind, state: &Path) -> Result<(), HookError> {
    let config =
        YoukiConfig::load(state).map_err(|error| HookError::Failed { kind: kind.name(), message: chain(&error) })?;
    let hooks = config.hooks.as_ref().and_then(|hooks| match kind {
        Kind::PostStart => hooks.poststart().as_ref(),
        Kind::PostStop => hooks.poststop().as_ref(),
    });
    let Some(hooks) = hooks.filter(|hooks| !hooks.is_empty()) else { return Ok(()) };
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).during("make pipe for hooks")?;
    // SAFETY: the process has one thread; the child ends by _exit.
    match unsafe { fork() }.during("fork for hooks")? {
        ForkResult::Child => {
            let result = Container::load(state.to_owned()).map_err(|error| chain(&error)).and_then(|container| {
                run_hooks(Some(hooks), Some(&container.state), None, None, None).map_err(|error| chain(&error))
            });
            if let Err(message) = &result {
                // The exit code remains when this fails.
                let _ = nix::unistd::write(&write, message.as_bytes());
            }
            sys::exit_now(i32::from(result.is_err()));
        }
        ForkResult::Parent { child } => {
            drop(write);
            let mut message = String::new();
            File::from(read).read_to_string(&mut message).during("read from hooks")?;
            let status = sys::retry(|| waitpid(child, None)).during("wait for hooks")?;
            if status == nix::sys::wait::WaitStatus::Exited(child, 0) {
                Ok(())
            } else {
                Err(HookError::Failed { kind: kind.name(), message })
            }
        }
    }
}
