//! `/version`: which Kubernetes this is.

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{status::Status, value::Value};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{NonResource, RoutesBuilder},
};
use http::StatusCode;

/// The Kubernetes release whose API this is.
pub(crate) const GIT_VERSION: &str = concat!("v1.35.0+corten.", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
struct Version;

pub(crate) fn install(routes: &mut RoutesBuilder) {
    routes.path("/version", Arc::new(Version));
}

#[async_trait]
impl NonResource for Version {
    async fn handle(&self, _server: &Arc<Server>, _request: Request) -> Result<Reply, Status> {
        let platform = format!("{}/{}", std::env::consts::OS, go_architecture());
        Ok(Reply::tree(
            StatusCode::OK,
            Value::object_of([
                ("major", Value::from("1")),
                ("minor", "35".into()),
                ("emulationMajor", "1".into()),
                ("emulationMinor", "35".into()),
                ("minCompatibilityMajor", "1".into()),
                ("minCompatibilityMinor", "34".into()),
                ("gitVersion", GIT_VERSION.into()),
                ("gitCommit", "".into()),
                ("gitTreeState", "".into()),
                ("buildDate", "1970-01-01T00:00:00Z".into()),
                ("goVersion", "".into()),
                ("compiler", "rustc".into()),
                ("platform", platform.into()),
            ]),
        ))
    }
}

/// The architecture as Go, and so all of Kubernetes, calls it.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
