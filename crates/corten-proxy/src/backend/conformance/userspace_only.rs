//! What listeners can run into and packet rules cannot.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};

use super::scene::{Kind, Scene, reached, service, with_node_port};

const BOTH: &[&str] = &["10.1.0.3", "10.1.0.4"];

/// The first port that somebody else had kept the later ones shut, and the proxy was never healthy again.
#[test]
fn a_port_that_somebody_else_has_costs_only_itself() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: needs root to make network namespaces");
        return;
    }
    let mut s = Scene::new(Kind::Userspace);
    let occupy = |s: &Scene, port: u16| s.node.run(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    let (first, second) = (occupy(&s, 30080), occupy(&s, 30081));
    s.set(with_node_port(service("a", "10.96.0.1"), 30080), BOTH);
    s.set(with_node_port(service("b", "10.96.0.2"), 30081), BOTH);
    let changes = s.changes();
    s.with_backend(|backend, _| backend.apply(&changes)).unwrap_err();
    s.with_backend(|backend, ruleset| backend.replace(ruleset)).unwrap_err();
    drop(second);
    s.replace();
    assert_eq!(reached(&s.neighbour, "192.168.0.1:30081"), "ab", "free again, though the port before it is not");
    s.apply(service("c", "10.96.0.3"), BOTH);
    s.replace();
    drop(first);
    assert!(s.with_backend(|backend, _| backend.is_intact()).unwrap());
    assert_eq!(reached(&s.neighbour, "192.168.0.1:30080"), "ab", "the next look finds it free");
}

/// More than the endpoint's backlog holds: the listener accepts at once whom the endpoint lets wait. They are connected when
/// the kernel asks again, a second later, and what they have sent by then comes in one piece: an endpoint that takes the
/// pieces of a stream for messages answers some of them never, and the proxy was blamed for it.
#[test]
fn whoever_finds_the_endpoints_backlog_full_is_answered_later() {
    const CLIENTS: usize = 60;
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: needs root to make network namespaces");
        return;
    }
    let mut s = Scene::new(Kind::Userspace);
    let endpoint = s.client.run(|| listen_with_backlog("10.1.0.2:8080", CLIENTS / 2)).unwrap();
    s.apply(service("a", "10.96.0.1"), &["10.1.0.2"]);
    let client = |_| {
        let mut client = s.node.run(|| TcpStream::connect("10.96.0.1:80")).unwrap().unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(b"one").unwrap();
        client
    };
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(client).collect();
    for client in &mut clients {
        client.write_all(b"two").unwrap();
    }
    thread::spawn(move || {
        for connection in endpoint.incoming() {
            let mut connection = connection.unwrap();
            // Ends when the client closes, which is no concern of the server.
            thread::spawn(move || std::io::copy(&mut connection.try_clone().unwrap(), &mut connection));
        }
    });
    for client in &mut clients {
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"onetwo");
    }
}

fn listen_with_backlog(address: &str, backlog: usize) -> TcpListener {
    let fd = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    socket::bind(fd.as_raw_fd(), &SockaddrIn::from(address.parse::<std::net::SocketAddrV4>().unwrap())).unwrap();
    socket::listen(&fd, Backlog::new(i32::try_from(backlog).unwrap()).unwrap()).unwrap();
    fd.into()
}
