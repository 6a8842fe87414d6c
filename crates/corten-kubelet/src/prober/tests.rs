//! The schedule in simulated time against a scripted runtime, and the network against servers on loopback.

use corten_api::{
    core::v1::{Container, ExecAction, GRPCAction, HTTPGetAction, Pod, Probe, TCPSocketAction},
    intstr::IntOrString,
    meta::v1::ObjectMeta,
};
use corten_base::{Clock as _, SimClock, SimRng, SystemClock};
use corten_client::events::EventQueue;
use corten_cri::{
    RuntimeService as _, api,
    fake::{ExecScript, FakeCri, Script},
};

use super::{watched::IN_FLIGHT_MAX, *};
use crate::interfaces::{ContainerKind, ContainerRef};

struct Fixture {
    clock: Arc<SimClock>,
    fake: FakeCri,
    prober: ProbeManager,
    outcomes: mpsc::Receiver<ProbeOutcome>,
    events: EventQueue,
    id: String,
    tasks: TaskSet,
    stop: corten_base::ShutdownTrigger,
}

fn exec(word: &str) -> Probe {
    Probe { exec: Some(ExecAction { command: Some(vec![word.to_owned()]) }), ..Probe::default() }
}

impl Fixture {
    async fn start() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let fake = FakeCri::new(clock.clone());
        fake.add_image("app:1").unwrap();
        let script =
            |exit: i32, stdout: &str| ExecScript { exit_code: exit, stdout: stdout.into(), ..ExecScript::default() };
        let hang = ExecScript { takes: Duration::from_secs(1 << 30), ..ExecScript::default() };
        let exec = vec![
            ("bad".to_owned(), script(1, "no good")),
            ("good".to_owned(), script(0, "")),
            ("hang".to_owned(), hang),
        ];
        fake.script("main", Script { exec, ..Script::default() });
        let metadata = api::PodSandboxMetadata { name: "p".into(), namespace: "ns".into(), ..Default::default() };
        let config = api::PodSandboxConfig { metadata: Some(metadata), ..Default::default() };
        let pod = fake.run_pod_sandbox(api::RunPodSandboxRequest { config: Some(config), ..Default::default() }).await;
        let config = api::ContainerConfig {
            metadata: Some(api::ContainerMetadata { name: "main".into(), attempt: 0 }),
            image: Some(api::ImageSpec { image: "app:1".into(), ..Default::default() }),
            ..Default::default()
        };
        let pod_sandbox_id = pod.unwrap().pod_sandbox_id;
        let request = api::CreateContainerRequest { pod_sandbox_id, config: Some(config), sandbox_config: None };
        let id = fake.create_container(request).await.unwrap().container_id;
        fake.start_container(api::StartContainerRequest { container_id: id.clone() }).await.unwrap();

        let (recorder, events) = Recorder::new("kubelet", "n", clock.clone());
        let (send, outcomes) = mpsc::channel(16);
        let prober = ProbeManager::new(Arc::new(fake.clone()), recorder, clock.clone(), SimRng::shared(1), send);
        let (stop, shutdown) = Shutdown::new();
        let tasks = TaskSet::new("test");
        let running = prober.clone();
        tasks.spawn("prober", async move { running.run(shutdown).await.unwrap() });
        Self { clock, fake, prober, outcomes, events, id, tasks, stop }
    }

    fn observe(&self, container: Container, is_ending: bool) {
        self.observe_one(container, is_ending, false);
    }

    fn observe_one(&self, container: Container, is_ending: bool, has_started: bool) {
        let deletion_timestamp = is_ending.then(|| corten_api::meta::v1::Time(self.clock.now()));
        let metadata = ObjectMeta { uid: Some("u".into()), deletion_timestamp, ..ObjectMeta::default() };
        let pod = Arc::new(Pod { metadata, ..Pod::default() });
        let container = Container { name: "main".into(), ..container };
        self.prober.observe(&pod, None, vec![self.target(container, has_started)]);
    }

    fn target(&self, container: Container, has_started: bool) -> ProbeTarget {
        ProbeTarget {
            container: ContainerRef { kind: ContainerKind::Ordinary, spec: Arc::new(container), target: None },
            container_id: self.id.clone(),
            started_at_nanos: i64::try_from(self.clock.now().as_nanosecond()).unwrap(),
            has_started,
        }
    }

    /// Lets `seconds` pass, everything that is due each second included, and gives the commands that were run.
    async fn pass(&self, seconds: u64) -> Vec<u64> {
        let mut when = Vec::new();
        for second in 0..=seconds {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            when.extend(self.fake.take_calls().iter().filter(|call| call.starts_with("exec_sync")).map(|_| second));
            if second < seconds {
                self.clock.advance(Duration::from_secs(1));
            }
        }
        when
    }

    async fn stop(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }
}

#[tokio::test]
async fn a_probe_comes_after_its_delay_and_then_every_period() {
    let mut fixture = Fixture::start().await;
    let probe = Probe { initial_delay_seconds: Some(3), period_seconds: Some(5), ..exec("good") };
    fixture.observe(Container { readiness_probe: Some(probe), ..Container::default() }, false);
    assert_eq!(fixture.prober.result(&fixture.id, ProbeKind::Readiness), None);
    assert_eq!(fixture.prober.result(&fixture.id, ProbeKind::Liveness), Some(true));
    assert_eq!(fixture.pass(14).await, [3, 8, 13]);
    assert_eq!(fixture.prober.result(&fixture.id, ProbeKind::Readiness), Some(true));
    let outcome = fixture.outcomes.recv().await.unwrap();
    assert!(outcome.success && outcome.container == "main" && outcome.kind == ProbeKind::Readiness);
    assert!(fixture.outcomes.try_recv().is_err(), "one change, one outcome");
    fixture.stop().await;
}

#[tokio::test]
async fn a_liveness_probe_fails_after_its_threshold_and_rests() {
    let mut fixture = Fixture::start().await;
    let probe = Probe { period_seconds: Some(2), failure_threshold: Some(2), ..exec("bad") };
    fixture.observe(Container { liveness_probe: Some(probe), ..Container::default() }, false);
    assert_eq!(fixture.pass(20).await, [0, 2]);
    let outcome = fixture.outcomes.recv().await.unwrap();
    assert_eq!((outcome.success, outcome.message.as_str()), (false, "no good"));
    let event = fixture.events.next().await.unwrap();
    assert_eq!((event.reason.as_str(), event.message.as_str()), ("Unhealthy", "Liveness probe failed: no good"));
    assert_eq!(event.object.field_path, "spec.containers{main}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_container_that_had_started_before_the_kubelet_is_not_asked_again_whether_it_has() {
    let mut fixture = Fixture::start().await;
    let container =
        Container { startup_probe: Some(exec("bad")), readiness_probe: Some(exec("good")), ..Container::default() };
    fixture.observe_one(container, false, true);
    assert_eq!(fixture.prober.result(&fixture.id, ProbeKind::Startup), Some(true));
    assert_eq!(fixture.pass(0).await, [0]);
    assert_eq!(fixture.outcomes.recv().await.unwrap().kind, ProbeKind::Readiness);
    fixture.stop().await;
}

/// 64 probes of one pod that did not end took all places of the node: nobody else's containers were asked any more.
#[tokio::test]
async fn probes_that_do_not_end_hold_up_no_other_pod() {
    let mut fixture = Fixture::start().await;
    let pod = |uid: &str| {
        Arc::new(Pod { metadata: ObjectMeta { uid: Some(uid.into()), ..ObjectMeta::default() }, ..Pod::default() })
    };
    let hang = Probe { timeout_seconds: Some(i32::MAX), ..exec("hang") };
    let hanging = (0..32).map(|number| {
        let probe = Some(hang.clone());
        let name = format!("c{number}");
        fixture.target(
            Container { name, liveness_probe: probe.clone(), readiness_probe: probe, ..Container::default() },
            false,
        )
    });
    fixture.prober.observe(&pod("hanging"), None, hanging.collect());
    assert_eq!(fixture.pass(1).await.len(), IN_FLIGHT_MAX);
    let good = Container { name: "main".into(), readiness_probe: Some(exec("good")), ..Container::default() };
    fixture.prober.observe(&pod("other"), None, vec![fixture.target(good, false)]);
    assert_eq!(fixture.pass(21).await, [0, 10, 20]);
    assert_eq!(fixture.outcomes.recv().await.unwrap().pod_uid, "other");
    fixture.stop().await;
}

#[tokio::test]
async fn the_startup_probe_holds_the_others_back() {
    let mut fixture = Fixture::start().await;
    let startup = Probe { initial_delay_seconds: Some(4), ..exec("good") };
    let container = Container {
        startup_probe: Some(startup),
        readiness_probe: Some(Probe { period_seconds: Some(60), ..exec("good") }),
        ..Container::default()
    };
    fixture.observe(container, false);
    assert!(fixture.pass(3).await.is_empty());
    assert_eq!(fixture.pass(10).await, [1, 1], "readiness follows at once");
    let kinds = [fixture.outcomes.recv().await.unwrap().kind, fixture.outcomes.recv().await.unwrap().kind];
    assert_eq!(kinds, [ProbeKind::Startup, ProbeKind::Readiness]);
    fixture.stop().await;
}

#[tokio::test]
async fn once_its_deletion_begins_only_readiness_is_probed() {
    let fixture = Fixture::start().await;
    let every = |seconds| Probe { period_seconds: Some(seconds), ..exec("good") };
    let container =
        Container { liveness_probe: Some(every(2)), readiness_probe: Some(every(3)), ..Container::default() };
    fixture.observe(container.clone(), false);
    assert_eq!(fixture.pass(1).await, [0, 0]);
    fixture.observe(container, true);
    assert_eq!(fixture.pass(6).await, [2, 5]);
    fixture.prober.forget("u");
    assert!(fixture.pass(10).await.is_empty());
    assert_eq!(fixture.prober.result(&fixture.id, ProbeKind::Readiness), None);
    fixture.stop().await;
}

#[tokio::test]
async fn a_probe_that_cannot_be_made_is_told_and_not_counted() {
    let mut fixture = Fixture::start().await;
    let action = TCPSocketAction { host: Some("h".into()), port: IntOrString::String("web".into()) };
    let probe = Probe { tcp_socket: Some(action), failure_threshold: Some(1), ..Probe::default() };
    fixture.observe(Container { liveness_probe: Some(probe), ..Container::default() }, false);
    fixture.pass(1).await;
    let want = "Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing \"web\": invalid syntax";
    assert_eq!(fixture.events.next().await.unwrap().message, want);
    assert!(fixture.outcomes.try_recv().is_err());
    fixture.stop().await;
}

/// Answers each connection with the next of `answers`, after its request has come.
async fn server(answers: Vec<String>) -> (std::net::SocketAddr, TaskSet, mpsc::Receiver<String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, (seen, requests)) = (TaskSet::new("server"), mpsc::channel(16));
    tasks.spawn("server", async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.unwrap();
            seen.send(String::from_utf8_lossy(&request[..length]).into_owned()).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, tasks, requests)
}

async fn find(probe: Probe) -> Finding {
    let clock = SystemClock::shared();
    let fake = FakeCri::new(clock.clone());
    let attempt = Attempt {
        runtime: &fake,
        clock: &*clock,
        probe: &probe,
        timeout: Duration::from_secs(5),
        container: &Container::default(),
        container_id: "",
        pod_ip: Some(IpAddr::from([127, 0, 0, 1])),
    };
    attempt.run().await
}

fn http(port: u16) -> Probe {
    let get = HTTPGetAction {
        path: Some("/healthz?a=b".into()),
        port: IntOrString::Int(i32::from(port)),
        http_headers: Some(vec![corten_api::core::v1::HTTPHeader { name: "X-A".into(), value: "1".into() }]),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), ..Probe::default() }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn http_answers_mean_what_they_mean_upstream() {
    let (address, _tasks, mut requests) = server(vec![
        answer("200 OK", "", "fine"),
        answer("503 No", "", ""),
        answer("302 Found", "Location: http://elsewhere.example/\r\n", "over there"),
        answer("302 Found", "Location: /other\r\n", ""),
        answer("204 No Content", "", ""),
        String::new(),
    ])
    .await;
    let port = address.port();
    assert_eq!(find(http(port)).await, Finding::Success("fine".into()));
    let request = requests.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /healthz?a=b http/1.1"), "{request}");
    for line in
        [format!("host: {address}"), "user-agent: kube-probe/1.35".into(), "accept: */*".into(), "x-a: 1".into()]
    {
        assert!(request.contains(&line), "{line} in {request}");
    }
    assert_eq!(find(http(port)).await, Finding::Failure("HTTP probe failed with statuscode: 503".into()));
    let redirected = Finding::Warning("Probe terminated redirects, Response body: over there".into());
    assert_eq!(find(http(port)).await, redirected);
    assert_eq!(find(http(port)).await, Finding::Success(String::new()));
    let cut = format!("Get \"http://{address}/healthz?a=b\": EOF");
    assert_eq!(find(http(port)).await, Finding::Failure(cut));
}

#[tokio::test]
async fn a_closed_port_is_refused_in_gos_words() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = Probe {
        tcp_socket: Some(TCPSocketAction { host: None, port: IntOrString::Int(i32::from(address.port())) }),
        ..Probe::default()
    };
    assert_eq!(find(tcp.clone()).await, Finding::Success(String::new()));
    drop(listener);
    let refused = format!("dial tcp {address}: connect: connection refused");
    assert_eq!(find(tcp).await, Finding::Failure(refused.clone()));
    let get = format!("Get \"http://{address}/healthz?a=b\": {refused}");
    assert_eq!(find(http(address.port())).await, Finding::Failure(get));
}

#[tokio::test]
async fn grpc_health_is_asked_over_http2() {
    use http_body_util::{BodyExt as _, StreamBody};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = i32::from(listener.local_addr().unwrap().port());
    let tasks = TaskSet::new("server");
    tasks.spawn("server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper::service::service_fn(|request: ::http::Request<hyper::body::Incoming>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                // The service's name decides.
                let state = if body.ends_with(b"sick") { 2 } else { 1 };
                let mut trailers = ::http::HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let data = hyper::body::Frame::data(bytes::Bytes::from(vec![0, 0, 0, 0, 2, 8, state]));
                let frames = [Ok::<_, std::convert::Infallible>(data), Ok(hyper::body::Frame::trailers(trailers))];
                Ok::<_, std::convert::Infallible>(::http::Response::new(StreamBody::new(futures::stream::iter(frames))))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let io = hyper_util::rt::TokioIo::new(stream);
            // The client ends the connection.
            let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
        }
    });
    let probe =
        |service: &str| Probe { grpc: Some(GRPCAction { port, service: Some(service.into()) }), ..Probe::default() };
    assert_eq!(find(probe("")).await, Finding::Success("service healthy".into()));
    let sick = Finding::Failure("service unhealthy (responded with \"NOT_SERVING\")".into());
    assert_eq!(find(probe("sick")).await, sick);
}

/// It failed at once, in other words; a server that was about to listen was not waited for.
#[tokio::test]
async fn grpc_tries_until_the_time_is_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let port = i32::from(address.port());
    let probe = Probe { grpc: Some(GRPCAction { port, service: None }), ..Probe::default() };
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = FakeCri::new(clock.clone());
    let attempt = Attempt {
        runtime: &fake,
        clock: &*clock,
        probe: &probe,
        timeout: Duration::from_secs(3),
        container: &Container::default(),
        container_id: "",
        pod_ip: Some(IpAddr::from([127, 0, 0, 1])),
    };
    let mut run = Box::pin(attempt.run());
    // Before the deadline there is another try.
    let paused = Some(clock.monotonic() + Duration::from_secs(1));
    while clock.next_deadline() != paused {
        assert!(futures::poll!(run.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(3));
    let want = format!("timeout: failed to connect service \"{address}\" within 3s: context deadline exceeded");
    assert_eq!(run.await, Finding::Failure(want));
}
