//! Prints what one answer from the zone costs: the message alone, then with the kernel's sockets on the loop-back interface.
//!
//! Run: `cargo run --release -p corten-dns --example answers_per_second`
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is its purpose")]

use std::{net::UdpSocket, sync::Arc, time::Duration};

use corten_base::{Shutdown, SystemClock, SystemRng};
use corten_dns::{
    Config, Dns, Input, Upstreams,
    dns::apply_one,
    forward::Forwarder,
    message::{Name, code, upstream::Question},
    metrics::{Metrics, Transport},
    server::{Reply, Responder},
    zone::{ObjectKey, ServiceFacts, ServiceKind, Zone},
};
use parking_lot::RwLock;

const SERVICES: u16 = 10_000;
const ANSWERS: u32 = 2_000_000;
const OVER_UDP: u32 = 200_000;

fn inputs() -> impl Iterator<Item = Input> {
    let services = (0..SERVICES).map(|n| {
        Input::Service(ServiceFacts {
            key: ObjectKey::new(&format!("ns-{}", n % 100), &format!("service-{n}")),
            kind: ServiceKind::ClusterIps(vec![[10, 96, (n >> 8) as u8, n as u8].into()]),
            ports: Vec::new(),
            publish_not_ready_addresses: false,
        })
    });
    services.chain([Input::Synced])
}

fn query() -> Vec<u8> {
    let name = Name::from_text("service-4242.ns-42.svc.cluster.local").expect("a name");
    Question { name, record_type: code::A, class: code::IN, dnssec_ok: false, checking_disabled: false }.message(1)
}

fn print(what: &str, count: u32, took: Duration) {
    println!(
        "{what}: {:.0} answers/s, {:.2} us each",
        f64::from(count) / took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / f64::from(count)
    );
}

fn main() {
    let clock = SystemClock::shared();
    let mut zone = Zone::new(Name::from_text("cluster.local").expect("a name"));
    inputs().for_each(|input| apply_one(&mut zone, input));
    zone.settle(0);
    let forwarder = Forwarder::new(Vec::new(), 0, Arc::clone(&clock), SystemRng::shared(), Metrics::default());
    let responder = Responder::new(Arc::new(RwLock::new(zone)), Arc::new(forwarder));
    let (query, mut buffer, start) = (query(), Vec::new(), clock.monotonic());
    for _ in 0..ANSWERS {
        match responder.respond(&query, Transport::Udp, buffer) {
            Reply::Now(answer) => buffer = answer,
            Reply::Nothing | Reply::Later(_) => unreachable!("the zone knows the name"),
        }
    }
    print("message to message", ANSWERS, clock.monotonic() - start);
    let general = general_library(&query, &*clock);
    print("a general library, decode and encode only", ANSWERS / 4, general);
    over_udp(&query);
}

/// What reading the query and writing the answer costs with a tree of names and records.
fn general_library(query: &[u8], clock: &dyn corten_base::Clock) -> Duration {
    use hickory_proto::{
        op::{Message, OpCode},
        rr::{RData, Record, rdata::A},
    };
    let start = clock.monotonic();
    for _ in 0..ANSWERS / 4 {
        let query = Message::from_vec(query).expect("a query");
        let mut response = Message::response(query.metadata.id, OpCode::Query);
        response.add_query(query.queries[0].clone());
        response.add_answer(Record::from_rdata(query.queries[0].name().clone(), 5, RData::A(A::new(10, 96, 0, 1))));
        std::hint::black_box(response.to_vec().expect("an answer"));
    }
    clock.monotonic() - start
}

fn over_udp(query: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = SystemClock::shared();
    let (address, trigger, server) = runtime.block_on(async {
        let config = Config {
            cluster_domain: "cluster.local".to_owned(),
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            upstreams: Upstreams::Fixed(Vec::new()),
            cache_entries: 0,
            feed_socket: None,
        };
        let dns = Dns::build(config, Arc::clone(&clock), SystemRng::shared(), Metrics::default()).await.expect("DNS");
        let (address, sender) = (dns.addresses()[0], dns.inputs());
        let (trigger, shutdown) = Shutdown::new();
        (address, trigger, async move {
            let feed = async {
                for input in inputs() {
                    sender.send(input).await.expect("DNS runs");
                }
            };
            let (result, ()) = tokio::join!(dns.run(shutdown), feed);
            result.expect("DNS ends well");
        })
    });
    let query = query.to_vec();
    let client = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(address).expect("a connection");
        let (clock, mut answer) = (SystemClock::shared(), [0; 512]);
        // Synced when the name is there: until then the server fails the question.
        while answer[3] & 0xf != 0 || answer[7] == 0 {
            socket.send(&query).expect("sent");
            socket.recv(&mut answer).expect("received");
        }
        let start = clock.monotonic();
        // A window keeps the server busy without losing datagrams.
        for _ in 0..32 {
            socket.send(&query).expect("sent");
        }
        for _ in 0..OVER_UDP {
            socket.recv(&mut answer).expect("received");
            socket.send(&query).expect("sent");
        }
        print("over UDP, one server thread", OVER_UDP, clock.monotonic() - start);
        trigger.request();
    });
    runtime.block_on(server);
    client.join().expect("the client ends well");
}
