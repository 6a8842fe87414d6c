//! Bearer tokens: from the `Authorization` header, or from a WebSocket subprotocol where browsers cannot set headers.
//!
//! Upstream: k8s.io/apiserver/pkg/authentication/request/{bearertoken,websocket} (v1.35).

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::resource::UserInfo;
use http::{HeaderMap, HeaderValue, header};

use super::{Authenticator, InvalidCredentials};
use crate::{from_base64_url, request::Request};

/// The subprotocol that carries a token in base64url.
const PROTOCOL_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Whom a token has to be meant for: one of these. Empty asks for nothing.
pub type Audiences = [String];

/// Who a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUser {
    /// The user, without the groups that everybody has.
    pub user: UserInfo,
    /// Those of the audiences asked for that the token is meant for.
    pub audiences: Vec<String>,
}

/// Finds out whose a token is.
#[async_trait]
pub trait TokenAuthenticator: fmt::Debug + Send + Sync + 'static {
    /// The user of `token` for one of `audiences`, or `None` if it is not a token of this authenticator's kind.
    ///
    /// Errors: a token of this kind that is not valid (any more).
    async fn authenticate_token(
        &self,
        token: &str,
        audiences: &Audiences,
    ) -> Result<Option<TokenUser>, InvalidCredentials>;
}

/// Asks each token authenticator in turn; the first that knows the token wins.
#[derive(Debug, Default)]
pub struct TokenUnion(Vec<Arc<dyn TokenAuthenticator>>);

impl TokenUnion {
    /// A union in this order.
    #[must_use]
    pub fn new(authenticators: Vec<Arc<dyn TokenAuthenticator>>) -> Self {
        Self(authenticators)
    }
}

#[async_trait]
impl TokenAuthenticator for TokenUnion {
    async fn authenticate_token(
        &self,
        token: &str,
        audiences: &Audiences,
    ) -> Result<Option<TokenUser>, InvalidCredentials> {
        let mut errors = Vec::new();
        for authenticator in &self.0 {
            match authenticator.authenticate_token(token, audiences).await {
                Ok(Some(user)) => return Ok(Some(user)),
                Ok(None) => {}
                Err(error) => errors.push(error.0),
            }
        }
        match errors.len() {
            0 => Ok(None),
            1 => Err(InvalidCredentials(errors.remove(0))),
            _ => Err(InvalidCredentials(format!("[{}]", errors.join(", ")))),
        }
    }
}

/// Knows users by the token in their request.
#[derive(Debug)]
pub struct Bearer {
    tokens: Arc<dyn TokenAuthenticator>,
    audiences: Vec<String>,
}

impl Bearer {
    /// Takes tokens that `tokens` knows and that are meant for one of `audiences`: this server's.
    #[must_use]
    pub fn new(tokens: Arc<dyn TokenAuthenticator>, audiences: Vec<String>) -> Self {
        Self { tokens, audiences }
    }
}

#[async_trait]
impl Authenticator for Bearer {
    async fn authenticate(&self, request: &Request) -> Result<Option<UserInfo>, InvalidCredentials> {
        let from_protocol;
        let token = match from_header(&request.headers) {
            Some(token) => token,
            None => match from_protocols(&request.headers)? {
                Some(token) => {
                    from_protocol = token;
                    &from_protocol
                }
                None => return Ok(None),
            },
        };
        match self.tokens.authenticate_token(token, &self.audiences).await? {
            Some(known) => Ok(Some(known.user)),
            None => Err(InvalidCredentials("invalid bearer token".to_owned())),
        }
    }
}

/// The token in the `Authorization` header, if there is one.
fn from_header(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = text.split_once(' ')?;
    let token = rest.split(' ').next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The token among the subprotocols that a WebSocket request offers, if there is one.
///
/// Errors: more than one token, one that is no base64url, or a token without any protocol to speak.
fn from_protocols(headers: &HeaderMap) -> Result<Option<String>, InvalidCredentials> {
    let is_websocket = headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if !is_websocket {
        return Ok(None);
    }
    let mut token = None;
    let mut others = 0;
    for protocol in protocols(headers) {
        let Some(encoded) = protocol.strip_prefix(PROTOCOL_PREFIX) else {
            others += 1;
            continue;
        };
        if token.is_some() {
            return Err(InvalidCredentials("multiple base64.bearer.authorization tokens specified".to_owned()));
        }
        let text = from_base64_url(encoded)
            .and_then(|bytes| String::from_utf8(bytes.into()).ok())
            .ok_or_else(|| InvalidCredentials("invalid base64.bearer.authorization token encoding".to_owned()))?;
        token = Some(text);
    }
    if token.is_some() && others == 0 {
        return Err(InvalidCredentials("missing additional subprotocol".to_owned()));
    }
    Ok(token.filter(|token| !token.is_empty()))
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Takes the token out of the offered subprotocols: nothing behind authentication may see it, or answer with it.
pub(crate) fn strip_protocol(headers: &mut HeaderMap) {
    if !protocols(headers).any(|protocol| protocol.starts_with(PROTOCOL_PREFIX)) {
        return;
    }
    let kept: Vec<&str> = protocols(headers).filter(|protocol| !protocol.starts_with(PROTOCOL_PREFIX)).collect();
    let kept = HeaderValue::try_from(kept.join(","));
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Ok(kept) = kept
        && !kept.is_empty()
    {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        for (text, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("  Bearer abc ", Some("abc")),
            ("Bearer abc def", Some("abc")),
            ("Bearer", None),
            ("Bearer  abc", None),
            ("Basic abc", None),
        ] {
            assert_eq!(from_header(&headers(&[(header::AUTHORIZATION, text)])), want, "{text}");
        }
    }

    #[track_caller]
    fn check_protocol(offered: &str, want: Result<Option<&str>, &str>) {
        let headers = headers(&[(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_PROTOCOL, offered)]);
        let got = from_protocols(&headers);
        assert_eq!(got.as_ref().map(Option::as_deref).map_err(|error| error.0.as_str()), want, "{offered}");
    }

    #[test]
    fn a_websocket_may_carry_its_token_as_a_protocol() {
        check_protocol("v5.channel.k8s.io", Ok(None));
        check_protocol("v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj", Ok(Some("abc")));
        check_protocol("base64url.bearer.authorization.k8s.io.YWJj", Err("missing additional subprotocol"));
        check_protocol(
            "a, base64url.bearer.authorization.k8s.io.YQ, base64url.bearer.authorization.k8s.io.Yg",
            Err("multiple base64.bearer.authorization tokens specified"),
        );
        check_protocol(
            "a, base64url.bearer.authorization.k8s.io.*",
            Err("invalid base64.bearer.authorization token encoding"),
        );
    }

    #[test]
    fn the_token_does_not_stay_among_the_protocols() {
        let mut headers =
            headers(&[(header::SEC_WEBSOCKET_PROTOCOL, "a, base64url.bearer.authorization.k8s.io.YQ, b")]);
        strip_protocol(&mut headers);
        assert_eq!(headers[header::SEC_WEBSOCKET_PROTOCOL], "a,b");
        let token = HeaderValue::from_static("base64url.bearer.authorization.k8s.io.eA");
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, token);
        strip_protocol(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
