//! Service account tokens bound to pods: asked for once, kept until four fifths of their life are over.
//!
//! Upstream: pkg/kubelet/token/token_manager.go (v1.35), with its figures.

use std::{collections::BTreeMap, time::Duration};

use corten_api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    meta::v1::ObjectMeta,
};
use corten_base::{SharedClock, SharedRng};
use corten_client::{
    Client, Target,
    api::{encode, resource_of},
};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tracing::warn;

/// A token is replaced when this much of its life is over, in percent.
const REFRESH_PERCENT: i64 = 80;

/// A token that lives longer is replaced at this age. Upstream: `maxTTL`.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How much earlier at most, drawn anew each time: pods that started together do not ask together.
const JITTER_MAX: Duration = Duration::from_secs(10);

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenRequestKey {
    /// The pod's and the service account's namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// Who is to accept it; empty: the API server.
    pub audience: String,
    /// How long it is to live, in seconds.
    pub expiration_seconds: i64,
    /// The pod that it is bound to.
    pub pod_name: String,
    /// Its UID.
    pub pod_uid: String,
}

/// A token and when to replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub text: String,
    /// When it ends.
    pub expires: Timestamp,
    /// When to ask for the next one.
    pub refresh_at: Timestamp,
}

/// Asks for tokens and keeps them. Capacity: one per projection of the pods on this node; `forget_pod` frees them.
#[derive(Debug)]
pub struct TokenManager {
    client: Client,
    clock: SharedClock,
    rng: SharedRng,
    kept: Mutex<BTreeMap<TokenRequestKey, Token>>,
}

impl TokenManager {
    /// A manager that asks through `client`.
    #[must_use]
    pub fn new(client: Client, clock: SharedClock, rng: SharedRng) -> Self {
        Self { client, clock, rng, kept: Mutex::default() }
    }

    /// The token for `key`. One that cannot be replaced is given as long as it lives.
    ///
    /// Errors: upstream's text. Cancel-safe: a token that was asked for in vain ends by itself.
    pub async fn token(&self, key: &TokenRequestKey) -> Result<Token, String> {
        let kept = self.kept.lock().get(key).cloned();
        if let Some(kept) = kept.as_ref().filter(|kept| self.clock.now() < kept.refresh_at) {
            return Ok(kept.clone());
        }
        match self.request(key).await {
            Ok(token) => {
                self.kept.lock().insert(key.clone(), token.clone());
                Ok(token)
            }
            Err(error) => match kept.filter(|kept| self.clock.now() < kept.expires) {
                Some(kept) => {
                    let (account, namespace) = (&key.service_account, &key.namespace);
                    warn!(service_account = %format!("{namespace}/{account}"), err = %error, "Could not update token");
                    Ok(kept)
                }
                None => Err(format!("failed to fetch token: {error}")),
            },
        }
    }

    async fn request(&self, key: &TokenRequestKey) -> Result<Token, String> {
        let audiences = if key.audience.is_empty() { Vec::new() } else { vec![key.audience.clone()] };
        let request = TokenRequest {
            metadata: ObjectMeta::default(),
            spec: TokenRequestSpec {
                audiences,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(key.pod_name.clone()),
                    uid: Some(key.pod_uid.clone()),
                }),
                expiration_seconds: Some(key.expiration_seconds),
            },
            status: None,
        };
        let target =
            Target::object(&resource_of::<ServiceAccount>(), key.namespace.as_str(), key.service_account.as_str())
                .subresource("token");
        let asked = self.clock.now();
        let body = encode(&request).map_err(|status| status.message.to_string())?;
        let answer = self.client.post(target, body).await.map_err(|status| status.message.to_string())?;
        let text = answer.str_at(&["status", "token"]).filter(|text| !text.is_empty());
        let expires = answer.str_at(&["status", "expirationTimestamp"]).and_then(|time| time.parse().ok());
        let (Some(text), Some(expires)) = (text, expires) else {
            return Err("the answer to the token request has no token".to_owned());
        };
        let jitter = JITTER_MAX.mul_f64(self.rng.fraction());
        Ok(Token { text: text.to_owned(), expires, refresh_at: refresh_at(asked, expires, jitter) })
    }

    /// Forgets the tokens of a pod.
    pub fn forget_pod(&self, uid: &str) {
        self.kept.lock().retain(|key, _| key.pod_uid != uid);
    }
}

/// When a token that was issued at `issued` is due for replacement.
fn refresh_at(issued: Timestamp, expires: Timestamp, jitter: Duration) -> Timestamp {
    let due = SignedDuration::from_secs((expires.as_second() - issued.as_second()) * REFRESH_PERCENT / 100);
    let oldest = SignedDuration::from_secs(AGE_MAX.as_secs() as i64);
    let jitter = SignedDuration::try_from(jitter).unwrap_or_default();
    let at = issued.checked_add(due.min(oldest)).and_then(|at| at.checked_sub(jitter));
    at.unwrap_or(issued).max(issued)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(life_seconds: i64, jitter_seconds: u64, want_seconds: i64) {
        let issued = Timestamp::from_second(1_000).unwrap();
        let expires = Timestamp::from_second(1_000 + life_seconds).unwrap();
        let at = refresh_at(issued, expires, Duration::from_secs(jitter_seconds));
        assert_eq!(at.as_second() - 1_000, want_seconds);
    }

    #[test]
    fn a_token_is_replaced_when_four_fifths_of_its_life_are_over_and_after_a_day_at_the_latest() {
        check(3_607, 0, 2_885);
        check(600, 10, 470);
        check(365 * 24 * 3_600, 5, 24 * 3_600 - 5);
        check(0, 10, 0);
    }
}
