//! What a test can say about containers and calls before they happen.

use std::time::Duration;

use tokio::sync::watch;

use crate::CriError;

/// How a container behaves. The default runs until it is stopped, and ends with 0 on the stop signal.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What happens when it is started.
    pub on_start: OnStart,
    /// What happens when it is asked to stop.
    pub on_stop: OnStop,
    /// What commands do that are run in it, by their first word; the rest exit with 0 and say nothing.
    pub exec: Vec<(String, ExecScript)>,
}

/// The start of a container.
#[derive(Debug, Clone, Default)]
pub enum OnStart {
    /// It runs until it is stopped or the test ends it.
    #[default]
    Run,
    /// The start fails. The container has then exited with code 128, as runtimes report it.
    Fail(CriError),
    /// It ends by itself.
    ExitAfter(Duration, Exit),
}

/// A container's answer to the stop signal.
#[derive(Debug, Clone)]
pub enum OnStop {
    /// It ends at once.
    Exit(Exit),
    /// It ends after a while, if it is not killed before.
    ExitAfter(Duration, Exit),
    /// It does nothing: only SIGKILL ends it.
    Ignore,
}

impl Default for OnStop {
    fn default() -> Self {
        Self::Exit(Exit::code(0))
    }
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 + the signal for a process that was killed.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled` or a runtime's own word.
    pub reason: &'static str,
    /// Details for people.
    pub message: String,
}

impl Exit {
    /// An exit with the reason that its code has by itself.
    #[must_use]
    pub fn code(code: i32) -> Self {
        Self { code, reason: if code == 0 { "Completed" } else { "Error" }, message: String::new() }
    }
}

/// What a command does in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecScript {
    /// How long it runs.
    pub takes: Duration,
    /// Its exit code.
    pub exit_code: i32,
    /// What it writes to stdout.
    pub stdout: Vec<u8>,
    /// What it writes to stderr.
    pub stderr: Vec<u8>,
    /// Whether it copies its stdin to stdout first.
    pub echo: bool,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time since its start.
    pub cpu_nanos: u64,
    /// CPU now, in billionths of a core.
    pub cpu_nano_cores: u64,
    /// Memory that cannot be given back without harm.
    pub memory_working_set_bytes: u64,
    /// The writable layer.
    pub writable_layer_bytes: u64,
    /// Inodes of the writable layer.
    pub writable_layer_inodes: u64,
}

/// Keeps calls waiting while it lives.
#[derive(Debug)]
pub struct Hold(pub(super) watch::Sender<bool>);

impl Hold {
    /// Lets the calls go on, and all later ones.
    pub fn release(self) {
        self.0.send_replace(true);
    }
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) call: &'static str,
    pub(super) target: Option<String>,
    pub(super) times: u32,
    pub(super) error: CriError,
}

impl Failure {
    pub(super) fn matches(&self, call: &str, target: &str) -> bool {
        self.times > 0
            && (self.call == call || self.call == "*")
            && self.target.as_deref().is_none_or(|wanted| wanted == target)
    }
}
