//! What tests may rely on when they script the fake.

use std::time::Duration;

use corten_base::SimClock;
use futures::StreamExt as _;

use super::{ExecScript, Exit, FakeCri, OnStart, OnStop, Script};
use crate::{Code, CriError, ImageService as _, RuntimeService as _, api};

async fn pod(fake: &FakeCri, name: &str) -> String {
    let metadata = api::PodSandboxMetadata { name: name.into(), namespace: "ns".into(), ..Default::default() };
    let config = api::PodSandboxConfig { metadata: Some(metadata), ..Default::default() };
    let request = api::RunPodSandboxRequest { config: Some(config), ..Default::default() };
    fake.run_pod_sandbox(request).await.unwrap().pod_sandbox_id
}

async fn container(fake: &FakeCri, pod_sandbox_id: &str, name: &str) -> String {
    let config = api::ContainerConfig {
        metadata: Some(api::ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(api::ImageSpec { image: "app:1".into(), ..Default::default() }),
        ..Default::default()
    };
    let pod_sandbox_id = pod_sandbox_id.to_owned();
    let request = api::CreateContainerRequest { pod_sandbox_id, config: Some(config), sandbox_config: None };
    fake.create_container(request).await.unwrap().container_id
}

async fn start(fake: &FakeCri, container_id: &str) -> Result<(), CriError> {
    fake.start_container(api::StartContainerRequest { container_id: container_id.into() }).await.map(drop)
}

async fn status(fake: &FakeCri, container_id: &str) -> api::ContainerStatus {
    let request = api::ContainerStatusRequest { container_id: container_id.into(), verbose: false };
    fake.container_status(request).await.unwrap().status.unwrap()
}

fn fake() -> (std::sync::Arc<SimClock>, FakeCri) {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = FakeCri::new(clock.clone());
    fake.add_image("app:1").unwrap();
    (clock, fake)
}

#[tokio::test]
async fn a_script_ends_a_container_when_its_time_has_come() {
    let (clock, fake) = fake();
    let on_start = OnStart::ExitAfter(Duration::from_secs(5), Exit::code(3));
    fake.script("main", Script { on_start, ..Script::default() });
    let pod = pod(&fake, "a").await;
    let id = container(&fake, &pod, "main").await;
    let mut events = fake.get_container_events(api::GetEventsRequest {}).await.unwrap();
    start(&fake, &id).await.unwrap();
    assert_eq!(status(&fake, &id).await.state(), api::ContainerState::ContainerRunning);

    clock.advance(Duration::from_secs(5));
    let kinds = [events.next().await, events.next().await].map(|event| event.unwrap().unwrap().container_event_type());
    assert_eq!(kinds, [api::ContainerEventType::ContainerStartedEvent, api::ContainerEventType::ContainerStoppedEvent]);
    let status = status(&fake, &id).await;
    assert_eq!(
        (status.state(), status.exit_code, status.reason.as_str()),
        (api::ContainerState::ContainerExited, 3, "Error")
    );
    // Stamps differ from the clock by a nanosecond each, so that they have an order.
    assert!((status.finished_at - status.started_at).abs_diff(5_000_000_000) < 10);
}

#[tokio::test]
async fn a_container_that_ignores_the_signal_is_killed_after_its_grace_period() {
    let (clock, fake) = fake();
    fake.script("main", Script { on_stop: OnStop::Ignore, ..Script::default() });
    let pod = pod(&fake, "a").await;
    let id = container(&fake, &pod, "main").await;
    start(&fake, &id).await.unwrap();
    let mut stop = Box::pin(fake.stop_container(api::StopContainerRequest { container_id: id.clone(), timeout: 30 }));
    assert!(futures::poll!(stop.as_mut()).is_pending());
    clock.advance(Duration::from_secs(29));
    assert!(futures::poll!(stop.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    stop.await.unwrap();
    assert_eq!(status(&fake, &id).await.exit_code, 137);
}

#[tokio::test]
async fn a_start_that_fails_leaves_an_exited_container() {
    let (_clock, fake) = fake();
    fake.script("main", Script { on_start: OnStart::Fail(CriError::unknown("no such file")), ..Script::default() });
    let pod = pod(&fake, "a").await;
    let id = container(&fake, &pod, "main").await;
    assert_eq!(start(&fake, &id).await, Err(CriError::unknown("no such file")));
    let status = status(&fake, &id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
}

#[tokio::test]
async fn pulls_fail_as_often_as_told() {
    let (_clock, fake) = fake();
    fake.fail_pull("web:1", 2, CriError::not_found("web:1: not found"));
    let pull = |name: &str| {
        let image = Some(api::ImageSpec { image: name.into(), ..Default::default() });
        fake.pull_image(api::PullImageRequest { image, ..Default::default() })
    };
    assert_eq!(pull("web:1").await.unwrap_err().code, Code::NotFound);
    assert!(pull("other:1").await.is_ok());
    assert_eq!(pull("web:1").await.unwrap_err().code, Code::NotFound);
    assert!(pull("web:1").await.is_ok());
}

#[tokio::test]
async fn calls_are_recorded_by_name_and_can_be_held() {
    let (_clock, fake) = fake();
    let pod = pod(&fake, "a").await;
    let id = container(&fake, &pod, "main").await;
    let hold = fake.hold("start_container");
    let mut started = Box::pin(start(&fake, &id));
    assert!(futures::poll!(started.as_mut()).is_pending());
    assert_eq!(fake.take_calls(), ["run_pod_sandbox ns/a", "create_container ns/a/main", "start_container ns/a/main"]);
    assert_eq!(status(&fake, &id).await.state(), api::ContainerState::ContainerCreated);
    hold.release();
    started.await.unwrap();
    assert_eq!(fake.container_id("ns", "a", "main"), Some(id));
}

#[tokio::test]
async fn a_command_that_takes_too_long_misses_its_deadline() {
    let (clock, fake) = fake();
    let slow = ExecScript { takes: Duration::from_secs(10), exit_code: 1, ..ExecScript::default() };
    fake.script("main", Script { exec: vec![("probe".into(), slow)], ..Script::default() });
    let pod = pod(&fake, "a").await;
    let id = container(&fake, &pod, "main").await;
    start(&fake, &id).await.unwrap();
    let exec =
        |timeout| fake.exec_sync(api::ExecSyncRequest { container_id: id.clone(), cmd: vec!["probe".into()], timeout });
    let mut short = Box::pin(exec(1));
    assert!(futures::poll!(short.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    assert_eq!(short.await.unwrap_err().code, Code::DeadlineExceeded);
    let mut long = Box::pin(exec(0));
    assert!(futures::poll!(long.as_mut()).is_pending());
    clock.advance(Duration::from_secs(10));
    assert_eq!(long.await.unwrap().exit_code, 1);
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_is_ended() {
    let (_clock, fake) = fake();
    let mut events = fake.get_container_events(api::GetEventsRequest {}).await.unwrap();
    for number in 0..=super::EVENTS_BUFFER {
        pod(&fake, &format!("p{number}")).await;
    }
    assert_eq!(events.next().await.unwrap().unwrap_err().code, Code::ResourceExhausted);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_lost_sandbox_takes_its_containers_along_and_says_so() {
    let (_clock, fake) = fake();
    let pod = pod(&fake, "a").await;
    let id = container(&fake, &pod, "main").await;
    start(&fake, &id).await.unwrap();
    assert_eq!(fake.sandbox_id("ns", "a"), Some(pod.clone()));
    let mut events = fake.get_container_events(api::GetEventsRequest {}).await.unwrap();
    fake.lose_sandbox(&pod);
    assert_eq!(events.next().await.unwrap().unwrap().container_id, id);
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(event.container_id, pod);
    assert_eq!(event.pod_sandbox_status.unwrap().state(), api::PodSandboxState::SandboxNotready);
    assert_eq!(status(&fake, &id).await.exit_code, 137);
}

#[tokio::test]
async fn event_streams_end_when_told_and_new_ones_go_on() {
    let (_clock, fake) = fake();
    let mut events = fake.get_container_events(api::GetEventsRequest {}).await.unwrap();
    fake.end_event_streams();
    assert!(events.next().await.is_none());
    let mut events = fake.get_container_events(api::GetEventsRequest {}).await.unwrap();
    let pod = pod(&fake, "a").await;
    assert_eq!(events.next().await.unwrap().unwrap().container_id, pod);
}
