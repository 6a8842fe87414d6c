//! A client of the tests: requests over HTTP/2 with real TLS, on as many connections as it is told, answers as they come.

use std::{fmt, path::Path};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use corten_client::connections::Connections;
use http::{HeaderMap, Method, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";

/// How much of one answer, and of all answers of a connection, the server may send ahead, unless a test says otherwise.
const WINDOW: u32 = 1 << 20;

/// Connections to one API server as its administrator.
#[derive(Clone)]
pub(crate) struct Client(Connections);

/// What came back.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An object may be large.
        write!(f, "{} {:.1000}", self.code, self.body.to_string())
    }
}

impl Answer {
    /// The version of the object that came back.
    pub(crate) fn version(&self) -> anyhow::Result<u64> {
        version_of(&self.body)
    }

    /// The same answer if it is of this code.
    pub(crate) fn expect(self, code: u16) -> anyhow::Result<Self> {
        ensure!(self.code == code, "{code} was wanted: {self:?}");
        Ok(self)
    }
}

/// The version in an object's or a list's metadata.
pub(crate) fn version_of(object: &Value) -> anyhow::Result<u64> {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.and_then(|text| text.parse().ok()).with_context(|| format!("no version: {object}"))
}

impl Client {
    /// Opens `connections` connections to the server of a kubeconfig.
    pub(crate) async fn open(kubeconfig: &Path, connections: usize) -> anyhow::Result<Self> {
        Self::open_narrow(kubeconfig, connections, WINDOW).await
    }

    /// The same, with so much of each answer that the server may send ahead.
    pub(crate) async fn open_narrow(kubeconfig: &Path, connections: usize, window: u32) -> anyhow::Result<Self> {
        Ok(Self(Connections::open(kubeconfig, connections, window).await?))
    }

    /// Sends a request on connection `number` (modulo their count) and gives its answer as it begins.
    pub(crate) async fn send(
        &self,
        number: usize,
        method: Method,
        path: &str,
        (content_type, accept): (&str, &str),
        body: impl Into<Bytes>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        self.0.send(number, method, path, (content_type, accept), body).await.context("send a request")
    }

    /// As `send`, to the end, in JSON; a body that is none is given as text.
    pub(crate) async fn call(
        &self,
        number: usize,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.send(number, method, path, (content_type, JSON), body).await?;
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.context("read an answer")?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { code, body })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(0, Method::GET, path, JSON, &Value::Null).await
    }

    /// Waits until the collection at `path` can be read: a server that has just started says that it initializes its storage.
    pub(crate) async fn until_read(&self, path: &str) -> anyhow::Result<()> {
        loop {
            let answer = self.get(&format!("{path}?limit=1")).await?;
            if answer.code != 429 {
                return answer.expect(200).map(drop);
            }
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.call(0, Method::POST, path, JSON, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(0, Method::DELETE, path, JSON, &Value::Null).await
    }
}

/// The head of an answer that is not read on: what it says of its content.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
