//! Who asks: the contract of authenticators and their union.
//!
//! Upstream: k8s.io/apiserver/pkg/authentication/authenticator and request/union (v1.35).

pub(crate) mod bearer;
mod stripped;
mod version_1;
mod x509;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::resource::UserInfo;

pub use bearer::{Audiences, Bearer, TokenAuthenticator, TokenUnion, TokenUser};
pub use stripped::{strip_credentials, strip_impersonation};
pub use x509::{BadAuthority, ClientCertificates, X509};

use crate::request::Request;

/// Finds out who makes a request.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// The user, or `None` if the request carries no credentials that this authenticator knows.
    ///
    /// Errors: credentials of this authenticator's kind that are not valid.
    async fn authenticate(&self, request: &Request) -> Result<Option<UserInfo>, InvalidCredentials>;
}

/// Credentials were given and are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCredentials(pub String);

/// Asks each authenticator in turn; the first that knows the user wins.
#[derive(Debug, Default)]
pub struct Union(Vec<Arc<dyn Authenticator>>);

impl Union {
    /// A union in this order.
    #[must_use]
    pub fn new(authenticators: Vec<Arc<dyn Authenticator>>) -> Self {
        Self(authenticators)
    }
}

#[async_trait]
impl Authenticator for Union {
    async fn authenticate(&self, request: &Request) -> Result<Option<UserInfo>, InvalidCredentials> {
        let mut errors = Vec::new();
        for authenticator in &self.0 {
            match authenticator.authenticate(request).await {
                Ok(Some(user)) => return Ok(Some(user)),
                Ok(None) => {}
                Err(error) => errors.push(error.0),
            }
        }
        if errors.is_empty() { Ok(None) } else { Err(InvalidCredentials(format!("[{}]", errors.join(", ")))) }
    }
}
