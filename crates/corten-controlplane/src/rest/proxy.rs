//! What the proxies to pods, services and nodes have in common: the target in a request's name, and the path behind it.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/{net,proxy} (v1.35).

use std::net::IpAddr;

use corten_apimachinery::status::Status;
use corten_apiserver::{Reply, Request};
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    kubelets::Kubelets,
    location::{Location, Transport},
};

/// What the name of a proxy request says: `name`, `name:port`, `scheme:name:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// `http`, `https`, or nothing.
    pub(super) scheme: &'a str,
    /// The object.
    pub(super) name: &'a str,
    /// A number or a port's name; empty: the object says which.
    pub(super) port: &'a str,
}

impl<'a> Target<'a> {
    /// Upstream: `SplitSchemeNamePort`. `None` for what has another form.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let target = match *parts.as_slice() {
            [name] => Self { scheme: "", name, port: "" },
            [name, port] => Self { scheme: "", name, port },
            [scheme @ ("" | "http" | "https"), name, port] => Self { scheme, name, port },
            _ => return None,
        };
        (!target.name.is_empty()).then_some(target)
    }
}

/// The path behind `proxy`, as sent, with the query. Without a slash behind `proxy`, the path is empty.
pub(super) fn path_of(request: &Request) -> String {
    // /api/v1/namespaces/NAMESPACE/pods/NAME/proxy and /api/v1/nodes/NAME/proxy; doubled slashes count as one.
    let before = if request.info.namespace.is_empty() { 5 } else { 7 };
    let mut rest = request.path.as_str();
    for _ in 0..before {
        rest = rest.trim_start_matches('/');
        rest = rest.find('/').map_or("", |slash| &rest[slash..]);
    }
    format!("{rest}{}", query_of(request))
}

/// The query with its question mark, as sent.
fn query_of(request: &Request) -> String {
    match request.query.raw() {
        "" => String::new(),
        raw => format!("?{raw}"),
    }
}

/// Hands a request on to where `scheme`, `host` and `port` say. Without a port it is the scheme's.
///
/// Errors: the address belongs to this machine or to a single link; nobody answers there.
pub(super) async fn to_address(
    kubelets: &Kubelets,
    scheme: &str,
    host: &str,
    port: &str,
    request: Request,
) -> Result<Reply, Status> {
    if !host.parse().is_ok_and(|address| is_proxyable(&address)) {
        return Err(Status::bad_request("address not allowed"));
    }
    let (transport, standard) = if scheme == "https" { (Transport::Tls, 443) } else { (Transport::Plain, 80) };
    let port = match port {
        "" => standard,
        given => given.parse().map_err(|_| {
            let known = "error trying to reach service: dial tcp: lookup tcp/";
            Status::service_unavailable(format!("{known}{given}: unknown port"))
        })?,
    };
    let location = Location { host: host.to_owned(), port, transport, path: path_of(&request) };
    to_location(kubelets, location, request).await
}

/// Hands a request on.
///
/// Errors: nobody answers.
pub(super) async fn to_location(
    kubelets: &Kubelets,
    mut location: Location,
    mut request: Request,
) -> Result<Reply, Status> {
    let has_no_path = !location.path.starts_with('/');
    if has_no_path {
        location.path.insert(0, '/');
    }
    if request.upgrade.is_some() {
        return kubelets.upgrade(&location, &mut request).await;
    }
    if has_no_path && matches!(request.method, Method::GET | Method::HEAD) {
        // Pages of the target are relative to its root, which has a slash.
        let mut reply = Reply::text(StatusCode::MOVED_PERMANENTLY, "");
        let place = format!("{}/{}", request.path, query_of(&request));
        reply.headers.insert(header::LOCATION, HeaderValue::try_from(place).map_err(Status::internal)?);
        return Ok(reply);
    }
    kubelets.forward(&location, request).await
}

/// Whether a request to this address may be made for somebody else: what only this machine reaches is not theirs.
///
/// Upstream: `IsProxyableIP`.
fn is_proxyable(address: &IpAddr) -> bool {
    let is_own = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        // An address of the old kind in new clothes could be any of those above.
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !is_own && !is_link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_up_to_three_parts() {
        let parse = |text| Target::parse(text).map(|target| (target.scheme, target.name, target.port));
        assert_eq!(parse("a"), Some(("", "a", "")));
        assert_eq!(parse("a:80"), Some(("", "a", "80")));
        assert_eq!(parse("https:a:web"), Some(("https", "a", "web")));
        assert_eq!(parse("http:a:"), Some(("http", "a", "")));
        for bad in ["", ":80", "ftp:a:1", "a:b:c:d"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_of_this_machine_are_not_for_others() {
        for bad in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "224.0.0.1", "::ffff:127.0.0.1"] {
            assert!(!is_proxyable(&bad.parse().unwrap()), "{bad}");
        }
        assert!(is_proxyable(&"10.244.0.7".parse().unwrap()));
    }
}
