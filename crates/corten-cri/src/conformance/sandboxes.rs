//! The life of a sandbox.

use super::{Fixture, pod::IDLE};
use crate::{Code, api, api::PodSandboxState};

fn in_state(state: PodSandboxState) -> api::PodSandboxFilter {
    let state = Some(api::PodSandboxStateValue { state: state as i32 });
    api::PodSandboxFilter { state, ..api::PodSandboxFilter::default() }
}

/// The status shows what the sandbox was made from.
pub async fn a_sandbox_is_ready_when_run_returns(fixture: &Fixture) {
    let pod = fixture
        .pod_with("ready", |config| {
            config.labels.insert("color".into(), "green".into());
            config.annotations.insert("example.test/note".into(), "a note, unchanged \u{e9}".into());
        })
        .await;
    let status = fixture.sandbox_status(&pod.id).await.expect("status");
    assert_eq!(status.id, pod.id);
    assert_eq!(status.state(), PodSandboxState::SandboxReady);
    assert_eq!(status.metadata, pod.config.metadata);
    assert_eq!(status.labels, pod.config.labels);
    assert_eq!(status.annotations, pod.config.annotations);
    assert!(status.created_at > 0);
    let options = status.linux.and_then(|linux| linux.namespaces).and_then(|namespaces| namespaces.options);
    assert_eq!(options.expect("namespace options").pid(), api::NamespaceMode::Container);
}

/// All fields of a filter have to match.
pub async fn sandboxes_are_listed_by_id_state_and_labels(fixture: &Fixture) {
    let green = fixture.pod_with("green", |config| drop(config.labels.insert("color".into(), "green".into()))).await;
    let red = fixture.pod_with("red", |config| drop(config.labels.insert("color".into(), "red".into()))).await;
    let stop = api::StopPodSandboxRequest { pod_sandbox_id: red.id.clone() };
    fixture.runtime.stop_pod_sandbox(stop).await.expect("stop");

    let check = |what: &'static str, filter: api::PodSandboxFilter, want: Vec<&str>| {
        let (mut want, found) = (want.into_iter().map(str::to_owned).collect::<Vec<_>>(), fixture.sandboxes(filter));
        async move {
            let mut found: Vec<_> = found.await.into_iter().map(|sandbox| sandbox.id).collect();
            found.sort();
            want.sort();
            assert_eq!(found, want, "{what}");
        }
    };
    let by_id = |id: &str| api::PodSandboxFilter { id: id.to_owned(), ..api::PodSandboxFilter::default() };
    let colored = |color: &str| api::PodSandboxFilter {
        label_selector: [("color".to_owned(), color.to_owned())].into(),
        ..api::PodSandboxFilter::default()
    };
    check("no filter", api::PodSandboxFilter::default(), vec![&green.id, &red.id]).await;
    check("id", by_id(&green.id), vec![&green.id]).await;
    check("unknown id", by_id("ffffffffffff"), vec![]).await;
    check("ready", in_state(PodSandboxState::SandboxReady), vec![&green.id]).await;
    check("not ready", in_state(PodSandboxState::SandboxNotready), vec![&red.id]).await;
    check("label", colored("red"), vec![&red.id]).await;
    check("label of nobody", colored("blue"), vec![]).await;
    let both = api::PodSandboxFilter { id: red.id.clone(), ..in_state(PodSandboxState::SandboxReady) };
    check("id and state", both, vec![]).await;

    let listed = fixture.sandboxes(by_id(&green.id)).await.remove(0);
    let status = fixture.sandbox_status(&green.id).await.expect("status");
    assert_eq!(listed.metadata, status.metadata);
    assert_eq!(listed.created_at, status.created_at);
    assert_eq!(listed.labels, status.labels);
    assert_eq!(listed.annotations, status.annotations);
}

/// Stopping is idempotent.
pub async fn a_stopped_sandbox_is_not_ready_and_stopping_again_is_fine(fixture: &Fixture) {
    let pod = fixture.pod("stopped").await;
    for _ in 0..2 {
        let request = api::StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
        fixture.runtime.stop_pod_sandbox(request).await.expect("stop");
        let status = fixture.sandbox_status(&pod.id).await.expect("status");
        assert_eq!(status.state(), PodSandboxState::SandboxNotready);
    }
}

/// Nothing runs in a stopped sandbox.
pub async fn stopping_a_sandbox_kills_its_containers(fixture: &Fixture) {
    let pod = fixture.pod("kills").await;
    let running = pod.start("main", IDLE).await;
    let request = api::StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    fixture.runtime.stop_pod_sandbox(request).await.expect("stop");
    let status = fixture.container_status(&running).await.expect("status");
    assert_eq!(status.state(), api::ContainerState::ContainerExited);
    assert_ne!(status.finished_at, 0);
}

/// Removing is idempotent and needs no stop before it.
pub async fn removing_a_sandbox_takes_its_containers_along_and_removing_again_is_fine(fixture: &Fixture) {
    let pod = fixture.pod("removed").await;
    let running = pod.start("main", IDLE).await;
    let created = pod.create("second", IDLE).await;
    let stop = api::StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    fixture.runtime.stop_pod_sandbox(stop).await.expect("stop");
    for _ in 0..2 {
        let request = api::RemovePodSandboxRequest { pod_sandbox_id: pod.id.clone() };
        fixture.runtime.remove_pod_sandbox(request).await.expect("remove");
        assert_eq!(fixture.sandbox_status(&pod.id).await.expect_err("removed").code, Code::NotFound);
    }
    for id in [running, created] {
        assert_eq!(fixture.container_status(&id).await.expect_err("removed").code, Code::NotFound);
    }
    assert_eq!(fixture.containers(api::ContainerFilter::default()).await, []);
}

/// A pod whose sandbox died gets a new attempt beside the old one.
pub async fn attempts_of_a_pod_live_side_by_side_and_one_attempt_exists_once(fixture: &Fixture) {
    let first = fixture.pod("attempts").await;
    assert!(fixture.try_pod(first.config.clone()).await.is_err(), "the same attempt again");
    let mut config = first.config.clone();
    config.metadata.as_mut().expect("metadata").attempt = 1;
    let second = fixture.try_pod(config).await.expect("the next attempt");
    assert_ne!(first.id, second.id);
    assert_eq!(fixture.sandboxes(api::PodSandboxFilter::default()).await.len(), 2);
}

/// A handler that the runtime does not have is an error.
pub async fn an_unknown_handler_is_refused(fixture: &Fixture) {
    let config = Some(fixture.pod_config("handler"));
    let request = api::RunPodSandboxRequest { config, runtime_handler: "no-such-handler".to_owned() };
    assert!(fixture.runtime.run_pod_sandbox(request).await.is_err());
    assert_eq!(fixture.sandboxes(api::PodSandboxFilter::default()).await, []);
}

/// Questions about a sandbox that does not exist are `NotFound`.
pub async fn an_unknown_sandbox_is_not_found(fixture: &Fixture) {
    assert_eq!(fixture.sandbox_status("no-such-sandbox").await.expect_err("unknown").code, Code::NotFound);
}

/// Ends that have come already are no errors.
pub async fn stopping_and_removing_an_unknown_sandbox_is_fine(fixture: &Fixture) {
    let stop = api::StopPodSandboxRequest { pod_sandbox_id: "no-such-sandbox".to_owned() };
    fixture.runtime.stop_pod_sandbox(stop).await.expect("stop");
    let remove = api::RemovePodSandboxRequest { pod_sandbox_id: "no-such-sandbox".to_owned() };
    fixture.runtime.remove_pod_sandbox(remove).await.expect("remove");
}

/// The host name is that of the config, also in the environment's files.
pub async fn the_hostname_is_the_pods(fixture: &Fixture) {
    let pod = fixture.pod_with("host", |config| config.hostname = "name-of-the-pod".to_owned()).await;
    let output = pod.run_with("main", "hostname", |_| ()).await;
    assert_eq!(output.stdout, "name-of-the-pod\n");
}

/// Sysctls of namespaces take effect in every container.
pub async fn sysctls_are_set_in_the_sandbox(fixture: &Fixture) {
    let pod = fixture
        .pod_with("sysctls", |config| {
            let linux = config.linux.get_or_insert_default();
            linux.sysctls.insert("kernel.shm_rmid_forced".into(), "1".into());
            linux.sysctls.insert("net.ipv4.ip_local_port_range".into(), "1024 60000".into());
        })
        .await;
    let script = "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_local_port_range";
    assert_eq!(pod.run_with("main", script, |_| ()).await.stdout, "1\n1024\t60000\n");
}
