//! How long a container takes: `cargo test -p corten-oci --test bundles -- measure [ROUNDS]`.

use std::{process::ExitCode, time::Duration};

use crate::support::{Bundle, exec};

/// Times the steps of full-featured containers in one process and prints the medians with the machine's load.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let rounds: usize = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(50);
    let clock = corten_base::SystemClock::shared();
    let mut bundle = Bundle::new(&["sleep", "100"]).with_default_seccomp();
    bundle.linux()["resources"] = serde_json::json!({
        "memory": {"limit": 64 << 20}, "cpu": {"shares": 512, "quota": 25_000, "period": 100_000}, "pids": {"limit": 50}
    });
    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..rounds {
        let start = clock.monotonic();
        let mut container = bundle.create(corten_oci::Stdio::null());
        let created = clock.monotonic();
        container.start().unwrap();
        let started = clock.monotonic();
        exec(&mut container, &bundle, "true", |_| {});
        let executed = clock.monotonic();
        container.delete(true).unwrap();
        let deleted = clock.monotonic();
        let steps = [created - start, started - created, executed - started, deleted - executed];
        for (times, step) in times.iter_mut().zip(steps) {
            times.push(step);
        }
        times[4].push(steps[0] + steps[1] + steps[3]);
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{rounds} rounds, load {}", load.trim());
    for (name, times) in ["create", "start", "exec to its end", "delete", "create+start+delete"].iter().zip(&mut times)
    {
        times.sort_unstable();
        println!("{name:>20}: median {:?}, 90 % {:?}", times[times.len() / 2], times[times.len() * 9 / 10]);
    }
    ExitCode::SUCCESS
}
