//! What others need to verify our tokens: OpenID discovery and the public keys.
//!
//! Upstream: pkg/serviceaccount/openidmetadata.go and pkg/routes/openidmetadata.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Response, Server,
    endpoints::{NonResource, RoutesBuilder},
};
use http::{HeaderValue, Method, StatusCode, header};

use super::keys::PublicKey;

const CONFIGURATION: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";

/// One document that does not change while the server runs.
#[derive(Debug)]
struct Document {
    content_type: &'static str,
    body: Bytes,
}

/// Serves the documents of `issuer`, which is reached under `address`.
pub(crate) fn install(routes: &mut RoutesBuilder, issuer: &str, address: &str, keys: &[PublicKey]) {
    let mut algorithms: Vec<&str> = keys.iter().map(|key| key.algorithm.as_str()).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    let configuration = serde_json::json!({
        "issuer": issuer,
        "jwks_uri": format!("https://{address}{KEYS}"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    });
    let set = serde_json::json!({"keys": keys.iter().map(PublicKey::to_jwk).collect::<Vec<_>>()});
    let document =
        |content_type, json: &serde_json::Value| Arc::new(Document { content_type, body: json.to_string().into() });
    routes.path(CONFIGURATION, document("application/json", &configuration));
    routes.path(KEYS, document("application/jwk-set+json", &set));
}

#[async_trait]
impl NonResource for Document {
    async fn handle(&self, _server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        if request.method != Method::GET {
            return Ok(Reply::method_not_allowed());
        }
        let mut reply = Reply::new(Response::Raw {
            code: StatusCode::OK,
            content_type: self.content_type,
            body: self.body.clone(),
        });
        // Keys change rarely; verifiers need not ask every time.
        reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        Ok(reply)
    }
}
