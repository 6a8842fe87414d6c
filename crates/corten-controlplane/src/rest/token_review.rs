//! Whose a token is.
//!
//! Upstream: pkg/registry/authentication/tokenreview/storage.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    status::Status,
    value::{Str, Value},
};
use corten_apiserver::{
    Reply, Request, Server,
    authentication::TokenAuthenticator,
    endpoints::{Custom, Endpoint},
};

use super::{catalog::Handler, created, read_review, user};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "authentication.k8s.io",
    plural: "tokenreviews",
    subresource: "",
    build: |parts| Arc::new(TokenReview { tokens: Arc::clone(&parts.tokens), audiences: parts.audiences.clone() }),
};

#[derive(Debug)]
struct TokenReview {
    tokens: Arc<dyn TokenAuthenticator>,
    audiences: Vec<String>,
}

#[async_trait]
impl Custom for TokenReview {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let (mut review, warnings) = read_review(server, endpoint, &mut request).await?;
        let token = review.str_at(&["spec", "token"]).unwrap_or_default();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let wanted = review.items_at(&["spec", "audiences"]);
        let audiences = if wanted.is_empty() {
            self.audiences.clone()
        } else {
            wanted.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        };
        let mut status = Value::object();
        match self.tokens.authenticate_token(token, &audiences).await {
            Ok(Some(mut known)) => {
                known.user.groups.push(Str::const_new("system:authenticated"));
                status.set(&["authenticated"], true);
                status.set(&["user"], user::to_value(&known.user));
                let audiences = known.audiences.iter().map(|audience| Value::from(audience.as_str()));
                status.set(&["audiences"], Value::array(audiences));
            }
            Ok(None) => status.set(&["error"], "invalid bearer token"),
            Err(error) => status.set(&["error"], error.to_string()),
        }
        if status.get("user").is_none() {
            status.set(&["user"], Value::object());
        }
        review.set(&["status"], status);
        Ok(created(review, warnings))
    }
}
