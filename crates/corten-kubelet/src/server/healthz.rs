//! `/healthz` without TLS and for everybody, on the node's own loopback: what service managers ask.
//!
//! Upstream: `healthzPort` and `healthzBindAddress`; cmd/kubelet/app/server.go, `InstallHandler` in apiserver's healthz (v1.35).

use std::net::SocketAddr;

use corten_base::{ErrorChain, SharedClock, Shutdown, TaskSet};
use corten_component_base::serving::PlainServer;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tracing::error;

use super::answer::{self, Answer};

/// Answers at `address` until shutdown is requested.
pub async fn run(address: SocketAddr, clock: SharedClock, shutdown: Shutdown) {
    let tasks = TaskSet::new("kubelet-healthz");
    let server = PlainServer { of: "kubelet", clock, tasks: tasks.clone(), stop: shutdown };
    tasks.guard(server.run(address, page)).await;
    if let Err(panic) = tasks.join().await {
        error!(err = %ErrorChain(&panic), "An answer about the kubelet's health panicked");
    }
}

/// Whoever is answered at all finds the kubelet alive: there is no other check, as in upstream's.
fn page(request: &Request<Incoming>) -> Response<Answer> {
    let (method, uri) = (request.method(), request.uri());
    let (path, query) = (uri.path(), uri.query());
    let is_wordy = query.unwrap_or_default().split('&').any(|pair| pair.split('=').next() == Some("verbose"));
    match path {
        "/healthz" | "/healthz/ping" if method != Method::GET && method != Method::HEAD => {
            answer::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
        }
        "/healthz" if is_wordy => answer::text(StatusCode::OK, "[+]ping ok\nhealthz check passed\n"),
        "/healthz" | "/healthz/ping" => answer::text(StatusCode::OK, "ok"),
        _ => answer::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SystemClock;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn anybody_may_ask_whether_the_kubelet_lives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, shutdown) = Shutdown::new();
        let (tasks, clock) = (TaskSet::new("test"), SystemClock::shared());
        let server = PlainServer { of: "kubelet", clock, tasks: tasks.clone(), stop: shutdown };
        tasks.spawn("serve", server.serve(listener, page));
        for (path, code, body) in [
            ("/healthz", "200", "ok"),
            ("/healthz/ping", "200", "ok"),
            ("/healthz?verbose", "200", "[+]ping ok\nhealthz check passed\n"),
            ("/pods", "404", "404 page not found\n"),
        ] {
            let text = ask(address, path).await;
            assert!(
                text.starts_with(&format!("HTTP/1.1 {code} ")) && text.ends_with(&format!("\r\n\r\n{body}")),
                "{text}"
            );
        }
        stop.request();
        tasks.join().await.unwrap();
    }
}
