//! Small servers without TLS, for questions about health that anybody on the way may ask.
//!
//! A port that is taken is tried again, as upstream does: it must not stop the component.

use std::{collections::VecDeque, convert::Infallible, error::Error, net::SocketAddr, time::Duration};

use corten_base::{ErrorChain, SharedClock, Shutdown, ShutdownTrigger, TaskSet, timeout};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tracing::{debug, warn};

/// Connections to one address at a time. A question is answered within milliseconds; where there are more, the oldest gives
/// way: those who connect and stay silent must not keep others from their answer.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take for its one request. Those who ask give up after some seconds themselves.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);
/// Before a port that is taken is tried again. Upstream: 5 s as well.
pub const LISTEN_RETRY: Duration = Duration::from_secs(5);
/// The wait after a connection could not be accepted: this process is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server of one address. See the module.
#[derive(Debug)]
pub struct PlainServer {
    /// Whose health it tells, for the log.
    pub of: &'static str,
    /// For the times above.
    pub clock: SharedClock,
    /// Where its connections are tasks.
    pub tasks: TaskSet,
    /// Ends it and its connections.
    pub stop: Shutdown,
}

impl PlainServer {
    /// Answers at `address` until it is stopped; waits for the address if somebody else has it.
    pub async fn run<B, F>(self, address: SocketAddr, answer: F)
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
        F: Fn(&Request<Incoming>) -> Response<B> + Clone + Send + Sync + 'static,
    {
        if let Some(listener) = self.listen(address).await {
            self.serve(listener, answer).await;
        }
    }

    /// `None` once it is stopped.
    async fn listen(&self, address: SocketAddr) -> Option<TcpListener> {
        let mut is_told = false;
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return Some(listener),
                // Told once: somebody else may have it for as long as this process runs.
                Err(error) if !is_told => {
                    warn!(%address, of = self.of, err = %ErrorChain(&error), "Could not listen for questions about health");
                }
                Err(error) => {
                    debug!(%address, of = self.of, err = %ErrorChain(&error), "Could not listen for questions about health");
                }
            }
            is_told = true;
            tokio::select! {
                biased;
                () = self.stop.requested() => return None,
                () = self.clock.sleep(LISTEN_RETRY) => {}
            }
        }
    }

    /// Answers those who come to `listener` until it is stopped.
    pub async fn serve<B, F>(self, listener: TcpListener, answer: F)
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
        F: Fn(&Request<Incoming>) -> Response<B> + Clone + Send + Sync + 'static,
    {
        // The newest connections, the ended ones among them included.
        let mut newest: VecDeque<ShutdownTrigger> = VecDeque::with_capacity(CONNECTIONS_MAX);
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.requested() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    if newest.len() == CONNECTIONS_MAX
                        && let Some(oldest) = newest.pop_front()
                    {
                        oldest.request();
                    }
                    let (end, stop) = self.stop.child();
                    newest.push_back(end);
                    let (answer, clock) = (answer.clone(), SharedClock::clone(&self.clock));
                    self.tasks.spawn("connection", async move {
                        let service = service_fn(|request| {
                            let response = answer(&request);
                            async { Ok::<_, Infallible>(response) }
                        });
                        let connection =
                            http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
                        tokio::select! {
                            biased;
                            () = stop.requested() => {}
                            // A client that goes away, or takes too long, is no concern of the server.
                            _ = timeout(&*clock, CONNECTION_PATIENCE, connection) => {}
                        }
                    });
                }
                Err(error) => {
                    debug!(of = self.of, err = %ErrorChain(&error), "Could not accept a question about health");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SystemClock;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    /// Sixty-four silent connections, from anywhere, kept probes waiting until the node fell out of its load balancer.
    #[tokio::test]
    async fn silent_connections_do_not_keep_a_probe_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((trigger, stop), tasks, clock) = (Shutdown::new(), TaskSet::new("test"), SystemClock::shared());
        let server = PlainServer { of: "test", clock: SharedClock::clone(&clock), tasks: tasks.clone(), stop };
        tasks.spawn("server", server.serve(listener, |request| Response::new(request.uri().path().to_owned())));
        let mut silent = Vec::new();
        for _ in 0..3 * CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let asked = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let answer = timeout(&*clock, CONNECTION_PATIENCE / 2, asked).await.expect("the oldest gave way");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("/healthz"), "{answer}");
        trigger.request();
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_waited_for() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let (trigger, stop) = Shutdown::new();
        let server = PlainServer { of: "test", clock: SystemClock::shared(), tasks: TaskSet::new("test"), stop };
        let mut listening = Box::pin(server.listen(address));
        tokio::select! {
            biased;
            _ = &mut listening => panic!("somebody else has it"),
            () = tokio::task::yield_now() => {}
        }
        trigger.request();
        assert!(listening.await.is_none());
    }
}
