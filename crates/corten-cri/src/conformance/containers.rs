//! The life of a container, as its records show it.

use super::{Fixture, Need, pod::IDLE, processes::wait_for_log};
use crate::{Code, api, api::ContainerState};

/// Each state has its times, and they are in order.
pub async fn a_container_goes_from_created_to_running_to_exited(fixture: &Fixture) {
    let pod = fixture.pod("life").await;
    let id = pod.create("main", &IDLE.replacen(';', "; echo ready;", 1)).await;
    let created = fixture.container_status(&id).await.expect("status");
    assert_eq!((created.id.as_str(), created.state()), (id.as_str(), ContainerState::ContainerCreated));
    assert!(created.created_at > 0);
    assert_eq!(created.finished_at, 0);

    fixture.start(&id).await.expect("start");
    let running = fixture.container_status(&id).await.expect("status");
    assert_eq!(running.state(), ContainerState::ContainerRunning);
    assert!(running.started_at >= created.created_at);
    assert_eq!(running.finished_at, 0);

    // Until its trap is set, the first process of a PID namespace does not hear the signal.
    if fixture.provides.contains(&Need::Processes) {
        wait_for_log(fixture, &pod, "ready\n").await;
    }
    fixture.stop(&id, 20).await.expect("stop");
    let exited = fixture.container_status(&id).await.expect("status");
    assert_eq!(exited.state(), ContainerState::ContainerExited);
    assert_eq!(exited.started_at, running.started_at);
    assert!(exited.finished_at >= exited.started_at);
    assert_eq!(exited.exit_code, 0, "{}", exited.reason);
    assert_eq!(exited.reason, "Completed");

    fixture.remove(&id).await.expect("remove");
    assert_eq!(fixture.container_status(&id).await.expect_err("removed").code, Code::NotFound);
}

/// All fields of a filter have to match.
pub async fn containers_are_listed_by_id_state_sandbox_and_labels(fixture: &Fixture) {
    let (one, two) = (fixture.pod("one").await, fixture.pod("two").await);
    let running = one.start("running", IDLE).await;
    let mut config = one.container_config("created", IDLE);
    config.labels.insert("color".into(), "green".into());
    let created = one.try_create(config).await.expect("create");
    let other = two.start("other", IDLE).await;

    let check = |what: &'static str, filter: api::ContainerFilter, want: Vec<&str>| {
        let (mut want, found) = (want.into_iter().map(str::to_owned).collect::<Vec<_>>(), fixture.containers(filter));
        async move {
            let mut found: Vec<_> = found.await.into_iter().map(|container| container.id).collect();
            found.sort();
            want.sort();
            assert_eq!(found, want, "{what}");
        }
    };
    let any = api::ContainerFilter::default;
    let state = |state: ContainerState| Some(api::ContainerStateValue { state: state as i32 });
    check("no filter", any(), vec![&running, &created, &other]).await;
    check("id", api::ContainerFilter { id: other.clone(), ..any() }, vec![&other]).await;
    check("sandbox", api::ContainerFilter { pod_sandbox_id: one.id.clone(), ..any() }, vec![&running, &created]).await;
    let started = api::ContainerFilter { state: state(ContainerState::ContainerRunning), ..any() };
    check("running", started, vec![&running, &other]).await;
    let exited = api::ContainerFilter { state: state(ContainerState::ContainerExited), ..any() };
    check("exited", exited, vec![]).await;
    let green = [("color".to_owned(), "green".to_owned())];
    check("label", api::ContainerFilter { label_selector: green.into(), ..any() }, vec![&created]).await;
    let both = api::ContainerFilter {
        pod_sandbox_id: one.id.clone(),
        state: state(ContainerState::ContainerRunning),
        ..any()
    };
    check("sandbox and state", both, vec![&running]).await;
    let elsewhere = api::ContainerFilter { id: other.clone(), pod_sandbox_id: one.id.clone(), ..any() };
    check("id in another sandbox", elsewhere, vec![]).await;
}

/// The runtime keeps what the kubelet gives it, and the list agrees with the status.
pub async fn labels_and_annotations_come_back_as_they_were_given(fixture: &Fixture) {
    let pod = fixture.pod("labels").await;
    let mut config = pod.container_config("main", IDLE);
    config.labels.insert("io.kubernetes.container.name".into(), "main".into());
    config.annotations.insert("example.test/hash".into(), "{\"a\": \"b\"}".into());
    let (labels, annotations, metadata) = (config.labels.clone(), config.annotations.clone(), config.metadata.clone());
    let id = pod.try_create(config).await.expect("create");
    let status = fixture.container_status(&id).await.expect("status");
    assert_eq!((&status.labels, &status.annotations, &status.metadata), (&labels, &annotations, &metadata));
    assert_eq!(status.log_path, pod.log_file("main/0.log").display().to_string());
    assert!(!status.image_ref.is_empty());
    let listed = fixture.containers(api::ContainerFilter { id, ..api::ContainerFilter::default() }).await.remove(0);
    assert_eq!((listed.labels, listed.annotations, listed.metadata), (labels, annotations, metadata));
    assert_eq!((listed.pod_sandbox_id, listed.created_at), (pod.id, status.created_at));
    assert_eq!(listed.image_ref, status.image_ref);
}

/// A container that ran is not started again.
pub async fn a_container_starts_once(fixture: &Fixture) {
    let pod = fixture.pod("once").await;
    let id = pod.start("main", IDLE).await;
    assert!(fixture.start(&id).await.is_err(), "while it runs");
    fixture.stop(&id, 20).await.expect("stop");
    assert!(fixture.start(&id).await.is_err(), "after it ended");
}

/// Stopping is idempotent.
pub async fn stopping_a_stopped_container_is_fine(fixture: &Fixture) {
    let pod = fixture.pod("stop").await;
    let id = pod.start("main", IDLE).await;
    fixture.stop(&id, 20).await.expect("stop");
    let first = fixture.container_status(&id).await.expect("status");
    fixture.stop(&id, 20).await.expect("stop again");
    assert_eq!(fixture.container_status(&id).await.expect("status"), first);
}

/// Removing is idempotent and needs no stop before it.
pub async fn a_running_container_can_be_removed_and_removing_again_is_fine(fixture: &Fixture) {
    let pod = fixture.pod("remove").await;
    let id = pod.start("main", IDLE).await;
    for _ in 0..2 {
        fixture.remove(&id).await.expect("remove");
        assert_eq!(fixture.container_status(&id).await.expect_err("removed").code, Code::NotFound);
    }
    assert_eq!(fixture.sandbox_status(&pod.id).await.expect("status").state(), api::PodSandboxState::SandboxReady);
}

/// A container that is started anew is a new attempt beside the old one.
pub async fn attempts_of_a_container_live_side_by_side_and_one_attempt_exists_once(fixture: &Fixture) {
    let pod = fixture.pod("attempts").await;
    let mut config = pod.container_config("main", IDLE);
    pod.try_create(config.clone()).await.expect("create");
    assert!(pod.try_create(config.clone()).await.is_err(), "the same attempt again");
    config.metadata.as_mut().expect("metadata").attempt = 1;
    pod.try_create(config).await.expect("the next attempt");
    assert_eq!(fixture.containers(api::ContainerFilter::default()).await.len(), 2);
}

/// A prefix that only one object has stands for the id.
pub async fn an_id_may_be_abbreviated(fixture: &Fixture) {
    let pod = fixture.pod("short").await;
    let id = pod.create("main", IDLE).await;
    let short = |id: &str| id[..id.len().min(13)].to_owned();
    assert_eq!(fixture.container_status(&short(&id)).await.expect("status").id, id);
    assert_eq!(fixture.sandbox_status(&short(&pod.id)).await.expect("status").id, pod.id);
}

/// Questions and orders about a container that does not exist are `NotFound`.
pub async fn an_unknown_container_is_not_found(fixture: &Fixture) {
    let unknown = "no-such-container";
    assert_eq!(fixture.container_status(unknown).await.expect_err("unknown").code, Code::NotFound);
    assert_eq!(fixture.start(unknown).await.expect_err("unknown").code, Code::NotFound);
    assert_eq!(fixture.exec(unknown, "true").await.expect_err("unknown").code, Code::NotFound);
    let request = api::ReopenContainerLogRequest { container_id: unknown.to_owned() };
    assert_eq!(fixture.runtime.reopen_container_log(request).await.expect_err("unknown").code, Code::NotFound);
    let request = api::UpdateContainerResourcesRequest { container_id: unknown.to_owned(), ..Default::default() };
    assert_eq!(fixture.runtime.update_container_resources(request).await.expect_err("unknown").code, Code::NotFound);
    let request = api::ContainerStatsRequest { container_id: unknown.to_owned() };
    assert_eq!(fixture.runtime.container_stats(request).await.expect_err("unknown").code, Code::NotFound);
}

/// Ends that have come already are no errors.
pub async fn stopping_and_removing_an_unknown_container_is_fine(fixture: &Fixture) {
    fixture.stop("no-such-container", 1).await.expect("stop");
    fixture.remove("no-such-container").await.expect("remove");
}

/// No container without a living sandbox.
pub async fn a_container_needs_a_sandbox_that_exists_and_is_ready(fixture: &Fixture) {
    let mut pod = fixture.pod("gone").await;
    let config = pod.container_config("main", IDLE);
    let request = api::StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    fixture.runtime.stop_pod_sandbox(request).await.expect("stop");
    assert!(pod.try_create(config.clone()).await.is_err(), "in a stopped sandbox");
    pod.id = "no-such-sandbox".to_owned();
    assert_eq!(pod.try_create(config).await.expect_err("unknown").code, Code::NotFound);
}

/// Creating pulls nothing.
pub async fn a_container_needs_an_image_that_is_present(fixture: &Fixture) {
    let pod = fixture.pod("image").await;
    let mut config = pod.container_config("main", IDLE);
    config.image = Some(api::ImageSpec { image: fixture.test_images.absent.clone(), ..Default::default() });
    assert!(pod.try_create(config).await.is_err());
    assert_eq!(fixture.containers(api::ContainerFilter::default()).await, []);
}

/// A running container has stats, alone, in the list and in those of its pod.
pub async fn usage_is_reported_for_running_containers(fixture: &Fixture) {
    let pod = fixture.pod("stats").await;
    let id = pod.start("main", IDLE).await;
    let request = api::ContainerStatsRequest { container_id: id.clone() };
    let stats = fixture.runtime.container_stats(request).await.expect("stats").stats.expect("stats");
    let attributes = stats.attributes.expect("attributes");
    assert_eq!((attributes.id.as_str(), attributes.metadata.expect("metadata").name.as_str()), (id.as_str(), "main"));
    let cpu = stats.cpu.expect("cpu");
    assert!(cpu.timestamp > 0);
    assert!(cpu.usage_core_nano_seconds.is_some());
    let memory = stats.memory.expect("memory");
    assert!(memory.timestamp > 0);
    assert!(memory.working_set_bytes.is_some());

    let filter = api::ContainerStatsFilter { pod_sandbox_id: pod.id.clone(), ..Default::default() };
    let request = api::ListContainerStatsRequest { filter: Some(filter) };
    let listed = fixture.runtime.list_container_stats(request).await.expect("list of stats").stats;
    assert_eq!(listed.len(), 1);
    let request = api::PodSandboxStatsRequest { pod_sandbox_id: pod.id.clone() };
    let stats = fixture.runtime.pod_sandbox_stats(request).await.expect("stats of the pod").stats.expect("stats");
    assert_eq!(stats.attributes.expect("attributes").id, pod.id);
    assert_eq!(stats.linux.expect("linux").containers.len(), 1);
}
