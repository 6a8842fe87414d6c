//! What the API server's verbs cost: pods of 2.2 KB as stored, over TLS and HTTP/2, with 10,000 of them present.

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::{Bench, block_on};
use crate::{load::Load, process, report::Report, server::Server};

/// How many pods there are when reads are measured.
const PODS: usize = 10_000;
/// How many requests a figure is made of, for cheap ones.
const REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 4;
const WATCHERS: usize = 100;
const WATCHED_CREATIONS: usize = 500;
const NAMESPACE: &str = "/api/v1/namespaces/default";

pub(super) static BENCH: Bench =
    Bench { name: "api", about: "create, get, list, watch and deletecollection of pods", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    block_on(async {
        let load = Load::open(&server.kubeconfig(), CONNECTIONS).await?;
        creates(&server, &load, report).await?;
        gets(&server, &load, report).await?;
        lists(&server, &load, report).await?;
        watches(&server, &load, report).await?;
        let memory = process::resident_bytes(server.pid())? as f64 / 1_048_576.0;
        report.add("RSS with 10,000 pods after load", "MiB", memory, Some(100.0));
        let path = format!("{NAMESPACE}/pods?gracePeriodSeconds=0");
        let (_, cpu, _) = server.measure(load.call(0, Method::DELETE, &path, "", StatusCode::OK)).await?;
        report.add("deletecollection of 10,000 pods", "s cpu", cpu.as_secs_f64(), Some(1.0));
        Ok(())
    })
}

async fn creates(server: &Server, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    let mut from = 0;
    for (clients, count) in [(1, 500), (16, 4_750), (64, 4_750)] {
        let work = load.many(count, clients, |load, number| async move {
            let pod = pod(&format!("pod-{:05}", from + number));
            load.call(number, Method::POST, &format!("{NAMESPACE}/pods"), pod, StatusCode::CREATED).await
        });
        let ((), cpu, wall) = server.measure(work).await?;
        let (per_op, budget) = (cpu.as_secs_f64() * 1e3 / count as f64, (clients == 16).then_some(0.12));
        report.add(format!("create pod, {clients} clients"), "ms cpu/op", per_op, budget);
        let rate = count as f64 / wall.as_secs_f64();
        report.add(format!("create pod, {clients} clients: rate"), "1/s", rate, (clients == 64).then_some(8_000.0));
        from += count;
    }
    let count = 4_000;
    let work = load.many(count, 16, |load, number| async move {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{number}")}, "data": {"key": "value"}});
        load.call(number, Method::POST, &format!("{NAMESPACE}/configmaps"), map.to_string(), StatusCode::CREATED).await
    });
    let ((), cpu, _) = server.measure(work).await?;
    report.add("create configmap, 16 clients", "ms cpu/op", cpu.as_secs_f64() * 1e3 / count as f64, Some(0.08));
    Ok(())
}

async fn gets(server: &Server, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    for clients in [16, 64] {
        let work = load.many(REQUESTS, clients, |load, number| async move {
            let path = format!("{NAMESPACE}/pods/pod-{:05}", number % PODS);
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

async fn watches(server: &Server, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    let path = format!("{NAMESPACE}/configmaps?watch=true&resourceVersion=0&labelSelector=watched%3Dtrue");
    let mut watchers = Vec::with_capacity(WATCHERS);
    for number in 0..WATCHERS {
        watchers.push(load.send(number, Method::GET, &path, "").await?.into_body());
    }
    let work = async {
        let mut reading: FuturesUnordered<_> = watchers
            .into_iter()
            .map(|mut body| async move {
                let mut events = 0;
                while events < WATCHED_CREATIONS {
                    let frame = body.frame().await.ok_or_else(|| anyhow::anyhow!("a watch ended"))??;
                    events += frame.data_ref().map_or(0, |data| data.iter().filter(|&&byte| byte == b'\n').count());
                }
                anyhow::Ok(())
            })
            .collect();
        let padding = "x".repeat(1_900);
        let creations = load.many(WATCHED_CREATIONS, 16, |load, number| {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("watched-{number}"), "labels": {"watched": "true"}}, "data": {"key": padding}});
            async move {
                load.call(number, Method::POST, &format!("{NAMESPACE}/configmaps"), map.to_string(), StatusCode::CREATED).await
            }
        });
        let deliveries = async {
            while let Some(done) = reading.next().await {
                done?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(creations, deliveries)
    };
    let (_, cpu, _) = server.measure(work).await?;
    report.add("100 watchers x 500 creations of 2 KB", "s cpu", cpu.as_secs_f64(), Some(0.3));
    Ok(())
}

/// A pod of realistic size: 2.2 KB of JSON once it has its defaults and managed fields, as the budgets assume.
fn pod(name: &str) -> Bytes {
    let number = name.len() + name.bytes().map(usize::from).sum::<usize>();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": format!("app-{}", number % 30), "tier": "backend"},
            "annotations": {"example.com/owner": format!("team-{}", number % 30)},
        },
        "spec": {
            "containers": [{
                "name": "main", "image": "registry.example.com/team/application:1.2.3",
                "env": [{"name": "SETTING", "value": format!("value-{number}")}],
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            }],
            // Nobody's: what the scheduler does with pods is another benchmark's matter.
            "schedulerName": "none",
        },
    });
    pod.to_string().into()
}
