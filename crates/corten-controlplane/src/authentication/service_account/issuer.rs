//! Makes tokens.
//!
//! Upstream: pkg/serviceaccount/jwt.go and claims.go `Claims` (v1.35).

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use corten_base::SharedRng;
use jiff::Timestamp;

use super::{
    claims::{Claims, Named, Private},
    keys::{KeyError, PublicKey, SigningKey},
    user_name,
};

/// What a token is bound to: it ends with these objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The pod that uses it.
    pub pod: Option<Named>,
    /// The secret that it was asked for.
    pub secret: Option<Named>,
    /// The node that uses it, or that the pod runs on.
    pub node: Option<Named>,
}

/// Makes tokens in one issuer's name.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    key: SigningKey,
    rng: SharedRng,
}

impl Issuer {
    /// An issuer that calls itself `name`.
    #[must_use]
    pub fn new(name: String, key: SigningKey, rng: SharedRng) -> Self {
        Self { name, key, rng }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that verifies its tokens.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// The claims of a token for `account` in `namespace` from `now` on.
    #[must_use]
    pub fn claims(
        &self,
        namespace: &str,
        account: Named,
        binding: Binding,
        audiences: Vec<String>,
        now: Timestamp,
        valid: Duration,
    ) -> Claims {
        let now = now.as_second();
        Claims {
            aud: audiences,
            exp: now.saturating_add_unsigned(valid.as_secs()),
            iat: now,
            iss: self.name.clone(),
            jti: self.rng.uuid(),
            nbf: now,
            sub: user_name(namespace, &account.name),
            private: Private {
                namespace: namespace.to_owned(),
                node: binding.node,
                pod: binding.pod,
                secret: binding.secret,
                serviceaccount: account,
                warnafter: None,
            },
        }
    }

    /// The token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let public = self.key.public();
        let header = serde_json::json!({"alg": public.algorithm.as_str(), "kid": public.id});
        let claims = serde_json::to_vec(claims).expect("claims are texts and numbers");
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut token = format!("{}.{}", encode(header.to_string().as_bytes()), encode(&claims));
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&encode(&signature));
        Ok(token)
    }
}
