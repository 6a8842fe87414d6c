//! Passes UDP datagrams on, and answers back.
//!
//! A client (address, port, and the address it used) has a flow: a socket of its own towards its endpoint, so that
//! answers find their way. A flow ends after a while without datagrams, or when its endpoint goes.

use std::{
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

use super::{Context, Target};

/// How long a flow lives without a datagram. The kernel's conntrack gives 30 s, and 120 s once both sides have spoken.
const IDLE: Duration = Duration::from_secs(120);
/// Flows of one port; the one idle for longest gives way.
const FLOWS_MAX: usize = 4_096;
/// The largest datagram.
const DATAGRAM_MAX_BYTES: usize = 65_535;

/// Who is talking: the client, and which of our addresses it talks to.
type FlowKey = (SocketAddr, IpAddr);
type Flows = Arc<Mutex<BTreeMap<FlowKey, Arc<Flow>>>>;

#[derive(Debug)]
struct Flow {
    socket: UdpSocket,
    endpoint: SocketAddr,
    /// When the last datagram passed, either way.
    last_used: Mutex<Duration>,
    /// Ends the task that brings answers.
    stop: corten_base::ShutdownTrigger,
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
                // The socket reports here that an answer could not be delivered; the next call goes on.
                debug!(err = %ErrorChain(&e), "Could not receive datagram of service");
                continue;
            }
        };
        let flow = match find_flow(&flows, key, &target, &context) {
            Some(flow) => flow,
            None => match open_flow(key, &target, &context, &stopped).await {
                Ok(Some(flow)) => {
                    insert_flow(&flows, key, &flow);
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
        *flow.last_used.lock() = context.clock.monotonic();
        return Some(Arc::clone(flow));
    }
    if let Some(gone) = flows.remove(&key) {
        gone.stop.request();
    }
    None
}

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
    let any = SocketAddr::new(crate::names::IpFamily::of(endpoint.ip()).unspecified(), 0);
    let socket = UdpSocket::bind(any).await?;
    socket.connect(endpoint).await?;
    target.balancer.remember(client.ip(), endpoint, now);
    let (stop, stopped) = stopped.child();
    Ok(Some(Arc::new(Flow { socket, endpoint, last_used: Mutex::new(now), stop, stopped })))
}

fn insert_flow(flows: &Flows, key: FlowKey, flow: &Arc<Flow>) {
    let mut flows = flows.lock();
    if flows.len() >= FLOWS_MAX {
        let idlest = flows.iter().min_by_key(|(_, flow)| *flow.last_used.lock()).map(|(key, _)| *key);
        if let Some(gone) = idlest.and_then(|key| flows.remove(&key)) {
            gone.stop.request();
        }
    }
    flows.insert(key, Arc::clone(flow));
}

/// Brings answers to the client until the flow is idle or stopped.
async fn bring_answers(flow: Arc<Flow>, key: FlowKey, listener: Arc<UdpSocket>, flows: Flows, context: Context) {
    let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        let idle_at = *flow.last_used.lock() + IDLE;
        tokio::select! {
            biased;
            () = flow.stopped.requested() => break,
            received = flow.socket.recv(&mut buffer) => match received {
                Ok(size) => {
                    *flow.last_used.lock() = context.clock.monotonic();
                    if let Err(e) = answer(&listener, &buffer[..size], key).await {
                        debug!(client = %key.0, err = %ErrorChain(&e), "Could not pass answer on");
                    }
                }
                // The endpoint's node says that nobody listens: the next datagram picks anew.
                Err(_) => break,
            },
            () = context.clock.sleep_until(idle_at) => {
                // The client's datagrams count too.
                if *flow.last_used.lock() + IDLE <= context.clock.monotonic() {
                    break;
                }
            }
        }
    }
    flow.stop.request();
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

/// Sends an answer from the address that the client used.
async fn answer(socket: &UdpSocket, data: &[u8], (client, local): FlowKey) -> io::Result<()> {
    let to = SockaddrStorage::from(client);
    socket
        .async_io(Interest::WRITABLE, || {
            let parts = [IoSlice::new(data)];
            let fd = socket.as_raw_fd();
            let sent = match local {
                IpAddr::V4(ip) => {
                    let address = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
                    let control = [ControlMessage::Ipv4PacketInfo(&info)];
                    sendmsg(fd, &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))
                }
                IpAddr::V6(ip) => {
                    let info =
                        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
                    let control = [ControlMessage::Ipv6PacketInfo(&info)];
                    sendmsg(fd, &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))
                }
            };
            sent?;
            Ok(())
        })
        .await
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::from((a.ip(), a.port()))))
}
