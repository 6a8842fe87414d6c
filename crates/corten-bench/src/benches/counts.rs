//! How many instructions of user mode each verb takes, by callgrind: the one figure that a busy machine does not change.
//!
//! The server runs under valgrind, which has no AVX-512, so that TLS and checksums take more than outside. Controllers and
//! the scheduler run in the same process and are counted. Set `CORTEN_BENCH_PROFILES` to a folder to keep the profiles, for
//! `callgrind_annotate`; `cargo xtask bench --profile profiling counts` gives them names of functions.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};

use super::{Bench, block_on, watched};
use crate::{crowd, load::Load, objects::NAMESPACE, report::Report, server::Server};

const PODS: usize = 2_000;
const WRITES: usize = 1_000;
const READS: usize = 2_000;
const LISTS: usize = 5;
const WATCHERS: usize = 20;
const WATCHED_CREATIONS: usize = 200;
const CLIENTS: usize = 16;
const CONNECTIONS: usize = 4;

pub(super) static BENCH: Bench =
    Bench { name: "counts", about: "instructions per request, by callgrind", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let scratch = tempfile::Builder::new().prefix("corten-counts-").tempdir().context("make a folder for profiles")?;
    let folder = env::var_os("CORTEN_BENCH_PROFILES").map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let pattern = format!("--callgrind-out-file={}", folder.join("callgrind.out.%p").display());
    let server = Server::start_under(&["valgrind", "--tool=callgrind", &pattern])?;
    let counter = Counter { pid: server.pid(), folder };
    block_on(async {
        server.rest().await?;
        report.add("start and come to rest", "k instructions", counter.stop("start")?, None);
        let load = Load::open(&server.kubeconfig(), CONNECTIONS).await?;
        crowd::create_pods(&load, 0, PODS, CLIENTS).await?;
        crowd::create_config_maps(&load, "first", 200, CLIENTS).await?;
        let count = counter.of("create-pod", crowd::create_pods(&load, PODS, WRITES, CLIENTS)).await?;
        report.add("create pod", "k instructions", count / WRITES as f64, None);
        let count = counter.of("create-configmap", crowd::create_config_maps(&load, "map", WRITES, CLIENTS)).await?;
        report.add("create configmap", "k instructions", count / WRITES as f64, None);
        for (verb, body) in [("patch", merge_patch as fn(usize) -> String), ("apply", configuration)] {
            let suffix = if verb == "apply" { "?fieldManager=bench&force=true" } else { "" };
            let writes = load.many(WRITES, CLIENTS, |load, number| async move {
                let path = format!("{NAMESPACE}/configmaps/map-{number}{suffix}");
                load.patch(number, verb == "apply", &path, body(number)).await
            });
            let count = counter.of(verb, writes).await?;
            report.add(format!("{verb} configmap"), "k instructions", count / WRITES as f64, None);
        }
        let gets = load.many(READS, CLIENTS, |load, number| async move {
            let path = format!("{NAMESPACE}/pods/{}", crowd::pod_name(number % PODS));
            load.call(number, Method::GET, &path, "", StatusCode::OK).await
        });
        let count = counter.of("get-pod", gets).await?;
        report.add("get pod", "k instructions", count / READS as f64, None);
        let lists = async {
            for _ in 0..LISTS {
                crowd::list(&load, "pods").await?;
            }
            Ok(())
        };
        let count = counter.of("list-pods", lists).await?;
        report.add("list pods, each of them", "k instructions", count / (LISTS * (PODS + WRITES)) as f64, None);
        let count = counter.of("watch", watched::deliver(&load, WATCHERS, WATCHED_CREATIONS)).await?;
        let row = format!("create configmap of 2 KB and tell {WATCHERS} watchers");
        report.add(row, "k instructions", count / WATCHED_CREATIONS as f64, None);
        let count = counter.of("client", ask_as_kubectl(&load)).await?;
        report.add("discovery, OpenAPI and metrics, once", "k instructions", count, None);
        let gone = async {
            load.call(0, Method::DELETE, &format!("{NAMESPACE}/pods"), "", StatusCode::OK).await?;
            Ok(())
        };
        let count = counter.of("deletecollection", gone).await?;
        report.add("deletecollection, each pod", "k instructions", count / (PODS + WRITES) as f64, None);
        Ok(())
    })
}

fn merge_patch(number: usize) -> String {
    format!(r#"{{"metadata":{{"labels":{{"patched":"{number}"}}}}}}"#)
}

fn configuration(number: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"map-{number}"}},"data":{{"key":"{number}"}}}}"#
    )
}

/// What a client asks that does not know the server yet.
async fn ask_as_kubectl(load: &Load) -> anyhow::Result<()> {
    for path in
        ["/api", "/apis", "/api/v1", "/apis/apps/v1", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/metrics", "/readyz"]
    {
        load.call(0, Method::GET, path, "", StatusCode::OK).await?;
    }
    Ok(())
}

/// Counts what a process under callgrind does.
struct Counter {
    pid: u32,
    folder: PathBuf,
}

impl Counter {
    /// How many thousand instructions the process takes while `work` is done; its profile is kept under `name`.
    async fn of(&self, name: &str, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<f64> {
        self.control(&["--instr=on"])?;
        work.await?;
        self.stop(name)
    }

    /// How many thousand instructions the process has taken since counting began, which ends; the profile is kept under `name`.
    fn stop(&self, name: &str) -> anyhow::Result<f64> {
        self.control(&["--dump"])?;
        self.control(&["--instr=off"])?;
        let dumped = self.dumped()?;
        let text = fs::read_to_string(&dumped).with_context(|| format!("read {}", dumped.display()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let total: f64 = total.context("the profile has a total")?.trim().parse().context("the total is a number")?;
        let kept = self.folder.join(format!("{name}.callgrind"));
        fs::rename(&dumped, &kept).with_context(|| format!("keep {}", kept.display()))?;
        Ok(total / 1e3)
    }

    fn control(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let out = Command::new("callgrind_control")
            .args(arguments)
            .arg(self.pid.to_string())
            .output()
            .context("start callgrind_control")?;
        ensure!(out.status.success(), "callgrind_control: {}", String::from_utf8_lossy(&out.stderr));
        Ok(())
    }

    /// The one profile that has no name yet.
    fn dumped(&self) -> anyhow::Result<PathBuf> {
        let entries = fs::read_dir(&self.folder).with_context(|| format!("list {}", self.folder.display()))?;
        let prefix = format!("callgrind.out.{}.", self.pid);
        let is_new = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        for entry in entries {
            let path = entry.context("list the profiles")?.path();
            if is_new(&path) {
                return Ok(path);
            }
        }
        anyhow::bail!("callgrind left no profile in {}", self.folder.display())
    }
}
