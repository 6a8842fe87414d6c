//! `/version`: which Kubernetes this is.

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Response, Server,
    endpoints::{NonResource, RoutesBuilder},
};
use corten_base::platform;
use http::StatusCode;
use serde::Serialize;

/// The Kubernetes release whose API this is.
pub(crate) const GIT_VERSION: &str = concat!("v1.35.0+corten.", env!("CARGO_PKG_VERSION"));

/// What a release was built from; builds at a desk do not say.
const GIT_COMMIT: Option<&str> = option_env!("CORTEN_GIT_COMMIT");

/// The compiler's version, in the place where upstream has that of Go: clients want something there.
const COMPILER_VERSION: &str = concat!("rust", env!("CARGO_PKG_RUST_VERSION"));

/// In upstream's order: people read it. No field is empty.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    major: &'static str,
    minor: &'static str,
    emulation_major: &'static str,
    emulation_minor: &'static str,
    min_compatibility_major: &'static str,
    min_compatibility_minor: &'static str,
    git_version: &'static str,
    git_commit: &'static str,
    git_tree_state: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    compiler: &'static str,
    platform: String,
}

#[derive(Debug)]
struct Version;

pub(crate) fn install(routes: &mut RoutesBuilder) {
    routes.path("/version", Arc::new(Version));
}

#[async_trait]
impl NonResource for Version {
    async fn handle(&self, _server: &Arc<Server>, _request: Request) -> Result<Reply, Status> {
        let info = Info {
            major: "1",
            minor: "35",
            emulation_major: "1",
            emulation_minor: "35",
            min_compatibility_major: "1",
            min_compatibility_minor: "34",
            git_version: GIT_VERSION,
            git_commit: GIT_COMMIT.unwrap_or("unknown"),
            git_tree_state: if GIT_COMMIT.is_some() { "clean" } else { "archive" },
            build_date: option_env!("CORTEN_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
            go_version: COMPILER_VERSION,
            compiler: "rustc",
            platform: format!("{}/{}", std::env::consts::OS, platform::architecture()),
        };
        let body = serde_json::to_vec_pretty(&info).map_err(Status::internal)?;
        Ok(Reply::new(Response::Raw { code: StatusCode::OK, content_type: "application/json", body: body.into() }))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Cluster, admin};

    #[tokio::test]
    async fn documents_for_people_are_indented() {
        let cluster = Cluster::start().await;
        let version = cluster.get(admin(), "/version").await.unwrap();
        let text = version.as_str().unwrap();
        assert!(text.starts_with("{\n  \"major\": \"1\",\n  \"minor\": \"35\",\n"), "{text}");
        assert!(!text.contains("\"\""), "{text}");
        assert!(text.contains("\n  \"gitVersion\": \"v1.35.0+corten.") && text.ends_with('}'), "{text}");
        let index = cluster.get(admin(), "/").await.unwrap();
        let text = index.as_str().unwrap();
        assert!(
            text.starts_with("{\n  \"paths\": [\n    \"/.well-known/openid-configuration\",\n    \"/api\","),
            "{text}"
        );
        for path in ["/apis/apps/v1", "/openapi/v2", "/healthz", "/version"] {
            assert!(text.contains(&format!("    \"{path}\"")), "{path}");
        }
        let refused = cluster.post(admin(), "/version", serde_json::json!({})).await;
        assert!(!refused.is_ok_and(|answer| answer.as_str().is_some_and(|text| text.contains("gitVersion"))));
        cluster.stop().await;
    }

    /// Reads told nothing, although they are what people do most.
    #[tokio::test]
    async fn a_deprecated_version_says_so_whatever_is_asked() {
        let cluster = Cluster::start().await;
        for (path, want) in
            [("/api/v1/endpoints", 1), ("/api/v1/namespaces/default/endpoints/none", 1), ("/api/v1/pods", 0)]
        {
            assert_eq!(cluster.warnings(admin(), path).await.len(), want, "{path}");
        }
        cluster.stop().await;
    }
}
