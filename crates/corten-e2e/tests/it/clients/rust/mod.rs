//! The Rust client (crate `kube`): typed, dynamic, watchers, streams.

mod custom;
mod objects;
mod pods;

use std::{fmt::Debug, future::Future, io::Write as _};

use anyhow::{Context as _, ensure};
use corten_e2e::Kubectl;
use kube::{
    Client, Config, Error,
    api::WatchEvent,
    config::{KubeConfigOptions, Kubeconfig},
};

/// The client, and where to work.
struct World {
    client: Client,
    namespace: String,
}

pub(super) fn checks(kubectl: &Kubectl) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(kubectl.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let world = World { client: Client::try_from(config)?, namespace: kubectl.namespace().to_owned() };
        pods::check(&world).await.context("pods")?;
        objects::check(&world).await.context("objects")?;
        custom::check(&world).await.context("custom resources")
    })
}

/// Names a check that is under way, for whoever reads a failure.
async fn step(name: &str, check: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    check.await.with_context(|| name.to_owned())?;
    writeln!(std::io::stdout(), "ok {name}").context("say what held")
}

/// The answer has to be an error with this code and reason; gives its message.
fn refused<T: Debug>(answer: Result<T, Error>, code: u16, reason: &str) -> anyhow::Result<String> {
    match answer {
        Err(Error::Api(status)) if (status.code, status.reason.as_str()) == (code, reason) => Ok(status.message),
        other => anyhow::bail!("want {code} {reason}, got {other:?}"),
    }
}

fn same<T: PartialEq + Debug>(got: T, want: T) -> anyhow::Result<()> {
    ensure!(got == want, "got  {got:?}\nwant {want:?}");
    Ok(())
}

/// What kind of event it is, and its object.
fn parted<K: Debug>(event: WatchEvent<K>) -> anyhow::Result<(&'static str, K)> {
    match event {
        WatchEvent::Added(object) => Ok(("added", object)),
        WatchEvent::Modified(object) => Ok(("modified", object)),
        WatchEvent::Deleted(object) => Ok(("deleted", object)),
        other => anyhow::bail!("no change of an object: {other:?}"),
    }
}
