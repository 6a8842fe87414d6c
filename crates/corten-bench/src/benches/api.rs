//! What the API server's verbs cost: pods of 2.2 KB as stored, over TLS and HTTP/2, with 1,000 nodes and 10,000 pods present.

use http::{Method, StatusCode};

use super::{Bench, block_on, watched};
use crate::{
    crowd::{self, Nodes},
    load::Load,
    objects::NAMESPACE,
    process,
    report::Report,
    server::Server,
};

/// How many pods there are when reads are measured.
const PODS: usize = 10_000;
const NODES: usize = 1_000;
/// How many requests a figure is made of, for cheap ones.
const REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 4;
const WATCHERS: usize = 100;
const WATCHED_CREATIONS: usize = 500;

pub(super) static BENCH: Bench =
    Bench { name: "api", about: "create, get, list, watch and deletecollection of pods", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    block_on(async {
        let load = Load::open(&server.kubeconfig(), CONNECTIONS).await?;
        let mut nodes = Nodes::register(&load, NODES).await?;
        server.rest().await?;
        creates(&server, &load, report).await?;
        nodes.beat(&load).await?;
        gets(&server, &load, report).await?;
        nodes.beat(&load).await?;
        lists(&server, &load, report).await?;
        let (_, cpu, _) = server.measure(watched::deliver(&load, WATCHERS, WATCHED_CREATIONS)).await?;
        report.add("100 watchers x 500 creations of 2 KB", "s cpu", cpu.as_secs_f64(), Some(0.3));
        let memory = process::resident_bytes(server.pid())? as f64 / 1_048_576.0;
        report.add("RSS with 10,000 pods and 1,000 nodes after load", "MiB", memory, Some(100.0));
        nodes.beat(&load).await?;
        let path = format!("{NAMESPACE}/pods?gracePeriodSeconds=0");
        let (_, cpu, _) = server.measure(load.call(0, Method::DELETE, &path, "", StatusCode::OK)).await?;
        report.add("deletecollection of 10,000 pods", "s cpu", cpu.as_secs_f64(), Some(1.0));
        Ok(())
    })
}

async fn creates(server: &Server, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    let mut from = 0;
    for (clients, count) in [(1, 500), (16, 4_750), (64, 4_750)] {
        let ((), cpu, wall) = server.measure(crowd::create_pods(load, from, count, clients)).await?;
        let (per_op, budget) = (cpu.as_secs_f64() * 1e3 / count as f64, (clients == 16).then_some(0.12));
        report.add(format!("create pod, {clients} clients"), "ms cpu/op", per_op, budget);
        let rate = count as f64 / wall.as_secs_f64();
        report.add(format!("create pod, {clients} clients: rate"), "1/s", rate, (clients == 64).then_some(8_000.0));
        from += count;
    }
    let count = 4_000;
    let ((), cpu, _) = server.measure(crowd::create_config_maps(load, "map", count, 16)).await?;
    report.add("create configmap, 16 clients", "ms cpu/op", cpu.as_secs_f64() * 1e3 / count as f64, Some(0.08));
    Ok(())
}

async fn gets(server: &Server, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    for clients in [16, 64] {
        let work = load.many(REQUESTS, clients, |load, number| async move {
            let path = format!("{NAMESPACE}/pods/{}", crowd::pod_name(number % PODS));
            load.call(number, Method::GET, &path, "", StatusCode::OK).await
        });
        let ((), cpu, wall) = server.measure(work).await?;
        let per_op = cpu.as_secs_f64() * 1e3 / REQUESTS as f64;
        report.add(format!("get pod, {clients} clients"), "ms cpu/op", per_op, Some(0.03));
        report.add(format!("get pod, {clients} clients: rate"), "1/s", REQUESTS as f64 / wall.as_secs_f64(), None);
    }
    Ok(())
}

async fn lists(server: &Server, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    const LISTS: usize = 10;
    for (name, query) in [("any version", "?resourceVersion=0"), ("consistent", "")] {
        let path = format!("{NAMESPACE}/pods{query}");
        let (bytes, cpu, _) = server
            .measure(async {
                let mut bytes = 0;
                for _ in 0..LISTS {
                    bytes = load.call(0, Method::GET, &path, "", StatusCode::OK).await?;
                }
                Ok(bytes)
            })
            .await?;
        let per_list = cpu.as_secs_f64() * 1e3 / LISTS as f64;
        report.add(format!("list 10,000 pods, {name}"), "ms cpu", per_list, Some(16.0));
        report.add(format!("list 10,000 pods, {name}: size"), "MB", bytes as f64 / 1e6, None);
    }
    Ok(())
}
