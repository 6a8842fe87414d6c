//! Whose a token is: its signature once, the objects that it is bound to every time.
//!
//! Upstream: pkg/serviceaccount/{jwt,claims}.go (v1.35) for checks, texts and the user's attributes.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use corten_apimachinery::{
    meta::{ObjectMeta as _, parse_time},
    resource::UserInfo,
    status::Status,
    stored::Stored,
    value::{Str, format_str},
};
use corten_apiserver::authentication::{Audiences, InvalidCredentials, TokenAuthenticator, TokenUser};
use corten_base::SharedClock;
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    claims::{Claims, Named},
    keys::PublicKey,
    remembered::Remembered,
    user_name,
};
use crate::caches::{Caches, tree};

/// How far clocks may differ. Upstream: go-jose `DefaultLeeway`.
const LEEWAY: Duration = Duration::from_secs(60);

/// How long a deleted pod's token still works, so that it can finish its work. Upstream: claims.go.
const DELETED_LEEWAY: Duration = Duration::from_secs(60);

/// Longer ones are no tokens of ours.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Knows the tokens of some issuers.
pub struct TokenVerifier {
    issuers: Vec<String>,
    keys: Vec<PublicKey>,
    caches: Arc<Caches>,
    clock: SharedClock,
    remembered: Mutex<Remembered>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Knows tokens of `issuers` that one of `keys` signed.
    #[must_use]
    pub fn new(issuers: Vec<String>, keys: Vec<PublicKey>, caches: Arc<Caches>, clock: SharedClock) -> Self {
        Self { issuers, keys, caches, clock, remembered: Mutex::default() }
    }

    /// The claims of a token that is signed by us; `None` if it is not of these issuers.
    fn verified(&self, token: &str) -> Result<Option<Arc<Claims>>, InvalidCredentials> {
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(claims) = self.remembered.lock().get(&hash) {
            return Ok(Some(claims));
        }
        let Some((signed, signature)) = token.rsplit_once('.') else { return Ok(None) };
        let Some((header, payload)) = signed.split_once('.') else { return Ok(None) };
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let (Some(header), Some(payload), Some(signature)) = (decode(header), decode(payload), decode(signature))
        else {
            return Ok(None);
        };
        // Somebody else's token may say anything; it is left to those who know it.
        let Ok(claims) = serde_json::from_slice::<Claims>(&payload) else { return Ok(None) };
        let Ok(header) = serde_json::from_slice::<Header>(&header) else { return Ok(None) };
        if !self.issuers.contains(&claims.iss) {
            return Ok(None);
        }
        let named = self.keys.iter().any(|key| key.id == header.kid);
        let mut keys = self.keys.iter().filter(|key| !named || key.id == header.kid);
        // The key says how it signs, not the token: else a token could choose a weaker way.
        if !keys.any(|key| key.algorithm.as_str() == header.alg && key.verifies(signed.as_bytes(), &signature)) {
            return Err(InvalidCredentials("invalid bearer token".to_owned()));
        }
        let claims = Arc::new(claims);
        if self.check_times(&claims).is_ok() {
            self.remembered.lock().add(hash, token.len(), &claims, self.clock.now().as_second());
        }
        Ok(Some(claims))
    }

    fn check_times(&self, claims: &Claims) -> Result<(), InvalidCredentials> {
        let now = self.clock.now().as_second();
        let leeway = LEEWAY.as_secs().cast_signed();
        if now > claims.exp.saturating_add(leeway) {
            return Err(InvalidCredentials("service account token has expired".to_owned()));
        }
        if now.saturating_add(leeway) < claims.nbf {
            return Err(InvalidCredentials("service account token is not valid yet".to_owned()));
        }
        Ok(())
    }

    async fn check_objects(&self, claims: &Claims) -> Result<(), InvalidCredentials> {
        let private = &claims.private;
        let namespace = private.namespace.as_str();
        let unavailable = |status: Status| InvalidCredentials(status.message);
        let account = &private.serviceaccount;
        let find = async |plural: &'static str, namespace: &str, named: &Named| {
            let is_meant = |object: &Arc<Stored>| object.uid == named.uid.as_str();
            let mut found = self.caches.core(plural, namespace, &named.name).await.map_err(unavailable)?;
            if found.as_ref().is_some_and(|object| !is_meant(object)) {
                // The cache may not have heard yet that there is another one of that name.
                found = self.caches.newest("", plural, namespace, &named.name).await.map_err(unavailable)?;
            }
            let found = found.filter(is_meant).ok_or_else(invalidated)?;
            self.check_deletion(&found)
        };
        find("serviceaccounts", namespace, account).await?;
        if let Some(secret) = &private.secret {
            find("secrets", namespace, secret).await?;
        }
        if let Some(pod) = &private.pod {
            find("pods", namespace, pod).await?;
        } else if let Some(node) = &private.node {
            // The node of a pod's token is only told, not checked: it goes with its pod.
            find("nodes", "", node).await?;
        }
        Ok(())
    }

    /// An object that was deleted a while ago does not count any more, although it is still there.
    fn check_deletion(&self, object: &Stored) -> Result<(), InvalidCredentials> {
        if !object.facts.is_deleting {
            return Ok(());
        }
        let object = tree(object).map_err(|status| InvalidCredentials(status.message))?;
        let deleted = object.deletion_timestamp().and_then(parse_time);
        match deleted {
            // A grace period without bound leads to the end of the calendar: then it is not over.
            Some(deleted) if deleted.saturating_add(DELETED_LEEWAY).is_ok_and(|end| end < self.clock.now()) => {
                Err(invalidated())
            }
            _ => Ok(()),
        }
    }
}

fn invalidated() -> InvalidCredentials {
    InvalidCredentials("service account token has been invalidated".to_owned())
}

/// The user that `claims` stand for.
fn user(claims: &Claims) -> UserInfo {
    let private = &claims.private;
    let mut extra: Vec<(Str, Vec<Str>)> = Vec::new();
    let mut add = |key: &str, value: Str| {
        if !value.is_empty() {
            extra.push((format_str!("authentication.kubernetes.io/{key}"), vec![value]));
        }
    };
    // Sorted by key.
    if !claims.jti.is_empty() {
        add("credential-id", format_str!("JTI={}", claims.jti));
    }
    for (kind, named) in [("node", &private.node), ("pod", &private.pod)] {
        if let Some(named) = named {
            add(&format!("{kind}-name"), named.name.as_str().into());
            add(&format!("{kind}-uid"), named.uid.as_str().into());
        }
    }
    UserInfo {
        name: user_name(&private.namespace, &private.serviceaccount.name).into(),
        uid: private.serviceaccount.uid.as_str().into(),
        groups: vec!["system:serviceaccounts".into(), format_str!("system:serviceaccounts:{}", private.namespace)],
        extra,
    }
}

#[async_trait]
impl TokenAuthenticator for TokenVerifier {
    async fn authenticate_token(
        &self,
        token: &str,
        audiences: &Audiences,
    ) -> Result<Option<TokenUser>, InvalidCredentials> {
        let Some(claims) = self.verified(token)? else { return Ok(None) };
        // Both lists are what clients make them.
        let own: HashSet<&String> = claims.aud.iter().collect();
        let meant: Vec<String> = audiences.iter().filter(|audience| own.contains(audience)).cloned().collect();
        if meant.is_empty() && !audiences.is_empty() {
            return Err(InvalidCredentials(format!(
                "token audiences {:?} is invalid for the target audiences {:?}",
                claims.aud, audiences
            )));
        }
        self.check_times(&claims)?;
        self.check_objects(&claims).await?;
        Ok(Some(TokenUser { user: user(&claims), audiences: meant }))
    }
}
