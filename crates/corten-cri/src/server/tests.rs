//! Both adapters against the fake: what goes in on one side of a socket comes out on the other.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc, time::Duration};

use corten_base::{Shutdown, ShutdownTrigger, SimClock, TaskSet};
use futures::StreamExt as _;

use super::CriServer;
use crate::{Code, CriError, ImageService as _, RuntimeService as _, api, client::CriClient, fake::FakeCri};

/// A served fake. Its clock stands still, so the drain time is over only when a test says so.
struct Served {
    _dir: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<SimClock>,
    fake: FakeCri,
    client: CriClient,
    shutdown: ShutdownTrigger,
    tasks: TaskSet,
}

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/cri.sock");
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let fake = FakeCri::new(clock.clone());
        let (runtime, images) = (Arc::new(fake.clone()), Arc::new(fake.clone()));
        let server = CriServer::bind(&path, runtime, images, clock.clone(), Duration::from_secs(10)).unwrap();
        let (shutdown, signal) = Shutdown::new();
        let tasks = TaskSet::new("test");
        tasks.spawn("server", async move { server.run(signal).await.unwrap() });
        let client = CriClient::connect(&path).unwrap();
        Self { _dir: dir, path, clock, fake, client, shutdown, tasks }
    }
}

fn sandbox(name: &str) -> api::RunPodSandboxRequest {
    let metadata = api::PodSandboxMetadata { name: name.into(), namespace: "ns".into(), ..Default::default() };
    let config = api::PodSandboxConfig { metadata: Some(metadata), ..Default::default() };
    api::RunPodSandboxRequest { config: Some(config), ..Default::default() }
}

#[tokio::test]
async fn calls_and_errors_pass_through() {
    let served = Served::start();
    assert_eq!(served.client.version(Default::default()).await.unwrap().runtime_name, "fake");
    let id = served.client.run_pod_sandbox(sandbox("a")).await.unwrap().pod_sandbox_id;
    let listed = served.client.list_pod_sandbox(Default::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|item| &item.id).collect::<Vec<_>>(), [&id]);
    let missing = api::ContainerStatusRequest { container_id: "none".into(), verbose: false };
    let error = served.client.container_status(missing.clone()).await.unwrap_err();
    assert_eq!(Err(error), served.fake.container_status(missing).await);
    assert_eq!(served.client.list_images(Default::default()).await.unwrap().images, []);
    served.shutdown.request();
    served.tasks.join().await.unwrap();
}

#[tokio::test]
async fn events_pass_through_and_end_with_the_server() {
    let served = Served::start();
    let mut events = served.client.get_container_events(api::GetEventsRequest {}).await.unwrap();
    let id = served.fake.run_pod_sandbox(sandbox("a")).await.unwrap().pod_sandbox_id;
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((event.container_id, event.container_event_type), (id, 0));
    served.shutdown.request();
    served.tasks.join().await.unwrap();
    let rest: Vec<_> = events.collect().await;
    assert!(rest.iter().filter_map(|event| event.as_ref().err()).count() <= 1, "{rest:?}");
}

#[tokio::test]
async fn a_call_that_runs_at_shutdown_may_end() {
    let served = Served::start();
    let hold = served.fake.hold("run_pod_sandbox");
    let (client, (done, result)) = (served.client.clone(), tokio::sync::oneshot::channel());
    served.tasks.spawn("call", async move {
        done.send(client.run_pod_sandbox(sandbox("a")).await).unwrap();
    });
    while served.fake.take_calls().is_empty() {
        tokio::task::yield_now().await;
    }
    served.shutdown.request();
    while served.path.exists() {
        tokio::task::yield_now().await;
    }
    hold.release();
    assert!(result.await.unwrap().is_ok());
    served.tasks.join().await.unwrap();
}

#[tokio::test]
async fn a_call_that_does_not_end_is_dropped_when_the_drain_time_is_over() {
    let served = Served::start();
    let _hold = served.fake.hold("run_pod_sandbox");
    let (client, (done, result)) = (served.client.clone(), tokio::sync::oneshot::channel());
    served.tasks.spawn("call", async move {
        done.send(client.run_pod_sandbox(sandbox("a")).await).unwrap();
    });
    while served.fake.take_calls().is_empty() {
        tokio::task::yield_now().await;
    }
    served.shutdown.request();
    while served.clock.next_deadline().is_none() {
        tokio::task::yield_now().await;
    }
    served.clock.advance(Duration::from_secs(10));
    assert!(result.await.unwrap().is_err());
    served.tasks.join().await.unwrap();
}

#[tokio::test]
async fn a_panic_of_the_runtime_fails_the_call_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cri.sock");
    let clock = corten_base::SystemClock::shared();
    let fake = FakeCri::new(clock.clone());
    // A fake whose record of calls is full panics.
    for _ in 0..65_536 {
        fake.remove_container(Default::default()).await.unwrap();
    }
    let runtime = Arc::new(fake.clone());
    let server = CriServer::bind(&path, runtime, Arc::new(fake), clock, Duration::from_secs(10)).unwrap();
    let (shutdown, signal) = Shutdown::new();
    let (tasks, (done, ended)) = (TaskSet::new("test"), tokio::sync::oneshot::channel());
    tasks.spawn("server", async move { done.send(server.run(signal).await).unwrap() });
    let client = CriClient::connect(&path).unwrap();
    assert!(client.remove_container(Default::default()).await.is_err());
    shutdown.request();
    assert!(ended.await.unwrap().unwrap_err().message.contains("65536 calls"));
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced_and_a_living_ones_is_not() {
    let served = Served::start();
    assert_eq!(served.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let bind = || {
        let fake = Arc::new(served.fake.clone());
        CriServer::bind(&served.path, fake.clone(), fake, served.clock.clone(), Duration::ZERO)
    };
    assert!(bind().is_err(), "somebody listens");
    served.client.version(Default::default()).await.unwrap();

    served.shutdown.request();
    served.tasks.join().await.unwrap();
    assert!(!served.path.exists());
    // What a server leaves that was killed.
    drop(std::os::unix::net::UnixListener::bind(&served.path).unwrap());
    assert!(served.path.exists());
    drop(bind().unwrap());
    assert!(!served.path.exists());
}

#[tokio::test]
async fn a_client_finds_a_server_that_was_started_anew() {
    let mut served = Served::start();
    served.client.version(Default::default()).await.unwrap();
    served.shutdown.request();
    served.tasks.join().await.unwrap();
    assert_eq!(served.client.version(Default::default()).await.unwrap_err().code, Code::Unavailable);

    let fake = Arc::new(served.fake.clone());
    let server =
        CriServer::bind(&served.path, fake.clone(), fake, served.clock.clone(), Duration::from_secs(10)).unwrap();
    let (shutdown, signal) = Shutdown::new();
    served.tasks = TaskSet::new("again");
    served.tasks.spawn("server", async move { server.run(signal).await.unwrap() });
    served.client.version(Default::default()).await.unwrap();
    shutdown.request();
    served.tasks.join().await.unwrap();
}

#[tokio::test]
async fn a_script_error_arrives_with_its_code() {
    let served = Served::start();
    served.fake.fail("run_pod_sandbox", 1, CriError::new(Code::ResourceExhausted, "no addresses left"));
    let error = served.client.run_pod_sandbox(sandbox("a")).await.unwrap_err();
    assert_eq!(error, CriError::new(Code::ResourceExhausted, "no addresses left"));
    served.shutdown.request();
    served.tasks.join().await.unwrap();
}
