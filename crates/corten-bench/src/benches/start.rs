//! How soon a control plane serves, and what it takes at rest.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Bench, block_on};
use crate::{load::Load, process, report::Report, server::Server};

/// How long a control plane at rest is watched.
const REST: Duration = Duration::from_secs(10);

pub(super) static BENCH: Bench =
    Bench { name: "start", about: "a control plane's start, and what it takes at rest", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    let before = server.clock.monotonic();
    block_on(async {
        let load = Load::open(&server.kubeconfig(), 1).await?;
        while load.send(0, Method::GET, "/readyz", "").await?.status() != StatusCode::OK {
            server.clock.sleep(Duration::from_millis(1)).await;
        }
        let ready = server.listening + (server.clock.monotonic() - before);
        report.add("process start to readyz", "ms", ready.as_secs_f64() * 1e3, Some(100.0));
        let ((), cpu, wall) = server
            .measure(async {
                server.clock.sleep(REST).await;
                Ok(())
            })
            .await?;
        report.add("at rest: CPU", "% of a core", cpu.as_secs_f64() / wall.as_secs_f64() * 100.0, Some(2.0));
        report.add("at rest: RSS", "MiB", process::resident_bytes(server.pid())? as f64 / 1_048_576.0, Some(40.0));
        Ok(())
    })
}
