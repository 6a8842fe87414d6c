//! Whether a write costs the same whatever is stored already, and what memory a stored pod takes.

use super::{Bench, block_on};
use crate::{crowd, load::Load, process, report::Report, server::Server};

/// How many pods there are when writes are measured.
const PRESENT: [usize; 3] = [0, 10_000, 50_000];
/// How many writes a figure is made of.
const WRITES: usize = 4_000;
const CLIENTS: usize = 16;
const CONNECTIONS: usize = 4;
/// Beside nothing else, a first write pays for what all later ones find in place.
const WARM_UP: usize = 500;

pub(super) static BENCH: Bench =
    Bench { name: "scale", about: "writes beside 0 to 50,000 pods; memory per pod", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    block_on(async {
        let load = Load::open(&server.kubeconfig(), CONNECTIONS).await?;
        crowd::create_config_maps(&load, "first", WARM_UP, CLIENTS).await?;
        let mut pods = 0;
        let mut empty = 0;
        for present in PRESENT {
            // Those of the last measurement count.
            crowd::create_pods(&load, pods, present.saturating_sub(pods), 64).await?;
            pods = pods.max(present);
            if present == 0 {
                // A few, so that what the first pod brings with it is no part of what each takes.
                crowd::create_pods(&load, pods, WARM_UP, CLIENTS).await?;
                pods += WARM_UP;
            }
            let (before, bytes_before) = (process::resident_bytes(server.pid())?, pods);
            if present == 0 {
                empty = before;
            } else {
                let bytes = crowd::list_pods(&load, "?resourceVersion=0").await?;
                let each = bytes as f64 / pods as f64 * (pods - WARM_UP) as f64;
                let grown = before.saturating_sub(empty) as f64;
                report.add(format!("memory per pod / its JSON, {bytes_before} pods"), "x", grown / each, Some(2.5));
            }
            let ((), cpu, _) =
                server.measure(crowd::create_config_maps(&load, &format!("beside-{present}"), WRITES, CLIENTS)).await?;
            let per_op = |seconds: f64| seconds * 1e3 / WRITES as f64;
            report.add(
                format!("create configmap beside {present} pods"),
                "ms cpu/op",
                per_op(cpu.as_secs_f64()),
                Some(0.08),
            );
            let ((), cpu, _) = server.measure(crowd::create_pods(&load, pods, WRITES, CLIENTS)).await?;
            report.add(format!("create pod beside {present}"), "ms cpu/op", per_op(cpu.as_secs_f64()), Some(0.12));
            pods += WRITES;
        }
        Ok(())
    })
}
