//! A whole cluster on one machine: how soon it runs pods, and what it takes at rest.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use corten_base::{SharedClock, SystemClock};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::{Bench, block_on};
use crate::{load::Load, process, report::Report};

/// How long a cluster at rest is watched.
const REST: Duration = Duration::from_secs(10);
/// How many pods are started, one after the other, for the start time of a pod.
const PODS: usize = 20;

pub(super) static BENCH: Bench = Bench {
    name: "node",
    about: "a whole cluster's start, its pods' start, what it takes at rest",
    needs_sandbox: true,
    run,
};

fn run(report: &mut Report) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let binary = process::binary()?;
    let corten = |arguments: &[&str]| -> anyhow::Result<()> {
        let output = Command::new(&binary).args(arguments).stdin(Stdio::null()).output().context("run corten")?;
        ensure!(output.status.success(), "corten {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let tools =
        std::env::var_os("CORTEN_TEST_TOOLS").context("CORTEN_TEST_TOOLS is not set: run `cargo xtask bench`")?;
    let images =
        std::env::var("CORTEN_TEST_IMAGES").context("CORTEN_TEST_IMAGES is not set: run `cargo xtask bench`")?;
    let kubectl = |arguments: &[&str]| -> anyhow::Result<String> {
        let program = std::path::Path::new(&tools).join("bin/kubectl");
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().context("run kubectl")?;
        ensure!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // The images outlive `down`, so that the second start has all that a start of every day has.
    let started = clock.monotonic();
    corten(&["up", "--detach"])?;
    report.add("first `up` to node Ready", "s", (clock.monotonic() - started).as_secs_f64(), None);
    corten(&["image", "import", &format!("{images}/busybox-1.28.docker.tar")])?;
    corten(&["down"])?;

    let started = clock.monotonic();
    corten(&["up", "--detach"])?;
    let ready = clock.monotonic() - started;
    report.add("second `up` to node Ready", "s", ready.as_secs_f64(), Some(1.0));
    let run_pod =
        |name: &str| kubectl(&["run", name, "--image=busybox:1.28", "--restart=Never", "--", "sleep", "3600"]);
    run_pod("first")?;
    kubectl(&["wait", "--for=condition=Ready", "pod/first", "--timeout=60s"])?;
    let first = clock.monotonic() - started;
    report.add("second `up` to first pod running (two kubectl calls within)", "s", first.as_secs_f64(), Some(1.5));

    let mut times = block_on(pod_starts(&clock))?;
    times.sort_by(f64::total_cmp);
    report.add("pod start p50, image present (creation to Running)", "ms", times[PODS / 2], Some(100.0));
    report.add("pod start, the slowest of 20", "ms", times[PODS - 1], Some(300.0));
    kubectl(&["delete", "pod", "--all", "--grace-period=0", "--force"])?;

    let pid = cluster_pid()?;
    let cpu = process::cpu_time(pid)?;
    let begun = clock.monotonic();
    std::thread::park_timeout(REST);
    let used = (process::cpu_time(pid)? - cpu).as_secs_f64() / (clock.monotonic() - begun).as_secs_f64();
    report.add("at rest: CPU", "% of a core", used * 100.0, Some(2.0));
    report.add("at rest: RSS", "MiB", process::resident_bytes(pid)? as f64 / 1_048_576.0, Some(60.0));
    corten(&["delete"])
}

/// How long each of some pods takes from its creation until the API shows it as running, in milliseconds.
async fn pod_starts(clock: &SharedClock) -> anyhow::Result<Vec<f64>> {
    let kubeconfig = std::env::var_os("KUBECONFIG").context("KUBECONFIG is not set: sandboxes set it")?;
    let load = Load::open(kubeconfig.as_ref(), 1).await?;
    let pods = "/api/v1/namespaces/default/pods";
    let mut times = Vec::with_capacity(PODS);
    for number in 0..PODS {
        let name = format!("pod-{number}");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "busybox:1.28", "command": ["sleep", "3600"]}]}});
        let watch = format!("{pods}?watch=true&fieldSelector=metadata.name%3D{name}");
        let mut changes = load.send(0, Method::GET, &watch, "").await?.into_body();
        let created = clock.monotonic();
        load.call(0, Method::POST, pods, pod.to_string(), StatusCode::CREATED).await?;
        let mut seen = Vec::new();
        let running = b"\"phase\":\"Running\"";
        while !seen.windows(running.len()).any(|window| window == running) {
            let frame = changes.frame().await.context("the watch ended")??;
            seen.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
        times.push((clock.monotonic() - created).as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn cluster_pid() -> anyhow::Result<u32> {
    let status = std::fs::read_dir("/proc").context("list processes")?.filter_map(Result::ok);
    let mut pids = status.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = line.split(|&byte| byte == 0);
        let is_cluster = words.next()?.ends_with(b"corten") && words.next()? == b"up";
        is_cluster.then_some(pid)
    });
    pids.next().context("the cluster runs")
}
