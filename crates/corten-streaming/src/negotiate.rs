//! Which protocol a request for an upgrade is answered with.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/httpstream/{httpstream.go,spdy,wsstream} (v1.35).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The header that names SPDY's protocols on top.
pub const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");

/// SPDY inside of a WebSocket: this word and SPDY's protocol on top.
pub const TUNNEL_PREFIX: &str = "SPDY/3.1+";

/// How the name of a "protocol" begins that is a bearer token: what a browser's client has in place of a header.
const BEARER_PREFIX: &str = "base64url.bearer.";

/// What carries the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket messages with a channel number in front.
    WebSocket,
    /// SPDY on the connection itself.
    Spdy,
    /// SPDY in the binary messages of a WebSocket.
    Tunnel,
}

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// What carries the streams.
    pub transport: Transport,
    /// The protocol on top, without the tunnel's prefix; empty where a client names none.
    pub protocol: &'static str,
    /// The headers of the answer 101.
    pub headers: HeaderMap,
}

/// Why a request cannot be upgraded: an answer in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: StatusCode,
    /// The text.
    pub message: String,
    /// Further headers.
    pub headers: Box<HeaderMap>,
}

/// The protocols that an endpoint speaks, best first.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Over WebSocket; a name with `TUNNEL_PREFIX` is SPDY in a WebSocket.
    pub websocket: &'static [&'static str],
    /// Over SPDY.
    pub spdy: &'static [&'static str],
    /// What a SPDY client that names no protocol means; `None`: it has to name one.
    pub spdy_default: Option<&'static str>,
}

/// The protocols of exec and attach.
pub const REMOTE_COMMAND: Offer = Offer {
    websocket: &[
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v4.base64.channel.k8s.io",
        "channel.k8s.io",
        "base64.channel.k8s.io",
    ],
    spdy: &["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"],
    spdy_default: Some("channel.k8s.io"),
};

/// The protocols of port forwarding.
pub const PORT_FORWARD: Offer = Offer {
    websocket: &["SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"],
    spdy: &["portforward.k8s.io"],
    spdy_default: None,
};

/// The protocols of one stream that is only read, such as a log: raw bytes, or base64 in text.
pub const READER: Offer =
    Offer { websocket: &["binary.k8s.io", "base64.binary.k8s.io"], spdy: &[], spdy_default: None };

/// Whether a request wants its connection for a WebSocket.
#[must_use]
pub fn is_websocket(headers: &HeaderMap) -> bool {
    is_upgrade(headers) && has_token(headers, &header::UPGRADE, "websocket")
}

/// Whether a request wants its connection for another protocol.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade")
}

/// Agrees on a protocol.
///
/// Errors: the request asks for no upgrade, or for protocols that are not offered.
pub fn negotiate(headers: &HeaderMap, offer: Offer) -> Result<Negotiated, Refusal> {
    if is_websocket(headers) {
        return websocket(headers, offer.websocket);
    }
    if !is_upgrade(headers) || !has_token(headers, &header::UPGRADE, "spdy/3.1") {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "unable to upgrade: missing upgrade headers in request".to_owned(),
        ));
    }
    let wanted = tokens(headers, &STREAM_PROTOCOL);
    let found = match (wanted.is_empty(), offer.spdy_default) {
        (true, Some(default)) => Some(default),
        // The client's order decides, as upstream.
        _ => wanted.iter().find_map(|wanted| offer.spdy.iter().copied().find(|known| known == wanted)),
    };
    let Some(protocol) = found else {
        let mut refusal = Refusal::new(
            StatusCode::FORBIDDEN,
            format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
                wanted.join(" "),
                offer.spdy.join(" ")
            ),
        );
        for &known in offer.spdy {
            refusal.headers.append(ACCEPTED_PROTOCOLS, HeaderValue::from_static(known));
        }
        return Err(refusal);
    };
    let mut answer = HeaderMap::new();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    answer.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    Ok(Negotiated { transport: Transport::Spdy, protocol, headers: answer })
}

/// Agrees on a WebSocket whose messages are the endpoint's own: the headers of the answer 101.
///
/// A client may name one protocol and gets it, whatever it is; bearer tokens among them are none.
///
/// Errors: it names several, or no WebSocket can be made of the request.
/// Upstream: golang.org/x/net/websocket, which serves watches. It wants an `Origin` as well; clients that are no browsers
/// have none, and are let in here.
pub fn plain_websocket(headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let mut answer = handshake(headers)?;
    let mut wanted = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    wanted.retain(|name| !name.starts_with(BEARER_PREFIX));
    match wanted.as_slice() {
        [] => {}
        [only] => {
            let value = HeaderValue::from_str(only).expect("a part of a header value is one");
            answer.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, String::new())),
    }
    Ok(answer)
}

/// The headers of the answer but for the protocol.
fn handshake(headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let bad = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, message.to_owned());
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(bad("unable to upgrade: unsupported WebSocket version"));
    }
    let key =
        headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| bad("unable to upgrade: missing Sec-WebSocket-Key"))?;
    if !STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
        return Err(bad("unable to upgrade: bad Sec-WebSocket-Key"));
    }
    let mut answer = HeaderMap::new();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(key.as_bytes());
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).expect("base64 is a header value"));
    Ok(answer)
}

fn websocket(headers: &HeaderMap, offered: &'static [&'static str]) -> Result<Negotiated, Refusal> {
    let mut answer = handshake(headers)?;
    let wanted = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    let found = wanted.iter().find_map(|wanted| offered.iter().copied().find(|known| known == wanted));
    let protocol = match (found, wanted.is_empty()) {
        (Some(protocol), _) => protocol,
        (None, true) => "",
        (None, false) => {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!(
                    "requested protocol(s) are not supported: [{}]; supports [{}]",
                    wanted.join(" "),
                    offered.join(" ")
                ),
            ));
        }
    };
    if !protocol.is_empty() {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(match protocol.strip_prefix(TUNNEL_PREFIX) {
        Some(inner) => Negotiated { transport: Transport::Tunnel, protocol: inner, headers: answer },
        None => Negotiated { transport: Transport::WebSocket, protocol, headers: answer },
    })
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).iter().any(|found| found.eq_ignore_ascii_case(token))
}

/// The comma-separated values of all headers of one name.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|token| !token.is_empty()).collect()
}

impl Refusal {
    fn new(code: StatusCode, message: String) -> Self {
        Self { code, message, headers: Box::default() }
    }
}

/// Removes what a client has shown to this server to be let in, before its request goes on to another one: the header, the
/// cookies of a browser, and the bearer token that a browser's client hides among the protocols.
pub fn remove_credentials(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<String> = offered.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    for value in offered {
        let kept = value.split(',').map(str::trim).filter(|name| !name.starts_with(BEARER_PREFIX));
        let kept = kept.collect::<Vec<_>>().join(", ");
        if let Some(value) = HeaderValue::from_str(&kept).ok().filter(|value| !value.is_empty()) {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, value) in pairs {
            all.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        all
    }

    fn websocket(protocols: &'static str) -> HeaderMap {
        headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", protocols),
        ])
    }

    #[test]
    fn the_first_protocol_of_the_client_that_is_offered_wins() {
        let agreed = negotiate(&websocket("v9.channel.k8s.io, v4.channel.k8s.io,v5.channel.k8s.io"), REMOTE_COMMAND);
        let agreed = agreed.unwrap();
        assert_eq!((agreed.transport, agreed.protocol), (Transport::WebSocket, "v4.channel.k8s.io"));
        assert_eq!(agreed.headers[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let tunnel = negotiate(&websocket("SPDY/3.1+portforward.k8s.io"), PORT_FORWARD).unwrap();
        assert_eq!((tunnel.transport, tunnel.protocol), (Transport::Tunnel, "portforward.k8s.io"));
        assert_eq!(tunnel.headers[header::SEC_WEBSOCKET_PROTOCOL], "SPDY/3.1+portforward.k8s.io");
    }

    #[test]
    fn spdy_takes_protocols_from_many_headers() {
        let request = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v5.channel.k8s.io"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ]);
        assert_eq!(negotiate(&request, REMOTE_COMMAND).unwrap().protocol, "v4.channel.k8s.io");
        let refused = negotiate(&request, PORT_FORWARD).unwrap_err();
        assert_eq!(refused.code, StatusCode::FORBIDDEN);
        assert_eq!(refused.headers[ACCEPTED_PROTOCOLS], "portforward.k8s.io");
        let silent = headers(&[("connection", "Upgrade"), ("upgrade", "SPDY/3.1")]);
        assert_eq!(negotiate(&silent, REMOTE_COMMAND).unwrap().protocol, "channel.k8s.io");
    }

    #[test]
    fn what_asks_for_no_upgrade_is_refused() {
        assert_eq!(negotiate(&HeaderMap::new(), REMOTE_COMMAND).unwrap_err().code, StatusCode::BAD_REQUEST);
        assert_eq!(negotiate(&websocket("other"), REMOTE_COMMAND).unwrap_err().code, StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_plain_websocket_takes_the_only_protocol_that_is_named() {
        let agreed = |protocols| {
            plain_websocket(&websocket(protocols)).map(|headers| {
                headers.get(header::SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap().to_owned())
            })
        };
        assert_eq!(agreed(""), Ok(None));
        assert_eq!(agreed("base64url.bearer.authorization.k8s.io.dA, mine"), Ok(Some("mine".to_owned())));
        assert_eq!(agreed("mine, yours").unwrap_err().code, StatusCode::BAD_REQUEST);
        assert_eq!(plain_websocket(&HeaderMap::new()).unwrap_err().code, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn credentials_are_not_handed_on() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        headers.insert(header::COOKIE, HeaderValue::from_static("session=1"));
        let protocols = HeaderValue::from_static("base64url.bearer.authorization.k8s.io.dA, v5.channel.k8s.io");
        headers.append(header::SEC_WEBSOCKET_PROTOCOL, protocols);
        headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("base64url.bearer.x"));
        remove_credentials(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[header::SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
    }
}
