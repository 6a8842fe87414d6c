//! Passes TCP connections on.

use std::{net::SocketAddr, os::fd::AsFd, time::Duration};

use corten_base::{ErrorChain, Shutdown, TaskSet, timeout};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{Context, Target};

/// How long an endpoint has to accept; then the next one is tried. A dead pod answers nothing at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the process ran out of descriptors, which is the only failure of `accept` that lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A client or a pod that vanished without a word would keep its place for ever. After two minutes of silence the kernel asks
/// whether it is there, and again each half a minute; the fourth question without an answer ends the connection.
const KEEP_ALIVE: KeepAlive = KeepAlive { idle_seconds: 120, interval_seconds: 30, questions: 4 };

/// How the kernel finds out that nobody is at the other end.
struct KeepAlive {
    idle_seconds: u32,
    interval_seconds: u32,
    questions: u32,
}

/// Accepts until `stopped`; connections go on until they end or `end` comes.
pub(super) async fn serve(
    listener: TcpListener,
    target: Target,
    tasks: TaskSet,
    context: Context,
    stopped: Shutdown,
    end: Shutdown,
) {
    loop {
        // A place first: who finds none waits in the backlog.
        let accept = async {
            let place = context.connections.clone().acquire_owned().await.expect("is never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stopped.requested() => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((client, peer)) => {
                let (target, context, end) = (target.clone(), context.clone(), end.clone());
                tasks.spawn("tcp connection", async move {
                    tokio::select! {
                        biased;
                        () = end.requested() => {}
                        () = pass_on(client, peer, &target, &context) => {}
                    }
                    drop(place);
                });
            }
            Err(e) => {
                warn!(err = %ErrorChain(&e), "Could not accept connection of service");
                context.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn pass_on(mut client: TcpStream, peer: SocketAddr, target: &Target, context: &Context) {
    let Some(mut endpoint) = connect(&client, peer, target, context).await else { return };
    for stream in [&client, &endpoint] {
        if let Err(e) = set_options(stream) {
            debug!(err = %ErrorChain(&e), "Could not set option of connection");
        }
    }
    if let Err(e) = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await {
        debug!(client = %peer, err = %ErrorChain(&e), "Connection of service ended early");
    }
}

fn set_options(stream: &impl AsFd) -> nix::Result<()> {
    // Small writes of one side are to reach the other as they come.
    setsockopt(stream, sockopt::TcpNoDelay, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE.idle_seconds)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_ALIVE.interval_seconds)?;
    setsockopt(stream, sockopt::TcpKeepCount, &KEEP_ALIVE.questions)?;
    setsockopt(stream, sockopt::KeepAlive, &true)
}

async fn connect(client: &TcpStream, peer: SocketAddr, target: &Target, context: &Context) -> Option<TcpStream> {
    let local = client.local_addr().ok()?;
    let balancer = &target.balancer;
    let candidates = balancer.candidates(target.role, peer.ip(), local.ip(), context.clock.monotonic());
    for endpoint in candidates {
        match timeout(&*context.clock, CONNECT_TIMEOUT, TcpStream::connect(endpoint)).await {
            Ok(Ok(stream)) => {
                balancer.remember(peer.ip(), endpoint, context.clock.monotonic());
                return Some(stream);
            }
            Ok(Err(e)) => debug!(%endpoint, err = %ErrorChain(&e), "Could not connect to endpoint"),
            Err(e) => debug!(%endpoint, err = %ErrorChain(&e), "Could not connect to endpoint"),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    /// Those who vanished kept their places until nobody else could connect.
    #[tokio::test]
    async fn the_kernel_asks_after_both_ends_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        for stream in [client.unwrap(), accepted.unwrap().0] {
            assert!(!getsockopt(&stream, sockopt::KeepAlive).unwrap());
            set_options(&stream).unwrap();
            assert!(getsockopt(&stream, sockopt::KeepAlive).unwrap());
            assert_eq!(getsockopt(&stream, sockopt::TcpKeepIdle).unwrap(), 120);
            assert!(stream.nodelay().unwrap());
        }
    }
}
