use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU32},
};

use corten_base::{SharedClock, SimClock, SimRng, SystemClock};
use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{RData, Record, rdata::A},
};
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};

use super::*;
use crate::message::{Name, code};

fn question(name: &str) -> Question {
    Question {
        name: Name::from_text(name).unwrap(),
        record_type: code::A,
        class: code::IN,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

/// A resolver of our own on a free port. What it does depends on the first label of the name asked for.
struct Resolver {
    address: SocketAddr,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn answer(query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).unwrap();
    let asked = query.queries[0].clone();
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    message.add_query(asked.clone());
    let name = asked.name().to_string();
    let address = Record::from_rdata(asked.name().clone(), 60, RData::A(A::new(192, 0, 2, 1)));
    match name.split('.').next().unwrap() {
        "silent" => return None,
        "big" if !over_tcp => message.metadata.truncation = true,
        "fails" => message.metadata.response_code = ResponseCode::ServFail,
        "gone" => message.metadata.response_code = ResponseCode::NXDomain,
        _ => {
            message.add_answer(address);
        }
    }
    Some(message.to_vec().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "the fake ends with the test by itself")]
pub(crate) async fn resolver() -> (SocketAddr, impl Drop, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (socket, asked) = (UdpSocket::bind(address).await.unwrap(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&asked);
    let udp = tokio::spawn(async move {
        let mut packet = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut packet).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            // First a forgery with another number: it must be passed over.
            let mut forged = packet;
            (forged[0], forged[2]) = (!forged[0], 0x80);
            socket.send_to(&forged[..length], client).await.unwrap();
            if let Some(reply) = answer(&packet[..length], false) {
                socket.send_to(&reply, client).await.unwrap();
            }
        }
    });
    let tcp = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let reply = answer(&query, true).unwrap();
            stream.write_u16(reply.len() as u16).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    let resolver = Resolver { address, tasks: vec![udp, tcp] };
    (resolver.address, resolver, asked)
}

fn forwarder(clock: &SharedClock, resolvers: &[SocketAddr]) -> Forwarder {
    let forwarder = Forwarder::new(Vec::new(), 100, Arc::clone(clock), SimRng::shared(1), Metrics::default());
    forwarder.set_resolvers(resolvers);
    forwarder
}

/// An address where nobody listens: the kernel says so at once.
async fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_reply_is_kept_until_its_time_has_passed() {
    let (address, _resolver, asked) = resolver().await;
    let clock = SimClock::new(Timestamp::UNIX_EPOCH);
    let forwarder = forwarder(&(Arc::clone(&clock) as SharedClock), &[address]);
    let www = question("www.example.com");
    assert!(forwarder.cached(&www).is_none());
    assert_eq!(forwarder.resolve(&www).await.unwrap().age, 0);
    clock.advance(Duration::from_secs(59));
    assert_eq!(forwarder.cached(&www).unwrap().unwrap().age, 59);
    clock.advance(Duration::from_secs(1));
    assert!(forwarder.cached(&www).is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!((forwarder.metrics.cache_hits.get(), forwarder.metrics.cache_misses.get()), (1, 2));
}

#[tokio::test]
async fn a_reply_that_was_cut_is_asked_for_again_over_tcp() {
    let (address, _resolver, _) = resolver().await;
    let forwarder = forwarder(&SystemClock::shared(), &[address]);
    let reply = forwarder.resolve(&question("big.example.com")).await.unwrap().reply;
    assert!(!reply.is_truncated() && !reply.is_negative());
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_is_not_there_and_stays_first() {
    let (address, _resolver, _) = resolver().await;
    let forwarder = forwarder(&SystemClock::shared(), &[nobody().await, address]);
    assert!(forwarder.resolve(&question("www.example.com")).await.is_ok());
    assert!(forwarder.resolve(&question("www2.example.com")).await.is_ok());
    assert_eq!(forwarder.metrics.forward_failures.get(), 1);
}

#[tokio::test]
async fn a_failure_of_every_resolver_is_remembered_for_a_second() {
    let clock = SimClock::new(Timestamp::UNIX_EPOCH);
    let forwarder = forwarder(&(Arc::clone(&clock) as SharedClock), &[nobody().await]);
    let www = question("www.example.com");
    assert_eq!(forwarder.resolve(&www).await.unwrap_err(), ForwardError::NoReply);
    assert_eq!(forwarder.cached(&www).unwrap().unwrap_err(), ForwardError::NoReply);
    clock.advance(Duration::from_secs(1));
    assert!(forwarder.cached(&www).is_none());
}

#[tokio::test]
async fn a_resolver_s_failure_is_passed_on_when_no_other_knows_better() {
    let (address, _resolver, asked) = resolver().await;
    let forwarder = forwarder(&SystemClock::shared(), &[address]);
    let reply = forwarder.resolve(&question("fails.example.com")).await.unwrap().reply;
    assert_eq!((reply.response_code(), asked.load(Ordering::SeqCst)), (code::SERVER_FAILURE, 1));
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let (address, _resolver, asked) = resolver().await;
    let clock = SimClock::new(Timestamp::UNIX_EPOCH);
    let forwarder = Arc::new(forwarder(&(Arc::clone(&clock) as SharedClock), &[address]));
    let silent = question("silent.example.com");
    let asking = forwarder.resolve(&silent);
    let time = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Timers that were started meanwhile fire on the next step.
        for _ in 0..20 {
            clock.advance(Duration::from_millis(500));
            tokio::task::yield_now().await;
        }
    };
    let (reply, ()) = tokio::join!(asking, time);
    assert_eq!(reply.unwrap_err(), ForwardError::NoReply);
}

#[tokio::test]
async fn equal_questions_in_flight_are_asked_once() {
    let (address, _resolver, asked) = resolver().await;
    let forwarder = forwarder(&SystemClock::shared(), &[address]);
    let www = question("www.example.com");
    let (one, two, three) = tokio::join!(forwarder.resolve(&www), forwarder.resolve(&www), forwarder.resolve(&www));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(forwarder.in_flight.lock().is_empty());
}

#[tokio::test]
async fn our_own_addresses_are_never_asked() {
    let own: SocketAddr = "127.0.0.1:53".parse().unwrap();
    let forwarder = Forwarder::new(vec![own], 1, SystemClock::shared(), SimRng::shared(1), Metrics::default());
    forwarder.set_resolvers(&[own]);
    assert_eq!(forwarder.resolve(&question("a.example")).await.unwrap_err(), ForwardError::NoResolver);
}

#[test]
fn a_full_cache_drops_what_ends_first() {
    let reply = |name: &str, ttl| {
        let asked = question(name).message(1);
        let mut message = Message::response(1, OpCode::Query);
        let query = Message::from_vec(&asked).unwrap().queries[0].clone();
        message.add_answer(Record::from_rdata(query.name().clone(), ttl, RData::A(A::new(192, 0, 2, 1))));
        message.add_query(query);
        let reply = UpstreamReply::read(&message.to_vec().unwrap(), 1, &question(name)).unwrap();
        Ok(Answer { reply: Arc::new(reply), age: 0 })
    };
    let (mut cache, now) = (Cache::new(2), Duration::from_secs(100));
    assert_eq!(cache.insert(&question("long"), &reply("long", 300), now), 0);
    assert_eq!(cache.insert(&question("short"), &reply("short", 10), now), 0);
    assert_eq!(cache.insert(&question("middle"), &reply("middle", 20), now), 1);
    assert!(cache.get(&question("short"), now).is_none());
    assert!(cache.get(&question("long"), now).is_some() && cache.get(&question("middle"), now).is_some());
    // What ended makes room by itself.
    assert_eq!(cache.insert(&question("new"), &reply("new", 30), now + Duration::from_secs(20)), 0);
    assert_eq!(cache.len(), 2);
}

#[test]
fn resolvers_are_read_from_the_file() {
    let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 1.1.1.1\nnameserver fd00::1 # ours\nnameserver nonsense\n";
    let want: [SocketAddr; 2] = ["1.1.1.1:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()];
    assert_eq!(resolvers::parse(text), want);
}

#[tokio::test]
async fn a_replaced_file_is_noticed_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("resolv.conf");
    std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
    let forwarder = forwarder(&SystemClock::shared(), &[]);
    let watch = resolvers::FileWatch::new(&path).unwrap();
    resolvers::load(&path, &forwarder);
    assert_eq!(*forwarder.resolvers(), ["192.0.2.1:53".parse().unwrap()]);
    let new = directory.path().join("new");
    std::fs::write(&new, "nameserver 192.0.2.2\n").unwrap();
    std::fs::rename(&new, &path).unwrap();
    watch.changed().await.unwrap();
    resolvers::load(&path, &forwarder);
    assert_eq!(*forwarder.resolvers(), ["192.0.2.2:53".parse().unwrap()]);
}
