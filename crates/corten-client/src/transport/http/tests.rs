//! The transport against a small server on this machine's loopback, in the clear and over TLS.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use corten_apimachinery::{
    gvk::GroupVersionResource,
    value::{Str, Value},
};
use corten_base::SystemClock;
use futures::StreamExt as _;
use http::{Response, Version};
use http_body_util::StreamBody;
use hyper::{body::Frame, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

use super::*;
use crate::{Client, ListOptions, Target, WatchEvent, WatchOptions};

type TestBody = http_body_util::combinators::BoxBody<Bytes, Infallible>;

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

/// Answers by path; the watch comes in pieces that do not respect its events.
async fn serve(request: http::Request<Incoming>) -> Result<Response<TestBody>, Infallible> {
    let whole = |code: u16, text: String| {
        Ok(Response::builder().status(code).body(Full::new(Bytes::from(text)).boxed()).unwrap())
    };
    let uri = request.uri().to_string();
    let path = uri.find("/api").map_or("", |at| &uri[at..]);
    let header = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    match (request.method().as_str(), path) {
        ("GET", "/api/v1/namespaces/ns/pods/web") => {
            let labels = format!(r#"{{"token":"{}","version":"{:?}"}}"#, header(header::AUTHORIZATION), request.version());
            whole(200, format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web","resourceVersion":"3","labels":{labels}}}}}"#) + "\n")
        }
        ("GET", "/api/v1/pods?resourceVersion=0") => {
            whole(200, r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"8"},"items":[{"metadata":{"name":"web"}}]}"#.into())
        }
        ("GET", "/api/v1/pods?watch=true&resourceVersion=8&allowWatchBookmarks=true") => {
            let event = |kind: &str, version: u64| {
                format!(r#"{{"type":"{kind}","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web","resourceVersion":"{version}"}}}}}}"#) + "\n"
            };
            let text = event("ADDED", 9) + &event("BOOKMARK", 12) + &event("DELETED", 13);
            let pieces: Vec<_> = text.as_bytes().chunks(50).map(Bytes::copy_from_slice).collect();
            let frames = futures::stream::iter(pieces).map(|piece| Ok(Frame::data(piece)));
            Ok(Response::new(http_body_util::BodyExt::boxed(StreamBody::new(frames))))
        }
        ("POST", "/api/v1/namespaces/ns/pods/web/binding?fieldManager=test") => {
            let content_type = header(header::CONTENT_TYPE);
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!((&*content_type, &*body), ("application/json", &br#"{"target":{"name":"n1"}}"#[..]));
            whole(201, r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#.into())
        }
        _ => {
            let missing = Status::not_found(&pods().group_resource(), "missing");
            whole(404, String::from_utf8(json::encode(&missing.to_value(), None).to_vec()).unwrap())
        }
    }
}

/// Serves until the test ends.
async fn start(tasks: &TaskSet, tls: Option<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, inner) = (listener.local_addr().unwrap(), tasks.clone());
    let acceptor = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    tasks.spawn("listener", async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            inner.spawn("connection", async move {
                let server = auto::Builder::new(TokioExecutor::new());
                match acceptor {
                    None => drop(server.serve_connection(TokioIo::new(tcp), service_fn(serve)).await),
                    Some(acceptor) => {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            drop(server.serve_connection(TokioIo::new(tls), service_fn(serve)).await);
                        }
                    }
                }
            });
        }
    });
    address
}

fn client(config: HttpConfig, tasks: &TaskSet) -> Client {
    Client::new(Arc::new(HttpTransport::new(config, SystemClock::shared(), tasks).unwrap()), "test")
}

fn labels(object: &corten_apimachinery::stored::Stored) -> BTreeMap<Str, Str> {
    object.facts.labels.iter().map(|(key, value)| (key.into(), value.into())).collect()
}

#[tokio::test]
async fn every_verb_finds_its_path_and_its_answer() {
    let tasks = TaskSet::new("test");
    let address = start(&tasks, None).await;
    let config =
        HttpConfig::with_credentials(format!("http://{address}/"), Vec::new(), Credentials::Token("abc".into()));
    let client = client(config, &tasks);

    let pod = client.get(Target::object(&pods(), "ns", "web")).await.unwrap();
    assert_eq!((pod.revision, labels(&pod)["token"].as_str()), (3, "Bearer abc"));
    assert!(pod.json.ends_with(b"}"));

    let options = ListOptions { resource_version: "0".into(), ..ListOptions::default() };
    let list = client.list(Target::collection(&pods(), ""), &options).await.unwrap();
    assert_eq!((list.revision, list.items.len()), (8, 1));

    let options = WatchOptions { resource_version: "8".into(), allow_bookmarks: true, ..WatchOptions::default() };
    let events = client.watch(Target::collection(&pods(), ""), &options).await.unwrap();
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    let [WatchEvent::Added(new), WatchEvent::Bookmark { revision: 12, .. }, WatchEvent::Deleted(gone)] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((new.revision, gone.revision), (9, 13));

    let mut binding = Value::object();
    binding.set(&["target", "name"], "n1");
    let answer = client.post(Target::object(&pods(), "ns", "web").subresource("binding"), binding).await.unwrap();
    assert_eq!(answer.str_at(&["status"]), Some("Success"));

    let missing = client.get(Target::object(&pods(), "ns", "missing")).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing:?}");
}

#[tokio::test]
async fn a_client_certificate_opens_http2_over_tls() {
    let server = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let user = rcgen::generate_simple_self_signed(vec!["user".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(user.cert.der().clone()).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let key = rustls_pki_types::PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(vec![server.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tasks = TaskSet::new("test");
    let address = format!("https://{}", start(&tasks, Some(tls)).await);

    let (authority, chain, key) = (server.cert.pem(), user.cert.pem(), user.signing_key.serialize_pem());
    let good = HttpConfig::with_certificate(&address, authority.into_bytes(), chain.clone().into(), key.clone().into());
    let pod = client(good.clone(), &tasks).get(Target::object(&pods(), "ns", "web")).await.unwrap();
    assert_eq!(labels(&pod)["version"], format!("{:?}", Version::HTTP_2));

    // Another authority: the server is not who it should be.
    let wrong = HttpConfig::with_certificate(&address, chain.clone().into(), chain.clone().into(), key.clone().into());
    let refused = client(wrong, &tasks).get(Target::object(&pods(), "ns", "web")).await.unwrap_err();
    assert_eq!(refused.reason, Reason::ServiceUnavailable, "{refused:?}");

    // Unless nobody looks.
    let blind = HttpConfig { tls: Tls::Insecure { identity: Some((chain.into(), key.into())) }, ..good };
    client(blind, &tasks).get(Target::object(&pods(), "ns", "web")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let address = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let tasks = TaskSet::new("test");
    let config = HttpConfig::with_credentials(format!("http://{address}"), Vec::new(), Credentials::None);
    let error = client(config, &tasks).get(Target::object(&pods(), "ns", "web")).await.unwrap_err();
    assert_eq!(error.reason, Reason::ServiceUnavailable);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_at_once() {
    let tasks = TaskSet::new("test");
    let check = |server: &str, authorities: &[u8]| {
        let config = HttpConfig::with_credentials(server, authorities.to_vec(), Credentials::None);
        HttpTransport::new(config, SystemClock::shared(), &tasks).unwrap_err().to_string()
    };
    assert_eq!(check("ftp://x", b""), "server address \"ftp://x\" is not an http or https address");
    assert_eq!(check("/path", b""), "server address \"/path\" is not an http or https address");
    assert_eq!(check("https://x", b""), "no certificate authority is given");
}
