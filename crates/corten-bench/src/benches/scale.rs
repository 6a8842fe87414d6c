//! Whether a write costs the same whatever is stored already, and what memory a stored pod takes.

use std::time::Duration;

use super::{Bench, block_on};
use crate::{crowd, load::Load, process, report::Report, server::Server};

/// How many pods there are when writes are measured.
const PRESENT: [usize; 3] = [0, 10_000, 50_000];
/// How many writes a figure is made of.
const WRITES: usize = 4_000;
const CLIENTS: usize = 16;
const CONNECTIONS: usize = 4;
/// How many of each there are before anything is measured.
const WARM_UP: usize = 500;

pub(super) static BENCH: Bench =
    Bench { name: "scale", about: "writes beside 0 to 50,000 pods; memory per pod", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    block_on(async {
        let load = Load::open(&server.kubeconfig(), CONNECTIONS).await?;
        // What the first objects bring with them is no part of what each takes.
        crowd::create_config_maps(&load, "first", WARM_UP, CLIENTS).await?;
        crowd::create_pods(&load, 0, WARM_UP, CLIENTS).await?;
        let mut pods = WARM_UP;
        let first = Stored::measure(&server, &load).await?;
        for present in PRESENT {
            // Those of the last measurement count.
            let missing = present.saturating_sub(pods);
            crowd::create_pods(&load, pods, missing, 64).await?;
            pods += missing;
            if missing > 0 {
                let now = Stored::measure(&server, &load).await?;
                let ratio = now.memory.saturating_sub(first.memory) as f64 / (now.json - first.json) as f64;
                report.add(format!("memory per object / its JSON, {present} pods"), "x", ratio, Some(2.5));
            }
            let prefix = format!("beside-{present}");
            let maps = crowd::create_config_maps(&load, &prefix, WRITES, CLIENTS);
            let ((), cpu, _) = server.measure(maps).await?;
            let per_op = |cpu: Duration| cpu.as_secs_f64() * 1e3 / WRITES as f64;
            report.add(format!("create configmap beside {present} pods"), "ms cpu/op", per_op(cpu), Some(0.08));
            let ((), cpu, _) = server.measure(crowd::create_pods(&load, pods, WRITES, CLIENTS)).await?;
            report.add(format!("create pod beside {present}"), "ms cpu/op", per_op(cpu), Some(0.12));
            pods += WRITES;
        }
        Ok(())
    })
}

/// What a server has stored, and what that takes, in bytes.
struct Stored {
    json: u64,
    memory: u64,
}

impl Stored {
    async fn measure(server: &Server, load: &Load) -> anyhow::Result<Self> {
        server.rest().await?;
        let json = crowd::list(load, "pods").await? + crowd::list(load, "configmaps").await?;
        Ok(Self { json, memory: process::resident_bytes(server.pid())? })
    }
}
