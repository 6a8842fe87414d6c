//! A load client: requests over one or more HTTP/2 connections with real TLS, answers counted and not decoded.

use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use corten_client::connections::Connections;
use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// How much of each answer the server may send ahead.
const WINDOW: u32 = 8 << 20;

/// Connections to one API server as its administrator.
#[derive(Clone)]
pub(crate) struct Load(Connections);

impl Load {
    /// Opens `connections` connections to the server of a kubeconfig.
    pub(crate) async fn open(kubeconfig: &Path, connections: usize) -> anyhow::Result<Self> {
        Ok(Self(Connections::open(kubeconfig, connections, WINDOW).await?))
    }

    /// Sends a request on connection `number` (modulo their count) and gives its answer as it begins. A patch is a merge patch.
    pub(crate) async fn send(
        &self,
        number: usize,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        self.0.send(number, method, path, (content_type, "application/json"), body).await.context("send a request")
    }

    /// As `send`, to the end; gives the number of bytes of the answer's body.
    pub(crate) async fn call(
        &self,
        number: usize,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        want: StatusCode,
    ) -> anyhow::Result<u64> {
        read(path, self.send(number, method, path, body).await?, want).await
    }

    /// A merge patch, or a configuration to apply, of an object that is there.
    pub(crate) async fn patch(
        &self,
        number: usize,
        is_apply: bool,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<u64> {
        let content_type = if is_apply { "application/apply-patch+yaml" } else { "application/merge-patch+json" };
        let sent = self.0.send(number, Method::PATCH, path, (content_type, "application/json"), body);
        read(path, sent.await.context("send a patch")?, StatusCode::OK).await
    }

    /// As `send`, to the end; gives the status and the whole body.
    pub(crate) async fn fetch(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = self.send(0, method, path, body).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.context("read an answer")?.to_bytes()))
    }

    /// Makes `count` calls, `clients` of them at a time.
    pub(crate) async fn many<F, C>(&self, count: usize, clients: usize, call: C) -> anyhow::Result<()>
    where
        C: Fn(Self, usize) -> F,
        F: Future<Output = anyhow::Result<u64>>,
    {
        let mut running = stream::iter(0..count).map(|number| call(self.clone(), number)).buffer_unordered(clients);
        while let Some(result) = running.next().await {
            result?;
        }
        Ok(())
    }
}

/// Reads an answer to its end; gives the number of bytes of its body.
async fn read(path: &str, answer: http::Response<Incoming>, want: StatusCode) -> anyhow::Result<u64> {
    let (status, mut body) = (answer.status(), answer.into_body());
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.context("read an answer")?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    ensure!(status == want, "{path}: {status} instead of {want}");
    Ok(bytes)
}
