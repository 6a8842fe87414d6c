//! Tests on a machine of their own: the test runs itself again inside `cargo xtask sandbox`.

use std::{
    env,
    process::{Command, Stdio},
};

/// Set for the test that runs inside.
const INSIDE: &str = "CORTEN_E2E_INSIDE";

/// Runs `body` as root of a fresh machine: own processes, mounts and networks, empty data folders, no cluster yet.
/// `test` is the full name of the calling test: `module::name`.
///
/// # Panics
/// If `body` fails inside, with what it printed; if the sandbox cannot be made.
#[track_caller]
pub fn in_sandbox(test: &str, body: impl FnOnce() -> anyhow::Result<()>) {
    if env::var_os(INSIDE).is_some() {
        if let Err(error) = body() {
            panic!("{error:?}");
        }
        return;
    }
    let xtask = env::var_os("CORTEN_XTASK").expect("CORTEN_XTASK is not set: run `cargo xtask test`");
    let this = env::current_exe().expect("a process knows its program");
    let status = Command::new(xtask)
        .args(["sandbox", "--"])
        .arg(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        // The cause is in the text; where the test stood says its last command.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .status()
        .expect("the sandbox starts");
    assert!(status.success(), "{test} failed inside the sandbox: {status}");
}
