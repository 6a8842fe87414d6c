//! `cargo xtask test`: tools, then every stage, then a table of times and the count of tests.
//!
//! A failed stage does not stop the later ones, so that one run shows all there is to repair (`--fail-fast` stops).
//! Tests find what they need by environment: see [`test_environment`].

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::places::Places;
use crate::process::{self, run as run_command};
use crate::stopwatch::{self, Stopwatch};
use crate::{images, tidy, tools};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only this stage; can be given several times.
    #[arg(long = "stage", value_enum)]
    stages: Vec<Stage>,
    /// Stop at the first stage that fails.
    #[arg(long)]
    fail_fast: bool,
    /// Let random tests of decoders run for a minute instead of a second, and tests of faults with their full load.
    #[arg(long)]
    all: bool,
}

/// How long each decoder gets random input with `--all`: a dozen of them are done before a test counts as one that hangs.
const FUZZ_SECONDS: &str = "5";

/// A stage of the test run, in the order they run: the quickest answer first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Formatting of all sources.
    Fmt,
    /// Invariants that need no compiler.
    Tidy,
    /// Tools under target/tools.
    Tools,
    /// Licences, bans and sources of all dependencies, by deny.toml.
    Deny,
    /// Lints of all targets, warnings as errors.
    Clippy,
    /// Compilation of all tests.
    Build,
    /// Unit and integration tests.
    Unit,
    /// The real binary under real kubectl; needs root.
    E2e,
}

const E2E_CRATE: &str = "corten-e2e";

enum Outcome {
    Passed,
    Skipped(&'static str),
    Failed(anyhow::Error),
}

/// Numbers of tests, added up over the stages that run tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Runs the chosen stages, or all. The exit code is non-zero when any of them failed.
pub(crate) fn run(places: &Places, options: &Options) -> anyhow::Result<ExitCode> {
    let chosen: Vec<Stage> = if options.stages.is_empty() {
        Stage::value_variants().to_vec()
    } else {
        Stage::value_variants().iter().filter(|stage| options.stages.contains(stage)).copied().collect()
    };
    check_architecture(std::env::consts::ARCH, &chosen)?;
    let total = Stopwatch::start();
    let mut counts = Counts::default();
    let mut results: Vec<(Stage, Outcome, Duration)> = Vec::new();
    for stage in chosen {
        println!("\n== {} ==", name(stage));
        let watch = Stopwatch::start();
        let outcome = run_stage(stage, places, options, &mut counts).unwrap_or_else(Outcome::Failed);
        match &outcome {
            Outcome::Passed => println!("== {}: passed in {} ==", name(stage), watch.elapsed_text()),
            Outcome::Skipped(reason) => println!("== {}: skipped, {reason} ==", name(stage)),
            Outcome::Failed(error) => println!("== {}: FAILED in {}: {error:#} ==", name(stage), watch.elapsed_text()),
        }
        let stop = options.fail_fast && matches!(outcome, Outcome::Failed(_));
        results.push((stage, outcome, watch.elapsed()));
        if stop {
            break;
        }
    }
    print!("\n{}", table(&results, total.elapsed()));
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    let failed = results.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tools, packages and test images are fetched for one architecture. Elsewhere a test would fail late, for a library that is
/// missing.
fn check_architecture(architecture: &str, stages: &[Stage]) -> anyhow::Result<()> {
    let needs_none = [Stage::Fmt, Stage::Tidy, Stage::Clippy];
    if architecture == "x86_64" || stages.iter().all(|stage| needs_none.contains(stage)) {
        return Ok(());
    }
    bail!(
        "the tools and images of the tests are those of x86_64, and this machine is {architecture}: here there are \
         `cargo xtask test --stage fmt --stage tidy --stage clippy` and `cargo test` of single crates"
    );
}

fn run_stage(stage: Stage, places: &Places, options: &Options, counts: &mut Counts) -> anyhow::Result<Outcome> {
    let has_e2e = places.has_crate(E2E_CRATE);
    match stage {
        Stage::Fmt => run_command(process::cargo(&places.root).args(["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all` and commit what it changes")?,
        Stage::Tidy => tidy::run(&places.root)?,
        Stage::Tools => tools::install_all(places)?,
        Stage::Deny => {
            let mut deny = process::companion(&places.root, &places.tool("cargo-deny"))?;
            run_command(deny.args(["--log-level", "error", "check", "licenses", "bans", "sources"]))?;
        }
        Stage::Clippy => {
            let mut clippy = process::cargo(&places.root);
            clippy.arg("clippy").args(process::verbosity()).args(["--workspace", "--all-targets"]);
            // Not by RUSTFLAGS: they are part of every crate's fingerprint and would throw the dependencies away.
            run_command(clippy.args(["--", "-D", "warnings"]))?;
        }
        Stage::Build => {
            let mut build = process::cargo(&places.root);
            // All targets in one go: cargo picks the features of shared dependencies by what is built together, and a
            // different choice would compile them again.
            build.arg("build").args(process::verbosity()).args(["--workspace", "--lib", "--bins", "--tests"]);
            run_command(&mut build)?;
        }
        Stage::Unit => {
            // The container runtime's own tests run real images, too.
            images::build(places)?;
            let mut command = nextest(places)?;
            if has_e2e {
                command.args(["--filterset", &format!("not package({E2E_CRATE})")]);
            }
            if options.all {
                command.env("CORTEN_FUZZ_SECONDS", FUZZ_SECONDS);
            }
            run_tests(&mut command, counts)?;
        }
        Stage::E2e if !has_e2e => return Ok(Outcome::Skipped("crate corten-e2e does not exist yet")),
        Stage::E2e if !nix::unistd::geteuid().is_root() => {
            bail!(
                "containers and network namespaces need root; run `sudo -E env \"PATH=$PATH\" cargo xtask test`, or name \
                 other stages with --stage"
            )
        }
        Stage::E2e => {
            images::build(places)?;
            let mut command = nextest(places)?;
            command.args(["--profile", "e2e", "--filterset", &format!("package({E2E_CRATE})")]);
            if options.all {
                command.env("CORTEN_FAULTS_LONG", "1");
            }
            run_tests(&mut command, counts)?;
        }
    }
    Ok(Outcome::Passed)
}

fn nextest(places: &Places) -> anyhow::Result<Command> {
    let mut runner = process::companion(&places.root, &places.tool("cargo-nextest"))?;
    runner.args(["nextest", "run", "--cargo-quiet", "--workspace"]).envs(test_environment(places));
    Ok(runner)
}

/// What tests are told: `CORTEN_TEST_TOOLS` (folder with `bin`), `CORTEN_TEST_IMAGES` (folder of image archives),
/// `CORTEN_BIN` (the binary of this build) and `CORTEN_XTASK` (this program, for sandboxes).
fn test_environment(places: &Places) -> [(&'static str, PathBuf); 4] {
    let build = places.target.join("debug");
    [
        ("CORTEN_TEST_TOOLS", places.tools.clone()),
        ("CORTEN_TEST_IMAGES", places.images.clone()),
        ("CORTEN_BIN", build.join("corten")),
        // Not this process's own file: the build stage may have replaced it.
        ("CORTEN_XTASK", build.join("xtask")),
    ]
}

/// Runs a test runner, passing its report on line by line and adding up its summary.
fn run_tests(command: &mut Command, counts: &mut Counts) -> anyhow::Result<()> {
    let color = if std::io::stdout().is_terminal() { "always" } else { "never" };
    command.args(["--color", color]).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {}", process::display(command)))?;
    let report = child.stderr.take().context("the runner's report is piped")?;
    for line in BufReader::new(report).split(b'\n') {
        let line = line.context("read the test runner's report")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(found) = parse_summary(&line) {
            counts.passed += found.passed;
            counts.failed += found.failed;
            counts.skipped += found.skipped;
        }
    }
    let status = child.wait().context("wait for the test runner")?;
    // The runner's documented exit codes.
    match status.code() {
        Some(0) => Ok(()),
        Some(100) => bail!("tests failed, listed above; one of them again: `cargo nextest run -p CRATE NAME`"),
        Some(101) => bail!("the tests do not build, see above"),
        _ => bail!("the test runner ended with {status}"),
    }
}

/// Reads `Summary [ 1.2s] 7 tests run: 5 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
fn parse_summary(line: &str) -> Option<Counts> {
    let plain = without_colors(line);
    let (_, parts) = plain.trim_start().strip_prefix("Summary [")?.split_once(" run: ")?;
    let mut counts = Counts::default();
    let mut depth = 0;
    let outside: String = parts
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let keep = depth == 0;
            depth -= i32::from(*c == ')');
            keep
        })
        .collect();
    for part in outside.split(',') {
        let (number, what) = part.trim().split_once(' ')?;
        let number: u32 = number.parse().ok()?;
        match what.trim() {
            "passed" => counts.passed += number,
            "skipped" => counts.skipped += number,
            // "failed", "timed out", "exec failed": none of them is a success.
            _ => counts.failed += number,
        }
    }
    Some(counts)
}

fn without_colors(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some(escape) = rest.find('\u{1b}') {
        plain.push_str(&rest[..escape]);
        let end = rest[escape..].find('m').map_or(rest.len(), |offset| escape + offset + 1);
        rest = &rest[end..];
    }
    plain + rest
}

fn table(results: &[(Stage, Outcome, Duration)], total: Duration) -> String {
    let mut text = String::new();
    for (stage, outcome, time) in results {
        let result = match outcome {
            Outcome::Passed => "passed",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "FAILED",
        };
        let _ = writeln!(text, "{:<8} {result:<8} {:>14}", name(*stage), stopwatch::text(*time));
    }
    let _ = writeln!(text, "{:<8} {:<8} {:>14}", "total", "", stopwatch::text(total));
    text
}

fn name(stage: Stage) -> String {
    stage.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(u32, u32, u32)>) {
        assert_eq!(parse_summary(line), want.map(|(passed, failed, skipped)| Counts { passed, failed, skipped }));
    }

    /// It failed late, for a library that was missing.
    #[test]
    fn other_architectures_are_refused_at_once() {
        check_architecture("x86_64", Stage::value_variants()).unwrap();
        check_architecture("aarch64", &[Stage::Fmt, Stage::Clippy]).unwrap();
        let error = check_architecture("aarch64", Stage::value_variants()).unwrap_err().to_string();
        assert!(error.contains("this machine is aarch64"), "{error}");
    }

    #[test]
    fn reads_the_runners_summary() {
        check("     Summary [   0.016s] 2 tests run: 2 passed, 0 skipped", Some((2, 0, 0)));
        check(
            "     Summary [  1.2s] 9 tests run: 5 passed (1 slow, 1 flaky), 1 failed, 3 timed out, 2 skipped",
            Some((5, 4, 2)),
        );
        check(
            "\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m passed, 0 skipped",
            Some((1, 0, 0)),
        );
        check("        PASS [   0.005s] corten-base clock::tests::a", None);
        check("Summary [ 1s] nothing", None);
    }

    #[test]
    fn the_table_names_stages_results_and_times() {
        let results = [
            (Stage::Fmt, Outcome::Passed, Duration::from_millis(400)),
            (Stage::E2e, Outcome::Failed(anyhow::anyhow!("x")), Duration::from_secs(90)),
        ];
        let want = "fmt      passed            0.4 s\n\
                    e2e      FAILED       1 min 30 s\n\
                    total                 1 min 31 s\n";
        assert_eq!(table(&results, Duration::from_secs(91)), want);
    }
}
