//! Runs real bundles on this machine: root, control groups and namespaces are needed; without root every test says that it
//! was skipped.
//!
//! The crate wants a process with one thread, which libtest does not give. So this program is its own harness: it speaks as
//! much of libtest's command line as cargo and nextest use, runs one named test in this process, and several each in a
//! process of its own. `CORTEN_OCI_RUNTIME=/usr/sbin/runc` runs the tests of [`neutral`] with another runtime's command line.
//! Called as `probe NAME` it is a program inside a container instead.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a harness and the programs of containers print")]

mod bench;
mod confinement;
mod exec;
mod failures;
mod lifecycle;
mod limits;
mod neutral;
mod probe;
mod support;
mod terminals;
mod volumes;

use std::process::{Command, ExitCode};

/// A test: its name as nextest shows it, and what it does.
type Test = (&'static str, fn());

fn tests() -> Vec<Test> {
    [
        neutral::TESTS,
        lifecycle::TESTS,
        exec::TESTS,
        terminals::TESTS,
        volumes::TESTS,
        limits::TESTS,
        confinement::TESTS,
        failures::TESTS,
    ]
    .concat()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("probe") => return probe::run(&args[1..]),
        Some("measure") => return bench::run(&args[1..]),
        _ => {}
    }
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let tests = tests();
    if has("--list") {
        // Nothing is ignored.
        for (name, _) in tests.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    if has("--exact") {
        if let Some((name, test)) = tests.iter().find(|(name, _)| filters.iter().any(|filter| filter == name)) {
            if support::may_run() {
                test();
                println!("test {name} ... ok");
            } else {
                println!("test {name} ... skipped: containers need root");
            }
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = Vec::new();
    for (name, _) in
        tests.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)))
    {
        let own = std::env::current_exe().expect("a running program has a file");
        let status = Command::new(own).args(["--exact", name]).status().expect("this program starts again");
        if !status.success() {
            failed.push(*name);
        }
    }
    println!("{} failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
