//! Pods: awaited, logs, commands over a WebSocket, forwarded ports, eviction.

use anyhow::Context as _;
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{AttachParams, EvictParams, LogParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{World, refused, same, step};

const SCRIPT: &str = "echo first; echo second; mkdir /www; echo page > /www/index.html; exec httpd -f -p 8080 -h /www";

pub(super) async fn check(world: &World) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(world.client.clone(), &world.namespace);
    step("a pod comes up", a_pod_comes_up(&pods)).await?;
    step("logs are read and followed", logs_are_read(&pods)).await?;
    step("commands run over a WebSocket", commands_run(&pods)).await?;
    step("ports are forwarded", ports_are_forwarded(&pods)).await?;
    step("a pod is evicted", a_pod_is_evicted(&pods)).await
}

async fn a_pod_comes_up(pods: &Api<Pod>) -> anyhow::Result<()> {
    let pod = json!({
        "metadata": {"name": "talker"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "busybox:1.28", "command": ["sh", "-c", SCRIPT]}],
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    await_condition(pods.clone(), "talker", conditions::is_pod_running()).await?;
    Ok(())
}

async fn logs_are_read(pods: &Api<Pod>) -> anyhow::Result<()> {
    let followed = LogParams { follow: true, ..LogParams::default() };
    let mut lines = pods.log_stream("talker", &followed).await?.lines();
    for want in ["first", "second"] {
        same(lines.try_next().await?.as_deref(), Some(want))?;
    }
    let last = LogParams { tail_lines: Some(1), ..LogParams::default() };
    same(pods.logs("talker", &last).await?.as_str(), "second\n")?;
    let nobody = LogParams { container: Some("nobody".into()), ..LogParams::default() };
    let message = refused(pods.logs("talker", &nobody).await, 400, "BadRequest")?;
    same(message.as_str(), "container nobody is not valid for pod talker")
}

async fn commands_run(pods: &Api<Pod>) -> anyhow::Result<()> {
    let params = AttachParams::default().stdin(true);
    let script = "read line; echo got $line; echo wrong >&2; exit 7";
    let mut session = pods.exec("talker", ["sh", "-c", script], &params).await?;
    let status = session.take_status().context("a command has a status")?;
    session.stdin().context("the input was asked for")?.write_all(b"this\n").await?;
    let (mut out, mut err) = (String::new(), String::new());
    session.stdout().context("the output was asked for")?.read_to_string(&mut out).await?;
    session.stderr().context("the errors were asked for")?.read_to_string(&mut err).await?;
    same((out.as_str(), err.as_str()), ("got this\n", "wrong\n"))?;
    let status = status.await.context("the status came")?;
    same(status.reason.as_deref(), Some("NonZeroExitCode"))?;
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    same(causes.first().and_then(|cause| cause.message.as_deref()), Some("7"))?;
    session.join().await.context("the session ended well")
}

async fn ports_are_forwarded(pods: &Api<Pod>) -> anyhow::Result<()> {
    let mut forwarder = pods.portforward("talker", &[8080]).await?;
    let mut connection = forwarder.take_stream(8080).context("the port was asked for")?;
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("page\n"), "{answer}");
    // The server has closed its end; the client would only complain that it cannot close its own any more.
    forwarder.abort();
    Ok(())
}

async fn a_pod_is_evicted(pods: &Api<Pod>) -> anyhow::Result<()> {
    let uid = pods.get("talker").await?.metadata.uid.context("a pod has a uid")?;
    let evicted = pods.evict("talker", &EvictParams::default()).await?;
    anyhow::ensure!(evicted.is_success(), "{evicted:?}");
    await_condition(pods.clone(), "talker", conditions::is_deleted(&uid)).await?;
    let message = refused(pods.evict("talker", &EvictParams::default()).await, 404, "NotFound")?;
    same(message.as_str(), r#"pods "talker" not found"#)
}
