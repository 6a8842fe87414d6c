//! `/healthz` without TLS and for everybody, on the node's own loopback: what service managers ask.
//!
//! A port that is taken is tried again, as upstream does: it must not stop the node.
//! Upstream: `healthzPort` and `healthzBindAddress`; cmd/kubelet/app/server.go, `InstallHandler` in apiserver's healthz (v1.35).

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use corten_base::{ErrorChain, SharedClock, Shutdown, TaskSet, timeout};
use http::{Method, Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tracing::{debug, error, warn};

use super::answer::{self, Answer};

/// Connections at a time: questions are small and short, more of them wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may take for its one request.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(30);
/// Before a port that is taken is tried again. Upstream: 5 s as well.
const LISTEN_RETRY: Duration = Duration::from_secs(5);
/// The wait after a connection could not be accepted: this process is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers at `address` until shutdown is requested.
pub async fn run(address: SocketAddr, clock: SharedClock, shutdown: Shutdown) {
    let Some(listener) = listen(address, &clock, &shutdown).await else { return };
    let tasks = TaskSet::new("kubelet-healthz");
    tasks.guard(serve(listener, &clock, &tasks, &shutdown)).await;
    if let Err(panic) = tasks.join().await {
        error!(err = %ErrorChain(&panic), "An answer about the kubelet's health panicked");
    }
}

/// `None` once shutdown is requested.
async fn listen(address: SocketAddr, clock: &SharedClock, shutdown: &Shutdown) -> Option<TcpListener> {
    let mut is_told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            // Told once: another kubelet of the machine may have it for as long as this one runs.
            Err(err) if !is_told => warn!(%address, %err, "Could not listen for questions about the kubelet's health"),
            Err(err) => debug!(%address, %err, "Could not listen for questions about the kubelet's health"),
        }
        is_told = true;
        tokio::select! {
            biased;
            () = shutdown.requested() => return None,
            () = clock.sleep(LISTEN_RETRY) => {}
        }
    }
}

async fn serve(listener: TcpListener, clock: &SharedClock, tasks: &TaskSet, shutdown: &Shutdown) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (clock, stop) = (Arc::clone(clock), shutdown.clone());
                tasks.spawn("connection", async move {
                    tokio::select! {
                        biased;
                        () = stop.requested() => {}
                        () = answer_one(stream, &clock) => {}
                    }
                    drop(permit);
                });
            }
            Err(err) => {
                debug!(%err, "Could not accept a question about the kubelet's health");
                clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer_one(stream: TcpStream, clock: &SharedClock) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = page(request.method(), request.uri().path(), request.uri().query());
        async { Ok::<Response<Answer>, Infallible>(answer) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or takes too long, is no concern of the kubelet.
    let _ended = timeout(&**clock, CONNECTION_PATIENCE, connection).await;
}

/// Whoever is answered at all finds the kubelet alive: there is no other check, as in upstream's.
fn page(method: &Method, path: &str, query: Option<&str>) -> Response<Answer> {
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
        let inner = tasks.clone();
        tasks.spawn("serve", async move { serve(listener, &clock, &inner, &shutdown).await });
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
