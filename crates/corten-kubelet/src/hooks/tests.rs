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
    let pod = SharedPod::new(Pod::default());
    let container = container(Lifecycle { post_start: exec(), pre_stop: exec(), ..Lifecycle::default() });
    let failure = runner.post_start(&pod, &container, "id", None).await.unwrap_err();
    assert_eq!(failure.reason, "PostStartHookError");
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
