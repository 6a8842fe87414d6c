//! Passes TCP connections on.

use std::{io, net::SocketAddr, time::Duration};

use corten_base::{ErrorChain, KeepAlive, Shutdown, TaskSet, timeout};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{Context, Target};

/// How long an endpoint has to accept; then the next one is tried. A dead pod answers nothing at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the process ran out of descriptors, which is the only failure of `accept` that lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A client or a pod that vanished without a word would keep its place for ever. After two minutes of silence the kernel asks
/// whether it is there, and again each half a minute; the fourth question without an answer ends the connection.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(120), interval: Duration::from_secs(30), probes: 4 };

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
        // A place only once somebody is there: listeners to whom nobody connects hold none. Who finds none waits, the others
        // of this port behind it in the backlog.
        let accept = async {
            let (client, peer) = listener.accept().await?;
            io::Result::Ok((client, peer, context.connections.take(peer.ip()).await))
        };
        let accepted = tokio::select! {
            biased;
            () = stopped.requested() => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((client, peer, Some(place))) => {
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
            Ok((_, peer, None)) => debug!(client = %peer, "Closed connection of service: the client has its share"),
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

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Small writes of one side are to reach the other as they come.
    stream.set_nodelay(true)?;
    KEEP_ALIVE.set(stream)
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
    use corten_base::SystemClock;
    use nix::sys::socket::{getsockopt, sockopt};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::backend::userspace::{
        places::{ConnectionPlaces, FlowPlaces},
        tests::target_to,
    };

    /// Those who vanished kept their places until nobody else could connect.
    #[tokio::test]
    async fn the_kernel_asks_after_both_ends_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        for stream in [client.unwrap(), accepted.unwrap().0] {
            set_options(&stream).unwrap();
            assert!(getsockopt(&stream, sockopt::KeepAlive).unwrap());
            assert_eq!(getsockopt(&stream, sockopt::TcpKeepIdle).unwrap(), 120);
            assert!(stream.nodelay().unwrap());
        }
    }

    /// Each port of each service had a place while nobody came: a service with many ports took them all.
    #[tokio::test]
    async fn a_port_to_which_nobody_connects_holds_no_place() {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = TcpListener::bind(here).await.unwrap();
        let target = target_to(endpoint.local_addr().unwrap());
        let context = Context {
            clock: SystemClock::shared(),
            connections: ConnectionPlaces::new(1, 1),
            flows: FlowPlaces::new(1, 1),
        };
        let (stop, stopped) = Shutdown::new();
        let tasks = TaskSet::new("test");
        let mut services = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind(here).await.unwrap();
            services.push(listener.local_addr().unwrap());
            let serving =
                serve(listener, target.clone(), tasks.clone(), context.clone(), stopped.clone(), stopped.clone());
            tasks.spawn("service", serving);
        }
        for service in services.iter().chain(&services) {
            let mut client = TcpStream::connect(service).await.unwrap();
            let (mut accepted, _) = endpoint.accept().await.unwrap();
            client.write_all(b"there").await.unwrap();
            client.shutdown().await.unwrap();
            let mut text = String::new();
            accepted.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "there");
            drop(accepted);
            // The end has come through when the place is free again.
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
        stop.request();
        tasks.join().await.unwrap();
    }
}
