//! What a reverse proxy changes on the way: headers of one connection, whom a request comes from, where answers point to.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/proxy/{transport,upgradeaware}.go (v1.35). Links inside of pages: `pages`.

use corten_apimachinery::status::Status;
use corten_apiserver::{Request, request::Origin};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::location::Location;

/// The path that the client asked this server for: a target can make links of it.
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Everybody whom a request has come from, the client first.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a target says about other origins is meant for its own address, not for this server's.
const CORS: [HeaderName; 4] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];

/// Makes the headers of a request those that its target gets.
pub(super) fn ask(headers: &mut HeaderMap, request: &Request) -> Result<(), Status> {
    remove_hops(headers);
    headers.insert(FORWARDED_URI, HeaderValue::try_from(request.path.as_str()).map_err(Status::internal)?);
    come_from(headers, request)
}

/// Tells the target whom a request comes from.
pub(super) fn come_from(headers: &mut HeaderMap, request: &Request) -> Result<(), Status> {
    if let Origin::Connection { peer, .. } = &request.origin {
        let known = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let mut all: Vec<String> = known.map(str::to_owned).collect();
        all.push(peer.ip().to_canonical().to_string());
        headers.insert(FORWARDED_FOR, HeaderValue::try_from(all.join(", ")).map_err(Status::internal)?);
    }
    Ok(())
}

/// Makes the headers of an answer those that the client gets: `path` and `host` are what it asked for.
pub(super) fn answer(headers: &mut HeaderMap, path: &str, location: &Location, host: &str) {
    remove_hops(headers);
    for name in CORS {
        headers.remove(name);
    }
    let target = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(place) = target.and_then(|target| rewrite(target, path, location, host))
        && let Ok(place) = HeaderValue::try_from(place)
    {
        headers.insert(header::LOCATION, place);
    }
}

/// The place on this server that stands for `target`, a place that the target of a request has named; `None` to keep it.
pub(super) fn rewrite(target: &str, path: &str, location: &Location, host: &str) -> Option<String> {
    let uri: Uri = target.parse().ok()?;
    let named = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if !(named.is_empty() || named == location.authority() || named == host) || !uri.path().starts_with('/') {
        return None;
    }
    let suffix = location.path.split('?').next().unwrap_or_default();
    let prefix = path.strip_suffix(suffix).unwrap_or(path).trim_end_matches('/');
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Its own address goes; the client's is right as it is.
    let start =
        if !named.is_empty() && named == host { target.strip_suffix(uri.path_and_query()?.as_str())? } else { "" };
    let rest = uri.path();
    if rest.starts_with(prefix) {
        return Some(format!("{start}{rest}{query}"));
    }
    Some(format!("{start}{prefix}{rest}{query}"))
}

/// Headers that are about one connection and not about the request or the answer.
fn remove_hops(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in listed.iter().chain(&always) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::location::Transport;

    const PREFIX: &str = "/api/v1/namespaces/n/pods/p/proxy";

    #[track_caller]
    fn check(target: &str, want: Option<&str>) {
        let location =
            Location { host: "10.0.0.1".to_owned(), port: 80, transport: Transport::Plain, path: "/a/?x=1".to_owned() };
        let got = rewrite(target, &format!("{PREFIX}/a/"), &location, "localhost:8001");
        assert_eq!(got.as_deref(), want, "{target}");
    }

    #[test]
    fn redirects_of_the_target_lead_through_the_proxy() {
        check("/login/?b=2", Some("/api/v1/namespaces/n/pods/p/proxy/login/?b=2"));
        check("http://10.0.0.1:80/login", Some("/api/v1/namespaces/n/pods/p/proxy/login"));
        check("http://localhost:8001/x", Some("http://localhost:8001/api/v1/namespaces/n/pods/p/proxy/x"));
        check("/api/v1/namespaces/n/pods/p/proxy/x", Some("/api/v1/namespaces/n/pods/p/proxy/x"));
        check("http://elsewhere.example/login", None);
    }

    #[test]
    fn headers_of_one_connection_go_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "keep-alive, x-secret"), ("x-secret", "1"), ("te", "x"), ("x-other", "2")]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_hops(&mut headers);
        assert_eq!(headers.len(), 1, "{headers:?}");
    }
}
