//! What a process has used, and processes in sandboxes.

use std::{env, fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, ensure};

/// The binary under test.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    match env::var_os("CORTEN_BIN") {
        Some(path) => Ok(path.into()),
        // Both are built into the same folder.
        None => Ok(env::current_exe().context("find this program")?.with_file_name("corten")),
    }
}

/// The processor time of a process and all its threads, in user and kernel mode.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The name, in parentheses, may hold anything: the fields are counted from its end (proc(5): 14 utime, 15 stime).
    let fields: Vec<&str> = stat.rsplit_once(')').context("the name ends")?.1.split_whitespace().collect();
    let ticks = |index: usize| -> anyhow::Result<u64> { Ok(fields.get(index).context("a field is missing")?.parse()?) };
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("the kernel has a tick")?;
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) as f64 / per_second as f64))
}

/// The resident memory of a process, in bytes: what it has of its own and what it maps from files.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is a number")?;
    Ok(kilobytes * 1_024)
}

/// Runs a benchmark of this program inside `cargo xtask sandbox`.
pub(crate) fn in_sandbox(name: &str, runs: usize) -> anyhow::Result<()> {
    let xtask = env::var_os("CORTEN_XTASK").context("CORTEN_XTASK is not set: run `cargo xtask bench`")?;
    let status = Command::new(xtask)
        .args(["sandbox", "--"])
        .arg(env::current_exe().context("find this program")?)
        .args([name, "--inside", "--runs", &runs.to_string()])
        .status()
        .context("start the sandbox")?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}
