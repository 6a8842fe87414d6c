//! Child processes: started with errors that name the program and how to get it.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Runs a command with the terminal as it is; an exit code other than zero is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("start {}", display(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", display(command));
    }
    Ok(())
}

/// Runs a command silently and returns what it printed; when it fails, its complaint is in the error.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {}", display(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", display(command), output.status, last_lines(&complaint));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Cargo, as it called this task: the same toolchain and no second rustup look-up.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    without_cargo_run(Command::new(program), root)
}

/// On a terminal cargo shows its progress. In a log hundreds of `Compiling` lines would hide what matters.
pub(crate) fn verbosity() -> Option<&'static str> {
    (!std::io::stderr().is_terminal()).then_some("--quiet")
}

/// An installed companion of cargo, which calls cargo in turn.
pub(crate) fn companion(root: &Path, program: &Path) -> anyhow::Result<Command> {
    if !program.exists() {
        bail!("{} does not exist; run `cargo xtask tools`", program.display());
    }
    Ok(without_cargo_run(Command::new(program), root))
}

/// Removes what the `cargo run` around this task set: left in place, it is an input of build scripts and causes rebuilds.
fn without_cargo_run(mut command: Command, root: &Path) -> Command {
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The command as one would type it.
pub(crate) fn display(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    words.collect::<Vec<_>>().join(" ")
}

fn last_lines(text: &str) -> String {
    // Eight lines: enough for pip's and apt's explanation, little enough to read in an error.
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_complaint() {
        let error = output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("exit status: 3") && error.contains("no luck"), "{error}");
    }
}
