//! Requests to one repository of one endpoint, with whatever proof it asks for.
//!
//! Upstream: the token specification of distribution; RFC 7617 for basic credentials.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{
    PullError,
    transport::{Answer, Body, Transport, escape},
};

/// What is read of a token's answer.
const TOKEN_BYTES_MAX: usize = 1 << 20;
/// What is read of an error's answer.
const ERROR_BYTES_MAX: usize = 8 << 10;

/// How a caller proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that the registry itself gave.
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// One repository of one endpoint during one pull.
pub(super) struct Session<'a> {
    transport: &'a Transport,
    /// `https://r.example`.
    endpoint: String,
    /// `library/nginx`.
    repository: String,
    credentials: Option<Credentials>,
    /// The header that was accepted last.
    proof: Mutex<Option<String>>,
}

#[derive(Debug, PartialEq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<RegistryError>,
}

#[derive(Deserialize)]
struct RegistryError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        transport: &'a Transport,
        endpoint: String,
        repository: &str,
        credentials: Option<Credentials>,
    ) -> Self {
        let proof = match &credentials {
            Some(Credentials::Token(token)) => Some(format!("Bearer {token}")),
            _ => None,
        };
        Self { transport, endpoint, repository: repository.to_owned(), credentials, proof: Mutex::new(proof) }
    }

    /// Reads something of the repository. `name` is what messages call it.
    pub(super) async fn get(&self, what: &str, accept: Option<&str>, name: &str) -> Result<Body, PullError> {
        let url = format!("{}/v2/{}/{what}", self.endpoint, self.repository);
        let proof = self.proof.lock().clone();
        let mut answer = self.send(&url, accept, proof.as_deref()).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let proof = self.prove(&answer.headers).await?;
            *self.proof.lock() = Some(proof.clone());
            answer = self.send(&url, accept, Some(&proof)).await?;
        }
        match answer.status {
            status if status.is_success() => Ok(answer.body),
            StatusCode::NOT_FOUND => Err(PullError::NotFound(name.to_owned())),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(denied(answer).await),
            status => {
                let text = told(answer).await.map(|text| format!(": {text}")).unwrap_or_default();
                let code = status.as_u16();
                let reason = status.canonical_reason().unwrap_or_default();
                Err(PullError::Other(format!("unexpected status from GET request to {url}: {code} {reason}{text}")))
            }
        }
    }

    async fn send(&self, url: &str, accept: Option<&str>, proof: Option<&str>) -> Result<Answer, PullError> {
        let sent = self.transport.get(url, accept, proof).await;
        sent.map_err(|error| PullError::Other(format!("failed to do request: {error}")))
    }

    /// The header that a challenge asks for.
    async fn prove(&self, headers: &HeaderMap) -> Result<String, PullError> {
        let challenges = headers.get_all(http::header::WWW_AUTHENTICATE);
        let challenge = challenges.iter().filter_map(|value| challenge(value.to_str().ok()?)).next_back();
        let basic = match &self.credentials {
            Some(Credentials::Basic { username, password }) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            _ => None,
        };
        match challenge {
            Some(Challenge::Basic) => {
                basic.ok_or_else(|| PullError::Denied("failed to authorize: no basic auth credentials".to_owned()))
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                self.token(&realm, service.as_deref(), scope.as_deref(), basic.as_deref()).await
            }
            None => Err(PullError::Denied("the registry asks for an unknown kind of authorization".to_owned())),
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        basic: Option<&str>,
    ) -> Result<String, PullError> {
        let own = format!("repository:{}:pull", self.repository);
        let mut url = realm.to_owned();
        let mut separator = if realm.contains('?') { '&' } else { '?' };
        for (key, value) in [("scope", Some(scope.unwrap_or(&own))), ("service", service)] {
            if let Some(value) = value {
                url.push_str(&format!("{separator}{key}={}", escape(value)));
                separator = '&';
            }
        }
        let kind = if basic.is_some() { "oauth" } else { "anonymous" };
        let failed = |why: String| format!("failed to authorize: failed to fetch {kind} token: {why}");
        let answer = self.transport.get(&url, None, basic).await.map_err(|error| PullError::Other(failed(error)))?;
        if !answer.status.is_success() {
            let status = answer.status;
            let text = told(answer).await.map(|text| format!(": {text}")).unwrap_or_default();
            let code = status.as_u16();
            let reason = status.canonical_reason().unwrap_or_default();
            let why = failed(format!("unexpected status from GET request to {url}: {code} {reason}{text}"));
            let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            return Err(if is_refused { PullError::Denied(why) } else { PullError::Other(why) });
        }
        let text = answer.body.read(TOKEN_BYTES_MAX).await.map_err(|error| PullError::Other(failed(error)))?;
        let token: Token =
            serde_json::from_slice(&text).map_err(|error| PullError::Other(failed(error.to_string())))?;
        let token = if token.token.is_empty() { token.access_token } else { token.token };
        if token.is_empty() {
            return Err(PullError::Other(failed("the answer has no token".to_owned())));
        }
        Ok(format!("Bearer {token}"))
    }
}

/// The text of a registry's errors.
async fn told(answer: Answer) -> Option<String> {
    let text = answer.body.read(ERROR_BYTES_MAX).await.ok()?;
    let errors: Errors = serde_json::from_slice(&text).ok()?;
    let words: Vec<String> =
        errors.errors.iter().map(|error| format!("{}: {}", error.code.to_ascii_lowercase(), error.message)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

async fn denied(answer: Answer) -> PullError {
    let challenges = answer.headers.get_all(http::header::WWW_AUTHENTICATE);
    let is_scope =
        challenges.iter().any(|value| value.to_str().is_ok_and(|value| value.contains("insufficient_scope")));
    let why = if is_scope {
        "insufficient_scope: authorization failed".to_owned()
    } else {
        told(answer).await.unwrap_or_else(|| "authorization failed".to_owned())
    };
    PullError::Denied(format!(
        "pull access denied, repository does not exist or may require authorization: server message: {why}"
    ))
}

/// Reads `Bearer realm="...",service="..."`.
fn challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope, mut rest) = (None, None, None, rest.trim_start());
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.find(',').map_or((after, ""), |at| after.split_at(at)),
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value.to_owned()),
            "service" => service = Some(value.to_owned()),
            "scope" => scope = Some(value.to_owned()),
            _ => {}
        }
        rest = next.trim_start_matches([',', ' ']);
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        let text = "Bearer realm=\"https://a.example/token\",service=\"r, s\",scope=\"repository:a/b:pull\",error=x";
        let want = Challenge::Bearer {
            realm: "https://a.example/token".into(),
            service: Some("r, s".into()),
            scope: Some("repository:a/b:pull".into()),
        };
        assert_eq!(challenge(text), Some(want));
        assert_eq!(challenge("Bearer service=\"x\""), None);
        assert_eq!(challenge("Negotiate"), None);
    }
}
