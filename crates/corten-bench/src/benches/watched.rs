//! Creations that many watchers are told of.

use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::{
    load::Load,
    objects::{self, NAMESPACE},
};

/// Opens `watchers` watches, makes `creations` objects of 2 KB, and waits until every watcher has heard of each.
pub(super) async fn deliver(load: &Load, watchers: usize, creations: usize) -> anyhow::Result<()> {
    let path = format!("{NAMESPACE}/configmaps?watch=true&resourceVersion=0&labelSelector=watched%3Dtrue");
    let mut bodies = Vec::with_capacity(watchers);
    for number in 0..watchers {
        bodies.push(load.send(number, Method::GET, &path, "").await?.into_body());
    }
    let mut reading: FuturesUnordered<_> = bodies
        .into_iter()
        .map(|mut body| async move {
            let mut events = 0;
            while events < creations {
                let frame = body.frame().await.ok_or_else(|| anyhow::anyhow!("a watch ended"))??;
                events += frame.data_ref().map_or(0, |data| data.iter().filter(|&&byte| byte == b'\n').count());
            }
            anyhow::Ok(())
        })
        .collect();
    let (padding, labels) = ("x".repeat(1_900), json!({"watched": "true"}));
    let making =
        load.many(creations, 16, |load, number| {
            let map = objects::config_map(&format!("watched-{number}"), &labels, &padding);
            async move {
                load.call(number, Method::POST, &format!("{NAMESPACE}/configmaps"), map, StatusCode::CREATED).await
            }
        });
    let deliveries = async {
        while let Some(done) = reading.next().await {
            done?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(making, deliveries)?;
    Ok(())
}
