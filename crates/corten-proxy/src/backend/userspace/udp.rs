//! Passes UDP datagrams on, and answers back.
//!
//! A client (address, port, and the address it used) has a flow: a socket of its own towards its endpoint, so that
//! answers find their way. A flow ends after a while without datagrams, or when its endpoint goes. Clients choose how many
//! flows there are, so a flow owns little more than its descriptor: datagrams of all flows go through one buffer per thread.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use corten_base::{ErrorChain, Shutdown, TaskSet};
use nix::{
    libc,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg},
};
use parking_lot::Mutex;
use tokio::{io::Interest, net::UdpSocket};
use tracing::debug;

use super::{Context, Target, places::FlowPlace};

/// How long a flow lives without a datagram. The kernel's conntrack gives 30 s, and 120 s once both sides have spoken.
const IDLE: Duration = Duration::from_secs(120);
/// The largest datagram.
const DATAGRAM_MAX_BYTES: usize = 65_535;
/// Pause after a failing receive, so that a failure that lasts does not take a processor.
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

thread_local! {
    /// Holds a datagram between two system calls of this thread.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM_MAX_BYTES]);
}

/// Who is talking: the client, and which of our addresses it talks to.
type FlowKey = (SocketAddr, IpAddr);
type Flows = Arc<Mutex<BTreeMap<FlowKey, Arc<Flow>>>>;

#[derive(Debug)]
struct Flow {
    socket: UdpSocket,
    endpoint: SocketAddr,
    /// When it was used; ends the task that brings answers.
    place: FlowPlace,
    stopped: Shutdown,
}

/// Passes datagrams until `stopped`. All clones of `alive` are dropped once the socket is closed.
pub(super) async fn serve(
    socket: UdpSocket,
    target: Target,
    tasks: TaskSet,
    context: Context,
    stopped: Shutdown,
    alive: Sender<()>,
) {
    let socket = Arc::new(socket);
    let flows: Flows = Arc::default();
    let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        let received = tokio::select! {
            biased;
            () = stopped.requested() => return,
            received = receive(&socket, &mut buffer) => received,
        };
        let (size, key) = match received {
            Ok(received) => received,
            Err(e) => {
                // The socket may report here that an answer could not be delivered; a later call goes on.
                debug!(err = %ErrorChain(&e), "Could not receive datagram of service");
                tokio::select! {
                    biased;
                    () = stopped.requested() => return,
                    () = context.clock.sleep(RECEIVE_PAUSE) => {}
                }
                continue;
            }
        };
        let flow = match find_flow(&flows, key, &target, &context) {
            Some(flow) => flow,
            None => match open_flow(key, &target, &context, &stopped).await {
                Ok(Some(flow)) => {
                    flows.lock().insert(key, Arc::clone(&flow));
                    let answers =
                        bring_answers(Arc::clone(&flow), key, Arc::clone(&socket), Arc::clone(&flows), context.clone());
                    let alive = alive.clone();
                    tasks.spawn("udp flow", async move {
                        answers.await;
                        drop(alive);
                    });
                    flow
                }
                Ok(None) => continue,
                Err(e) => {
                    debug!(err = %ErrorChain(&e), "Could not open socket to endpoint");
                    continue;
                }
            },
        };
        // UDP may lose datagrams, and a dead endpoint is no reason to stop.
        if let Err(e) = flow.socket.send(&buffer[..size]).await {
            debug!(endpoint = %flow.endpoint, err = %ErrorChain(&e), "Could not pass datagram on");
        }
    }
}

fn find_flow(flows: &Flows, key: FlowKey, target: &Target, context: &Context) -> Option<Arc<Flow>> {
    let mut flows = flows.lock();
    let flow = flows.get(&key)?;
    if target.balancer.has(flow.endpoint) && !flow.stopped.is_requested() {
        flow.place.used(context.clock.monotonic());
        return Some(Arc::clone(flow));
    }
    if let Some(gone) = flows.remove(&key) {
        gone.place.end();
    }
    None
}

/// A new flow; `None` if there is no endpoint.
async fn open_flow(
    key: FlowKey,
    target: &Target,
    context: &Context,
    stopped: &Shutdown,
) -> io::Result<Option<Arc<Flow>>> {
    let (client, local) = key;
    let now = context.clock.monotonic();
    let candidates = target.balancer.candidates(target.role, client.ip(), local, now);
    let Some(endpoint) = candidates.first().copied() else { return Ok(None) };
    let (place, stopped) = context.flows.take(client.ip(), now, stopped);
    let any = SocketAddr::new(crate::names::IpFamily::of(endpoint.ip()).unspecified(), 0);
    let socket = UdpSocket::bind(any).await?;
    socket.connect(endpoint).await?;
    target.balancer.remember(client.ip(), endpoint, now);
    Ok(Some(Arc::new(Flow { socket, endpoint, place, stopped })))
}

/// Brings answers to the client until the flow is idle or stopped.
async fn bring_answers(flow: Arc<Flow>, key: FlowKey, listener: Arc<UdpSocket>, flows: Flows, context: Context) {
    loop {
        let idle_at = flow.place.last_used() + IDLE;
        tokio::select! {
            biased;
            () = flow.stopped.requested() => break,
            ready = flow.socket.readable() => match ready.and_then(|()| pass_answer(&flow, &listener, key)) {
                Ok(()) => flow.place.used(context.clock.monotonic()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The endpoint's node says that nobody listens: the next datagram picks anew.
                Err(_) => break,
            },
            () = context.clock.sleep_until(idle_at) => {
                // The client's datagrams count too.
                if flow.place.last_used() + IDLE <= context.clock.monotonic() {
                    break;
                }
            }
        }
    }
    flow.place.end();
    let mut flows = flows.lock();
    if flows.get(&key).is_some_and(|known| Arc::ptr_eq(known, &flow)) {
        flows.remove(&key);
    }
}

/// Receives a datagram: its size, who sent it, and to which of our addresses.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, FlowKey)> {
    socket
        .async_io(Interest::READABLE, || {
            let mut parts = [IoSliceMut::new(buffer)];
            let mut space = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
            let message =
                recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT)?;
            let client = message.address.as_ref().and_then(socket_address);
            let local = message.cmsgs()?.find_map(|part| match part {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    Some(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes()))
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
                _ => None,
            });
            let key = client.zip(local).ok_or_else(|| io::Error::other("datagram without addresses"))?;
            Ok((message.bytes, key))
        })
        .await
}

/// Passes one datagram of the endpoint on to the client; one that the client's side has no room for is lost, as UDP may.
///
/// Errors: of the endpoint's side only, `WouldBlock` if there is no datagram.
fn pass_answer(flow: &Flow, listener: &UdpSocket, key: FlowKey) -> io::Result<()> {
    BUFFER.with_borrow_mut(|buffer| {
        let size = flow.socket.try_recv(buffer)?;
        let sent = listener.try_io(Interest::WRITABLE, || answer(listener, &buffer[..size], key));
        if let Err(e) = sent {
            debug!(client = %key.0, err = %ErrorChain(&e), "Could not pass answer on");
        }
        Ok(())
    })
}

/// Sends an answer from the address that the client used.
fn answer(socket: &UdpSocket, data: &[u8], (client, local): FlowKey) -> io::Result<()> {
    let to = SockaddrStorage::from(client);
    let parts = [IoSlice::new(data)];
    let fd = socket.as_raw_fd();
    match local {
        IpAddr::V4(ip) => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(fd, &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        }
        IpAddr::V6(ip) => {
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(fd, &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        }
    }
    Ok(())
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::from((a.ip(), a.port()))))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::backend::userspace::{
        places::{ConnectionPlaces, FlowPlaces},
        tests::target_to,
        udp_socket,
    };
    use corten_base::SystemClock;

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    /// Sends until the echo comes; returns how often it had to.
    async fn talk(client: &UdpSocket, clock: &dyn corten_base::Clock, text: &str) -> usize {
        let mut buffer = [0; 64];
        for attempt in 1..100 {
            client.send(text.as_bytes()).await.unwrap();
            let answer = corten_base::timeout(clock, Duration::from_millis(200), client.recv(&mut buffer)).await;
            if let Ok(size) = answer {
                assert_eq!(&buffer[..size.unwrap()], text.as_bytes());
                return attempt;
            }
        }
        panic!("no answer to {text}");
    }

    /// A client with many source ports could take memory and descriptors without end: there was no limit for all ports.
    #[tokio::test]
    async fn where_there_is_no_place_the_idlest_flow_gives_way() {
        let clock = SystemClock::shared();
        let endpoint = UdpSocket::bind(HERE).await.unwrap();
        let target = target_to(endpoint.local_addr().unwrap());
        let flows = FlowPlaces::new(1, 1);
        let context =
            Context { clock: Arc::clone(&clock), connections: ConnectionPlaces::new(1, 1), flows: Arc::clone(&flows) };
        let socket = udp_socket(HERE).unwrap();
        let service = socket.local_addr().unwrap();
        let (stop, stopped) = Shutdown::new();
        let tasks = TaskSet::new("test");
        let (alive, _) = std::sync::mpsc::channel();
        tasks.spawn("service", serve(socket, target, tasks.clone(), context, stopped.clone(), alive));
        tasks.spawn("echo", async move {
            let mut buffer = [0; 64];
            loop {
                tokio::select! {
                    biased;
                    () = stopped.requested() => return,
                    received = endpoint.recv_from(&mut buffer) => {
                        let (size, peer) = received.unwrap();
                        endpoint.send_to(&buffer[..size], peer).await.unwrap();
                    }
                }
            }
        });
        let (first, second) = (UdpSocket::bind(HERE).await.unwrap(), UdpSocket::bind(HERE).await.unwrap());
        first.connect(service).await.unwrap();
        second.connect(service).await.unwrap();
        assert_eq!(talk(&first, &*clock, "one").await, 1);
        assert_eq!(flows.count(), 1);
        assert_eq!(talk(&second, &*clock, "two").await, 1, "no datagram is lost for want of a place");
        assert_eq!(talk(&first, &*clock, "three").await, 1);
        assert_eq!(flows.count(), 1);
        stop.request();
        tasks.join().await.unwrap();
        assert_eq!(flows.count(), 0);
    }
}
