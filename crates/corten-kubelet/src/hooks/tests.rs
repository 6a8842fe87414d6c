//! Hooks against a scripted runtime, in simulated time.

use corten_api::core::v1::{Container, ExecAction, Lifecycle, Pod, SleepAction};
use corten_base::SimClock;
use corten_client::events::EventQueue;
use corten_cri::{Code, CriError, fake::FakeCri};

use super::*;
use crate::interfaces::ContainerKind;

fn fixture() -> (Arc<SimClock>, FakeCri, HookRunner, EventQueue) {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = FakeCri::new(clock.clone());
    let (recorder, events) = Recorder::new("kubelet", "n", clock.clone());
    let runner = HookRunner::new(Arc::new(fake.clone()), recorder, clock.clone());
    (clock, fake, runner, events)
}

fn container(lifecycle: Lifecycle) -> ContainerRef {
    let spec = Container { name: "main".into(), lifecycle: Some(lifecycle), ..Container::default() };
    ContainerRef { kind: ContainerKind::Ordinary, spec: Arc::new(spec), target: None }
}

fn pod() -> SharedPod {
    let pod = serde_json::json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}});
    SharedPod::new(serde_json::from_value::<Pod>(pod).unwrap())
}

fn get(port: u16, scheme: &str) -> Option<LifecycleHandler> {
    let port = corten_api::intstr::IntOrString::Int(i32::from(port));
    let http_get =
        HTTPGetAction { path: Some("/begin".into()), port, scheme: Some(scheme.into()), ..HTTPGetAction::default() };
    Some(LifecycleHandler { http_get: Some(http_get), ..LifecycleHandler::default() })
}

/// A server that speaks HTTP and answers so many connections.
async fn http_server(tasks: &corten_base::TaskSet, connections: usize) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn("server", async move {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 1_024];
            let length = stream.read(&mut said).await.unwrap();
            let status = if said[..length].starts_with(b"GET ") { "200 OK" } else { "400 Bad Request" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

fn exec() -> Option<LifecycleHandler> {
    let exec = Some(ExecAction { command: Some(vec!["true".into()]) });
    Some(LifecycleHandler { exec, ..LifecycleHandler::default() })
}

fn sleep(seconds: i64) -> Option<LifecycleHandler> {
    Some(LifecycleHandler { sleep: Some(SleepAction { seconds }), ..LifecycleHandler::default() })
}

#[tokio::test]
async fn a_failed_hook_is_an_event_that_hides_its_output() {
    let (_, fake, runner, mut events) = fixture();
    fake.fail("exec_sync", 2, CriError::new(Code::Unknown, "a secret"));
    let pod = pod();
    let container = container(Lifecycle { post_start: exec(), pre_stop: exec(), ..Lifecycle::default() });
    let failure = runner.post_start(&pod, &container, "id", None).await.unwrap_err();
    assert_eq!(failure.reason, "PostStartHookError");
    let (begin, end) =
        ("Exec lifecycle hook ([true]) for Container \"main\" in Pod \"p_n(u)\" failed - error: ", ", message: \"\"");
    let message = failure.message;
    assert!(message.starts_with(begin) && message.contains("a secret") && message.ends_with(end), "{message}");
    runner.pre_stop(&pod, &container, "id", None, Duration::from_secs(9)).await;
    let mut told = || events.try_next().map(|event| (event.reason.to_string(), event.message));
    assert_eq!(told(), Some(("FailedPostStartHook".into(), "PostStartHook failed".into())));
    assert_eq!(told(), Some(("FailedPreStopHook".into(), "PreStopHook failed".into())));
    assert_eq!(told(), None);
}

#[tokio::test]
async fn a_sleep_ends_with_its_time_or_the_grace_period() {
    for (seconds, grace, takes) in [(5, 9, 5), (50, 9, 9)] {
        let (clock, _, runner, _events) = fixture();
        let pod = SharedPod::new(Pod::default());
        let container = container(Lifecycle { pre_stop: sleep(seconds), ..Lifecycle::default() });
        let mut hook = Box::pin(runner.pre_stop(&pod, &container, "id", None, Duration::from_secs(grace)));
        assert!(futures::poll!(hook.as_mut()).is_pending());
        clock.advance(Duration::from_secs(takes - 1));
        assert!(futures::poll!(hook.as_mut()).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(futures::poll!(hook.as_mut()).is_ready());
    }
}

#[tokio::test]
async fn a_container_without_hooks_waits_for_nothing() {
    let (_, fake, runner, _events) = fixture();
    let pod = SharedPod::new(Pod::default());
    let container = container(Lifecycle::default());
    runner.post_start(&pod, &container, "id", None).await.unwrap();
    runner.pre_stop(&pod, &container, "id", None, Duration::from_secs(1)).await;
    assert!(fake.take_calls().is_empty());
}

#[tokio::test]
async fn https_falls_back_to_http_and_says_so_when_that_succeeded() {
    let ip = Some(IpAddr::from([127, 0, 0, 1]));
    for (connections, succeeds) in [(2, true), (1, false)] {
        let (_, _, runner, mut events) = fixture();
        let tasks = corten_base::TaskSet::new("test");
        let port = http_server(&tasks, connections).await;
        let container = container(Lifecycle { post_start: get(port, "HTTPS"), ..Lifecycle::default() });
        let outcome = runner.post_start(&pod(), &container, "id", ip).await;
        tasks.join().await.unwrap();
        let told = events.try_next().unwrap();
        if succeeds {
            outcome.unwrap();
            let text = format!(
                "request to HTTPS lifecycle hook 127.0.0.1:{port} got HTTP response, retry with HTTP succeeded"
            );
            assert_eq!((&*told.reason, told.message.as_str()), ("LifecycleHTTPFallback", text.as_str()));
        } else {
            // What went wrong first, and no word of another try.
            let message = outcome.unwrap_err().message;
            let begin =
                "HTTP lifecycle hook (/begin) for Container \"main\" in Pod \"p_n(u)\" failed - error: Get \"https://";
            assert!(message.starts_with(begin) && message.ends_with(PLAIN_SERVER), "{message}");
            assert_eq!(&*told.reason, "FailedPostStartHook");
        }
    }
}
