//! Benchmarks against the release binary: `cargo xtask bench NAME`, or `all`.
//!
//! Flow: a bench starts the binary, loads it over real TLS and reads from /proc what its process has used. Every figure is
//! the median of several runs, with the least and the most beside it and the machine's load above the table.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod benches;
mod crowd;
mod load;
mod objects;
mod process;
mod report;
mod server;

use anyhow::{Context as _, bail};
use clap::Parser;

use crate::{benches::BENCHES, report::Report};

/// Measures Corten.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// The benchmark: one of those listed without a name; `all` runs every one.
    name: Option<String>,
    /// How often each is run.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Set for the part that runs inside a sandbox.
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Some(name) = arguments.name else {
        println!("benchmarks:");
        for bench in BENCHES {
            println!("  {:<8} {}", bench.name, bench.about);
        }
        return Ok(());
    };
    let selected: Vec<_> = BENCHES.iter().filter(|bench| name == "all" || bench.name == name).collect();
    if selected.is_empty() {
        bail!("there is no benchmark {name:?}; `cargo xtask bench` lists them");
    }
    if arguments.runs == 0 {
        bail!("--runs 0 measures nothing; give 1 or more");
    }
    for bench in selected {
        if bench.needs_sandbox && !arguments.inside {
            process::in_sandbox(bench.name, arguments.runs)?;
            continue;
        }
        let mut report = Report::new(bench.name, arguments.runs);
        for run in 0..arguments.runs {
            (bench.run)(&mut report).with_context(|| format!("bench {}, run {}", bench.name, run + 1))?;
        }
        print!("{report}");
    }
    Ok(())
}
