//! Transcripts of a shell: commands and what they print, played against a cluster.
//!
//! ```text
//! # A comment: what the next commands show.
//! $ kubectl get configmap none
//! ? 1
//! Error from server (NotFound): configmaps "none" not found
//! $ cat > one.yaml <<END
//! > kind: ConfigMap
//! > END
//! ```
//!
//! `? N` is the exit code where it is not 0; both outputs are one text, without spaces at the ends of lines. `[..]` stands for
//! anything within a line, a line `...` for any number of lines. Each transcript has a folder and a namespace of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::kubectl::Kubectl;

/// Far longer than any command here takes on a busy machine; one that hangs does not take the others with it.
const COMMAND_SECONDS: &str = "90";

const ANYTHING: &str = "[..]";
const ANY_LINES: &str = "...";

/// A command, and what it has to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    command: String,
    exit_code: i32,
    output: Vec<String>,
}

/// Plays a transcript in kubectl's namespace.
///
/// Errors: all steps that did something else.
pub fn play(kubectl: &Kubectl, transcript: &str) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("transcript-").tempdir().context("make the transcript's folder")?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::copy(kubectl.kubeconfig(), &kubeconfig).context("copy the kubeconfig")?;
    let tools = kubectl.program().parent().context("kubectl is in a folder")?;
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display());
    let shell = |command: &str| -> anyhow::Result<(i32, Vec<String>)> {
        let output = Command::new("timeout")
            .args([COMMAND_SECONDS, "sh", "-c", &format!("exec 2>&1\n{command}")])
            .env_clear()
            .envs([("PATH", Path::new(&path)), ("HOME", folder.path()), ("KUBECONFIG", &kubeconfig)])
            // An editor on a terminal would wait for somebody to type.
            .env("EDITOR", "true")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run {command}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok((output.status.code().unwrap_or(-1), lines(&text)))
    };
    let (code, said) = shell(&format!("kubectl config set-context --current --namespace {}", kubectl.namespace()))?;
    ensure!(code == 0, "{}", said.join("\n"));
    let mut wrong = Vec::new();
    for step in parse(transcript) {
        let (code, output) = shell(&step.command)?;
        if code != step.exit_code || !matches(&step.output, &output) {
            wrong.push(format!(
                "$ {}\n? {code}\n{}\n-- instead of --\n? {}\n{}\n",
                step.command,
                output.join("\n"),
                step.exit_code,
                step.output.join("\n")
            ));
        }
    }
    ensure!(wrong.is_empty(), "{} commands did something else:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// The lines of what was printed, without the empty ones at its end.
fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

fn parse(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_open = false;
    for line in transcript.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), ..Step::default() });
            is_open = true;
            continue;
        }
        if line.starts_with('#') {
            is_open = false;
        }
        let Some(step) = steps.last_mut().filter(|_| is_open) else { continue };
        let is_fresh = step.output.is_empty();
        if let Some(more) = line.strip_prefix("> ").filter(|_| is_fresh) {
            step.command.push('\n');
            step.command.push_str(more);
        } else if let Some(code) = line.strip_prefix("? ").filter(|_| is_fresh) {
            step.exit_code = code.parse().expect("a transcript's exit code is a number");
        } else {
            step.output.push(line.to_owned());
        }
    }
    for step in &mut steps {
        while step.output.last().is_some_and(String::is_empty) {
            step.output.pop();
        }
    }
    steps
}

fn matches(want: &[String], got: &[String]) -> bool {
    let parts: Vec<&[String]> = want.split(|line| line == ANY_LINES).collect();
    let same = |want: &[String], got: &[String]| {
        want.len() == got.len() && want.iter().zip(got).all(|(want, got)| line_matches(want, got))
    };
    let [first, middle @ .., last] = parts.as_slice() else { return same(want, got) };
    if got.len() < first.len() + last.len() {
        return false;
    }
    let (head, rest) = got.split_at(first.len());
    let (mut rest, tail) = rest.split_at(rest.len() - last.len());
    for part in middle.iter().filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| same(part, window)) else { return false };
        rest = &rest[at + part.len()..];
    }
    same(first, head) && same(last, tail)
}

fn line_matches(want: &str, got: &str) -> bool {
    let parts: Vec<&str> = want.split(ANYTHING).collect();
    let [first, middle @ .., last] = parts.as_slice() else { return want == got };
    let Some(mut rest) = got.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests;
