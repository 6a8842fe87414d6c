use corten_base::{Clock, Shutdown, ShutdownTrigger, SimRng, SystemClock, clock::Sleep};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use super::*;
use crate::{
    forward,
    message::{Name, code, upstream::Question},
    wire::Feeder,
    zone::{EndpointFacts, EndpointSliceFacts, ServiceKind},
};

/// A running server with a resolver behind it.
struct Running {
    address: SocketAddr,
    inputs: mpsc::Sender<Input>,
    socket: PathBuf,
    trigger: ShutdownTrigger,
    tasks: TaskSet,
    _directory: TempDir,
    _resolver: Box<dyn std::any::Any>,
}

async fn run() -> Running {
    let (upstream, resolver, _) = forward::tests::resolver().await;
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("feed.sock");
    let config = Config {
        cluster_domain: "cluster.local".to_owned(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: Upstreams::Fixed(vec![upstream]),
        cache_entries: 100,
        feed_socket: Some(socket.clone()),
    };
    let dns = Dns::build(config, SystemClock::shared(), SimRng::shared(1), Metrics::default()).await.unwrap();
    let (address, inputs) = (dns.addresses()[0], dns.inputs());
    let (trigger, shutdown) = Shutdown::new();
    let tasks = TaskSet::new("test");
    tasks.spawn("dns", async move { dns.run(shutdown).await.unwrap() });
    Running { address, inputs, socket, trigger, tasks, _directory: directory, _resolver: Box::new(resolver) }
}

impl Running {
    async fn stop(self) {
        self.trigger.request();
        self.tasks.join().await.unwrap();
    }

    async fn udp(&self, message: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(message, self.address).await.unwrap();
        let mut answer = vec![0; 65_535];
        let (length, _) = socket.recv_from(&mut answer).await.unwrap();
        answer.truncate(length);
        answer
    }

    async fn tcp(&self, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // All at once: the server answers one after the other.
        for message in messages {
            stream.write_u16(message.len() as u16).await.unwrap();
            stream.write_all(message).await.unwrap();
        }
        let mut answers = Vec::new();
        for _ in messages {
            let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut answer).await.unwrap();
            answers.push(answer);
        }
        answers
    }

    async fn ask(&self, name: &str) -> String {
        crate::zone::tests::show(&self.udp(&query(name)).await)
    }

    /// Asks until the answer contains `part`: changes are applied in the background.
    async fn until(&self, name: &str, part: &str) {
        while !self.ask(name).await.contains(part) {}
    }
}

fn query(name: &str) -> Vec<u8> {
    let name = Name::from_text(name).unwrap();
    Question { name, record_type: code::A, class: code::IN, dnssec_ok: false, checking_disabled: false }.message(7)
}

fn service(name: &str, kind: ServiceKind) -> Input {
    Input::Service(ServiceFacts {
        key: ObjectKey::new("shop", name),
        kind,
        ports: Vec::new(),
        publish_not_ready_addresses: false,
    })
}

fn endpoints(service: &str, count: u16) -> Input {
    Input::EndpointSlice(EndpointSliceFacts {
        key: ObjectKey::new("shop", &format!("{service}-1")),
        service: service.into(),
        ports: Vec::new(),
        endpoints: (0..count)
            .map(|n| EndpointFacts {
                addresses: vec![[10, 1, (n >> 8) as u8, n as u8].into()],
                hostname: None,
                ready: true,
            })
            .collect(),
    })
}

fn cluster() -> Vec<Input> {
    vec![
        service("web", ServiceKind::ClusterIps(vec!["10.96.0.7".parse().unwrap()])),
        service("ext", ServiceKind::ExternalName("www.example.com".into())),
        service("lost", ServiceKind::ExternalName("gone.example.com".into())),
        service("many", ServiceKind::Headless),
        endpoints("many", 300),
        Input::Synced,
    ]
}

async fn run_cluster() -> Running {
    let running = run().await;
    for input in cluster() {
        running.inputs.send(input).await.unwrap();
    }
    running.until("none.shop.svc.cluster.local", "NXDomain").await;
    running
}

#[tokio::test]
async fn services_are_answered_over_udp_and_over_tcp() {
    let running = run_cluster().await;
    let want = "NoError\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.7\n";
    assert_eq!(running.ask("web.shop.svc.cluster.local").await, want);
    let queries = [query("web.shop.svc.cluster.local"), query("www.example.com"), query("web.shop.svc.cluster.local")];
    let answers = running.tcp(&queries).await;
    assert_eq!(crate::zone::tests::show(&answers[0]), want);
    assert_eq!(crate::zone::tests::show(&answers[1]), "NoError\nwww.example.com. 60 IN A 192.0.2.1\n");
    assert_eq!(answers[2], answers[0]);
    running.stop().await;
}

#[tokio::test]
async fn the_cluster_s_answers_are_authoritative_and_others_are_not() {
    let running = run_cluster().await;
    for (name, want) in
        [("web.shop.svc.cluster.local", true), ("none.shop.svc.cluster.local", true), ("www.example.com", false)]
    {
        let answer = running.udp(&query(name)).await;
        let metadata = hickory_proto::op::Message::from_vec(&answer).unwrap().metadata;
        assert_eq!((metadata.authoritative, metadata.recursion_available, metadata.id), (want, true, 7), "{name}");
    }
    running.stop().await;
}

#[tokio::test]
async fn an_alias_out_of_the_cluster_is_followed_also_from_the_cache() {
    let running = run_cluster().await;
    let want = "NoError\next.shop.svc.cluster.local. 5 IN CNAME www.example.com.\nwww.example.com. 60 IN A 192.0.2.1\n";
    assert_eq!(running.ask("ext.shop.svc.cluster.local").await, want);
    assert_eq!(running.ask("ext.shop.svc.cluster.local").await, want);
    let lost = "NoError\nlost.shop.svc.cluster.local. 5 IN CNAME gone.example.com.\n";
    assert_eq!(running.ask("lost.shop.svc.cluster.local").await, lost);
    running.stop().await;
}

#[tokio::test]
async fn what_upstream_says_is_passed_on() {
    let running = run_cluster().await;
    assert_eq!(running.ask("www.example.com").await, "NoError\nwww.example.com. 60 IN A 192.0.2.1\n");
    assert_eq!(running.ask("gone.example.com").await, "NXDomain\n");
    assert_eq!(running.ask("fails.example.com").await, "ServFail\n");
    running.stop().await;
}

#[tokio::test]
async fn an_answer_too_large_for_udp_says_so_and_is_whole_over_tcp() {
    let running = run_cluster().await;
    let mut asked = query("many.shop.svc.cluster.local");
    let small = running.udp(&asked).await;
    assert!(small.len() <= 1_232, "the size that the query asked for: {}", small.len());
    assert!(hickory_proto::op::Message::from_vec(&small).unwrap().metadata.truncation);
    // Without EDNS.
    asked.truncate(asked.len() - 11);
    asked[11] = 0;
    assert!(running.udp(&asked).await.len() <= 512);
    let whole = running.tcp(&[asked]).await;
    assert_eq!(hickory_proto::op::Message::from_vec(&whole[0]).unwrap().answers.len(), 300);
    running.stop().await;
}

#[tokio::test]
async fn garbage_is_not_answered_and_does_not_stop_the_server() {
    let running = run_cluster().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for garbage in [&b""[..], b"x", &[0xff; 4_096]] {
        socket.send_to(garbage, running.address).await.unwrap();
    }
    let malformed = running.udp(&query("web.shop.svc.cluster.local")[..30]).await;
    assert_eq!(crate::zone::tests::show(&malformed), "FormErr\n");
    assert!(running.ask("web.shop.svc.cluster.local").await.starts_with("NoError"));
    running.stop().await;
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_the_feed() {
    let running = run_cluster().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    let feeder = Feeder::connect(&running.socket).await.unwrap();
    let socket = running.socket.clone();
    running.trigger.request();
    running.tasks.join().await.unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(!socket.exists());
    drop(feeder);
}

#[tokio::test]
async fn the_last_zone_is_served_while_the_feeder_is_away_and_a_new_one_replaces_it() {
    let running = run().await;
    assert_eq!(running.ask("web.shop.svc.cluster.local").await, "ServFail\n");
    let mut feeder = Feeder::connect(&running.socket).await.unwrap();
    for input in cluster() {
        feeder.send(&input).await.unwrap();
    }
    feeder.flush().await.unwrap();
    running.until("none.shop.svc.cluster.local", "NXDomain").await;
    drop(feeder);
    assert!(running.ask("web.shop.svc.cluster.local").await.contains("10.96.0.7"));
    let mut feeder = Feeder::connect(&running.socket).await.unwrap();
    feeder.send(&service("new", ServiceKind::ClusterIps(vec!["10.96.0.8".parse().unwrap()]))).await.unwrap();
    feeder.flush().await.unwrap();
    running.until("new.shop.svc.cluster.local", "10.96.0.8").await;
    assert!(running.ask("web.shop.svc.cluster.local").await.contains("10.96.0.7"), "the replay has not ended");
    feeder.send(&Input::Synced).await.unwrap();
    feeder.flush().await.unwrap();
    running.until("web.shop.svc.cluster.local", "NXDomain").await;
    // A newer feeder takes the place of this one, which still holds its connection.
    let mut newer = Feeder::connect(&running.socket).await.unwrap();
    newer.send(&Input::Synced).await.unwrap();
    newer.flush().await.unwrap();
    running.until("new.shop.svc.cluster.local", "NXDomain").await;
    running.stop().await;
}

#[tokio::test]
async fn a_feed_of_another_version_is_turned_away() {
    let running = run().await;
    let mut stream = tokio::net::UnixStream::connect(&running.socket).await.unwrap();
    stream.write_all(b"{\"feed\":\"corten-dns\",\"version\":2}\n\"synced\"\n").await.unwrap();
    let mut rest = Vec::new();
    // Unread bytes at the other end turn its closing into a reset.
    let closed = stream.read_to_end(&mut rest).await;
    assert!(closed.is_err() || rest.is_empty());
    assert_eq!(running.ask("web.shop.svc.cluster.local").await, "ServFail\n");
    running.stop().await;
}

/// A clock that gives no time of day: whoever asks for it panics.
#[derive(Debug)]
struct NoTimeOfDay(SharedClock);

impl Clock for NoTimeOfDay {
    fn now(&self) -> jiff::Timestamp {
        panic!("there is no time of day")
    }

    fn monotonic(&self) -> std::time::Duration {
        self.0.monotonic()
    }

    fn sleep_until(&self, deadline: std::time::Duration) -> Sleep {
        self.0.sleep_until(deadline)
    }
}

/// The process lived on with a zone that nothing changed any more, and everybody took it for well.
#[tokio::test]
async fn a_panic_of_a_task_ends_the_server_without_a_shutdown() {
    let config = Config {
        cluster_domain: "cluster.local".to_owned(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: Upstreams::Fixed(Vec::new()),
        cache_entries: 100,
        feed_socket: None,
    };
    let clock = Arc::new(NoTimeOfDay(SystemClock::shared()));
    let dns = Dns::build(config, clock, SimRng::shared(1), Metrics::default()).await.unwrap();
    // The zone's serial number is the time of its last change.
    dns.inputs().send(Input::Synced).await.unwrap();
    let (_trigger, shutdown) = Shutdown::new();
    let error = dns.run(shutdown).await.unwrap_err();
    assert_eq!(error.to_string(), "task dns/zone panicked: there is no time of day");
}
