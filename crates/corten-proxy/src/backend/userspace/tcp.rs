//! Passes TCP connections on.

use std::net::SocketAddr;

use corten_base::{ErrorChain, Shutdown, TaskSet, timeout};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{Context, Target};

/// How long an endpoint has to accept; then the next one is tried. A dead pod answers nothing at all.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Pause after the process ran out of descriptors, which is the only failure of `accept` that lasts.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

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
    // Small writes of one side are to reach the other as they come.
    for stream in [&client, &endpoint] {
        if let Err(e) = stream.set_nodelay(true) {
            debug!(err = %ErrorChain(&e), "Could not set option of connection");
        }
    }
    if let Err(e) = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await {
        debug!(client = %peer, err = %ErrorChain(&e), "Connection of service ended early");
    }
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
