//! What listeners can run into and packet rules cannot.

use std::net::TcpListener;

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
