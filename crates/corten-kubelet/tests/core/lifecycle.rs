//! Pods from their creation to their end.

use corten_api::core::v1::Pod;
use corten_client::{PatchKind, Target, api::decode};
use corten_cri::{
    CriError,
    fake::{Exit, OnStop, Script},
};
use corten_kubelet::interfaces::ProbeKind;
use corten_testkit::tree;
use serde_json::json;

use crate::node::{Node, condition, container, pods};

#[tokio::test]
async fn a_pod_runs_and_is_deleted() {
    let mut node = Node::start().await;
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    let pod = node.ready("web").await;
    let calls = node.cri.take_calls();
    assert_eq!(
        calls,
        [
            "run_pod_sandbox default/web",
            "pull_image nginx",
            "create_container default/web/main",
            "start_container default/web/main"
        ]
    );
    let status = pod.status.clone().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.host_ip.as_deref(), Some("192.0.2.1"));
    assert!(status.pod_ip.is_some() && status.start_time.is_some());
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    let main = container(&pod, "main");
    assert!(main.ready && main.started == Some(true) && main.restart_count == 0);
    assert_eq!(main.image, "nginx");
    assert!(main.container_id.unwrap().starts_with("fake://"));
    assert_eq!(node.events(), ["Created: Container created", "Started: Container started"]);

    node.delete("web", None).await;
    node.gone("web").await;
    let calls = node.cri.take_calls();
    assert_eq!(
        calls,
        [
            "stop_container default/web/main",
            "stop_pod_sandbox default/web",
            "remove_container default/web/main",
            "remove_pod_sandbox default/web"
        ]
    );
    assert_eq!(node.events(), ["Killing: Stopping container main"]);
    assert!(node.fakes.holdings.volumes.lock().is_empty() && node.fakes.holdings.cgroups.lock().is_empty());
    node.stop().await;
}

/// They stayed for ever: what the API had was taken for what had been said before.
#[tokio::test]
async fn somebody_elses_words_in_a_status_are_taken_back() {
    let node = Node::start().await;
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    node.ready("web").await;
    let patch = tree(&json!({"status": {"message": "no word of the kubelet", "reason": "Strange"}}));
    let target = Target::object(&pods(), "default", "web").subresource("status");
    let patched = node.cluster.admin().patch(target, PatchKind::Merge, patch).await.unwrap();
    let patched: Pod = decode(&patched).unwrap();
    assert_eq!(patched.status.unwrap().reason.as_deref(), Some("Strange"));
    let is_clean = |pod: &Pod| pod.status.as_ref().is_some_and(|it| it.message.is_none() && it.reason.is_none());
    let pod = node.wait("web", is_clean).await;
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
    node.stop().await;
}

#[tokio::test]
async fn a_crashing_container_waits_longer_each_time() {
    let mut node = Node::start().await;
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    node.ready("web").await;
    node.cri.exit(&node.cri.container_id("default", "web", "main").unwrap(), Exit::code(1)).unwrap();
    // The first end is followed by a start at once.
    let pod = node.wait("web", |pod| container(pod, "main").restart_count == 1 && container(pod, "main").ready).await;
    let last = container(&pod, "main").last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (1, Some("Error")));
    node.advance(1);
    node.cri.exit(&node.cri.container_id("default", "web", "main").unwrap(), Exit::code(1)).unwrap();
    let waits = |pod: &corten_api::core::v1::Pod| {
        let state = container(pod, "main").state.unwrap_or_default();
        state.waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
    };
    let pod = node.wait("web", waits).await;
    let uid = pod.metadata.uid.clone().unwrap();
    let main = container(&pod, "main");
    assert_eq!(
        main.state.unwrap().waiting.unwrap().message.unwrap(),
        format!("back-off 10s restarting failed container=main pod=web_default({uid})")
    );
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    assert_eq!(condition(&pod, "Ready"), "False");
    let events = node.events();
    let said = format!("BackOff: Back-off restarting failed container main in pod web_default({uid})");
    assert_eq!(events.iter().filter(|event| **event == said).count(), 1, "{events:?}");
    let _ = node.cri.take_calls();
    node.advance(10);
    node.wait("web", |pod| container(pod, "main").restart_count == 2 && container(pod, "main").ready).await;
    let calls = node.cri.take_calls();
    assert!(calls.contains(&"start_container default/web/main".to_owned()), "{calls:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_never_restarts_succeeds_or_fails() {
    let node = Node::start().await;
    for (name, code, phase) in [("good", 0, "Succeeded"), ("bad", 3, "Failed")] {
        let spec = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]});
        node.create(name, spec).await;
        node.phase(name, "Running").await;
        node.cri.exit(&node.cri.container_id("default", name, "main").unwrap(), Exit::code(code)).unwrap();
        let pod = node.phase(name, phase).await;
        let state = container(&pod, "main").state.unwrap().terminated.unwrap();
        assert_eq!(state.exit_code, code);
        let pod = node.wait(name, |pod| condition(pod, "PodReadyToStartContainers") == "False").await;
        assert_eq!(condition(&pod, "Ready"), "False");
        node.delete(name, None).await;
        node.gone(name).await;
        // The API does not wait for the node: the pod had ended.
        node.cleared(name).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn init_containers_run_in_order_and_sidecars_outlive_them() {
    let node = Node::start().await;
    node.create(
        "web",
        json!({"initContainers": [
            {"name": "first", "image": "a"},
            {"name": "side", "image": "b", "restartPolicy": "Always"},
            {"name": "second", "image": "c"},
        ], "restartPolicy": "OnFailure", "containers": [{"name": "main", "image": "d"}]}),
    )
    .await;
    let started = |container: &str| {
        let name = container.to_owned();
        move |pod: &corten_api::core::v1::Pod| {
            crate::node::container(pod, &name).state.unwrap_or_default().running.is_some()
        }
    };
    let pod = node.wait("web", started("first")).await;
    let waiting = container(&pod, "main").state.unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("PodInitializing"));
    assert!(node.cri.container_id("default", "web", "side").is_none());
    node.cri.exit(&node.cri.container_id("default", "web", "first").unwrap(), Exit::code(0)).unwrap();
    let pod = node.wait("web", started("second")).await;
    assert_eq!(condition(&pod, "Initialized"), "False");
    assert!(container(&pod, "side").state.unwrap().running.is_some());
    // A failed one runs again under this policy.
    node.cri.exit(&node.cri.container_id("default", "web", "second").unwrap(), Exit::code(1)).unwrap();
    let second = |pod: &corten_api::core::v1::Pod| container(pod, "second");
    node.wait("web", |pod| second(pod).restart_count == 1 && started("second")(pod)).await;
    node.cri.exit(&node.cri.container_id("default", "web", "second").unwrap(), Exit::code(0)).unwrap();
    let pod = node.ready("web").await;
    assert_eq!(condition(&pod, "Initialized"), "True");
    // The sidecar comes back when it ends, and goes when the work is done.
    node.cri.exit(&node.cri.container_id("default", "web", "side").unwrap(), Exit::code(0)).unwrap();
    node.wait("web", |pod| container(pod, "side").restart_count == 1 && started("side")(pod)).await;
    node.cri.exit(&node.cri.container_id("default", "web", "main").unwrap(), Exit::code(0)).unwrap();
    let pod = node.phase("web", "Succeeded").await;
    assert!(container(&pod, "main").state.unwrap().terminated.is_some());
    node.stop().await;
}

#[tokio::test]
async fn a_restart_of_the_kubelet_takes_pods_over_as_they_are() {
    let mut node = Node::start().await;
    for name in ["stays", "goes"] {
        node.create(name, json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
        node.ready(name).await;
    }
    node.halt().await;
    let _ = node.cri.take_calls();
    // Gone without a trace while nobody looked.
    node.delete("goes", Some(0)).await;
    node.gone("goes").await;
    node.boot();
    node.create("new", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    node.ready("new").await;
    while node.cri.sandbox_id("default", "goes").is_some() {
        tokio::task::yield_now().await;
    }
    let calls = node.cri.take_calls();
    assert!(calls.iter().all(|call| !call.contains("stays")), "{calls:?}");
    let pod = node.ready("stays").await;
    assert_eq!(container(&pod, "main").restart_count, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_pod_can_be_deleted_while_its_container_is_being_started() {
    let node = Node::start().await;
    let hold = node.cri.hold("create_container");
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    node.wait("web", |pod| condition(pod, "PodReadyToStartContainers") == "True").await;
    node.delete("web", None).await;
    node.gone("web").await;
    hold.release();
    assert!(node.cri.sandbox_id("default", "web").is_none());
    node.stop().await;
}

#[tokio::test]
async fn a_failed_start_shows_its_reason_and_is_tried_again() {
    let mut node = Node::start().await;
    node.cri.fail_pull("nginx", 1, CriError::not_found("no such image"));
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    let pod = node
        .wait("web", |pod| {
            let waiting = container(pod, "main").state.unwrap_or_default().waiting;
            waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("ErrImagePull"))
        })
        .await;
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
    assert!(node.events().contains(&"Failed: Error: ErrImagePull".to_owned()));
    node.wait_while_time_passes("web", 20, |pod| condition(pod, "Ready") == "True").await;
    node.stop().await;
}

#[tokio::test]
async fn a_failed_liveness_probe_ends_the_container_and_it_comes_back() {
    let mut node = Node::start().await;
    let probe = json!({"exec": {"command": ["true"]}});
    node.create(
        "web",
        json!({"containers": [{"name": "main", "image": "nginx", "livenessProbe": probe, "readinessProbe": probe}]}),
    )
    .await;
    let pod = node.phase("web", "Running").await;
    assert_eq!(condition(&pod, "Ready"), "False");
    node.probed(&pod, "main", ProbeKind::Readiness, true).await;
    node.ready("web").await;
    node.probed(&pod, "main", ProbeKind::Liveness, false).await;
    let pod = node.wait("web", |pod| container(pod, "main").restart_count == 1).await;
    assert_eq!(condition(&pod, "Ready"), "False");
    let events = node.events();
    assert!(
        events.contains(&"Killing: Container main failed liveness probe, will be restarted".to_owned()),
        "{events:?}"
    );
    node.stop().await;
}

#[tokio::test]
async fn a_lost_sandbox_is_replaced() {
    let mut node = Node::start().await;
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    let before = node.ready("web").await.status.unwrap().pod_ip.unwrap();
    node.cri.lose_sandbox(&node.cri.sandbox_id("default", "web").unwrap());
    let pod = node.wait("web", |pod| container(pod, "main").restart_count == 1 && container(pod, "main").ready).await;
    assert_ne!(pod.status.unwrap().pod_ip.unwrap(), before);
    assert!(
        node.events().contains(&"SandboxChanged: Pod sandbox changed, it will be killed and re-created.".to_owned())
    );
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_does_not_fit_is_rejected() {
    let mut node = Node::start().await;
    let resources = json!({"requests": {"cpu": "5"}});
    node.create("big", json!({"containers": [{"name": "main", "image": "nginx", "resources": resources}]})).await;
    let status = node.phase("big", "Failed").await.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("OutOfcpu"));
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was rejected: Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000")
    );
    node.create("picky", json!({"nodeSelector": {"disk": "tape"}, "containers": [{"name": "main", "image": "nginx"}]}))
        .await;
    let status = node.phase("picky", "Failed").await.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("NodeAffinity"));
    let events = node.events();
    assert!(events[0].starts_with("OutOfcpu: Node didn't have enough resource"), "{events:?}");
    node.delete("big", None).await;
    node.gone("big").await;
    assert_eq!(node.cri.take_calls(), Vec::<String>::new());
    node.stop().await;
}

/// A pod was refused for ever because of one that was gone from the API while its containers still ended.
#[tokio::test]
async fn a_pod_that_is_gone_from_the_api_takes_no_room() {
    let node = Node::start().await;
    node.cri.script("main", Script { on_stop: OnStop::Ignore, ..Script::default() });
    let of = |name: &str| {
        let ports = json!([{"containerPort": 80, "hostPort": 7_777, "protocol": "TCP"}]);
        json!({"containers": [{"name": name, "image": "nginx", "ports": ports,
            "resources": {"requests": {"cpu": "3"}}}]})
    };
    node.create("first", of("main")).await;
    node.ready("first").await;
    node.delete("first", Some(0)).await;
    node.gone("first").await;
    node.create("second", of("other")).await;
    node.ready("second").await;
    assert!(node.cri.sandbox_id("default", "first").is_some(), "the first still ends");
    while node.cri.sandbox_id("default", "first").is_some() {
        tokio::task::yield_now().await;
        node.advance(1);
    }
    node.stop().await;
}

/// The hook of a sidecar used to wait for the end of the others, and had nothing left of the grace period.
#[tokio::test]
async fn the_hooks_of_sidecars_begin_with_those_of_the_others() {
    let node = Node::start().await;
    node.cri.script("main", Script { on_stop: OnStop::Ignore, ..Script::default() });
    let lifecycle = json!({"preStop": {"exec": {"command": ["true"]}}});
    let sidecar = json!({"name": "side", "image": "proxy", "restartPolicy": "Always", "lifecycle": lifecycle});
    let main = json!({"name": "main", "image": "nginx"});
    node.create("web", json!({"initContainers": [sidecar], "containers": [main]})).await;
    node.ready("web").await;
    node.delete("web", Some(20)).await;
    node.wait("web", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    while node.fakes.hooks.calls.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    // The main container still runs: no time has passed.
    assert!(node.cri.sandbox_id("default", "web").is_some());
    assert_eq!(*node.fakes.hooks.calls.lock(), ["pre_stop side 20"]);
    while node.cri.sandbox_id("default", "web").is_some() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        node.advance(1);
    }
    node.gone("web").await;
    node.stop().await;
}

/// Containers were started side by side: a later one could not count on what an earlier one's hook had prepared.
#[tokio::test]
async fn a_container_waits_for_the_hooks_of_those_before_it() {
    let node = Node::start().await;
    let go_on = std::sync::Arc::new(tokio::sync::Notify::new());
    *node.fakes.hooks.post_start_waits.lock() = Some(std::sync::Arc::clone(&go_on));
    let hook = json!({"postStart": {"exec": {"command": ["true"]}}});
    let first = json!({"name": "first", "image": "nginx", "lifecycle": hook});
    node.create("web", json!({"containers": [first, {"name": "second", "image": "nginx"}]})).await;
    while node.fakes.hooks.calls.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.cri.container_id("default", "web", "second"), None);
    go_on.notify_one();
    node.ready("web").await;
    node.stop().await;
}

#[tokio::test]
async fn a_pod_over_its_deadline_fails() {
    let node = Node::start().await;
    node.create("web", json!({"activeDeadlineSeconds": 30, "containers": [{"name": "main", "image": "nginx"}]})).await;
    node.ready("web").await;
    node.advance(31);
    let status = node.phase("web", "Failed").await.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
    node.stop().await;
}

/// Once, the pod was `Failed` for the whole grace period with its container running, and its successor began beside it.
#[tokio::test]
async fn a_pod_whose_container_ignores_its_end_is_over_when_that_has_ended() {
    let node = Node::start().await;
    node.cri.script("main", Script { on_stop: OnStop::Ignore, ..Script::default() });
    node.create(
        "web",
        json!({"activeDeadlineSeconds": 30, "terminationGracePeriodSeconds": 20,
        "containers": [{"name": "main", "image": "nginx"}]}),
    )
    .await;
    node.ready("web").await;
    node.advance(31);
    let pod = node.wait("web", |pod| condition(pod, "Ready") == "False").await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!((status.phase.as_deref(), &status.reason, &status.message), (Some("Running"), &None, &None));
    assert!(container(&pod, "main").state.unwrap().running.is_some());
    let failed = |pod: &Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Failed");
    let pod = node.wait_while_time_passes("web", 60, failed).await;
    assert!(container(&pod, "main").state.unwrap().terminated.is_some());
    assert_eq!(pod.status.unwrap().reason.as_deref(), Some("DeadlineExceeded"));
    node.stop().await;
}

/// Once, each restart of the kubelet took every container with such probes out of its services until their next probe.
#[tokio::test]
async fn probed_containers_stay_ready_over_a_restart_of_the_kubelet() {
    let mut node = Node::start().await;
    let probe = json!({"httpGet": {"port": 80}});
    let main = json!({"name": "main", "image": "nginx", "startupProbe": probe, "readinessProbe": probe});
    node.create("web", json!({"containers": [main]})).await;
    let pod = node.wait("web", |pod| container(pod, "main").state.is_some_and(|it| it.running.is_some())).await;
    node.probed(&pod, "main", ProbeKind::Startup, true).await;
    node.probed(&pod, "main", ProbeKind::Readiness, true).await;
    let before = node.ready("web").await;
    node.halt().await;
    node.fakes.probes.results.lock().clear();
    node.fakes.probes.observed.lock().clear();
    node.boot();
    // What comes later is there when what came before has been seen.
    while node.fakes.probes.observed.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    node.create("later", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    node.ready("later").await;
    let after = node.ready("web").await;
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    assert_eq!(container(&after, "main").started, Some(true));
    assert_eq!(node.fakes.probes.started.lock().len(), 1);
    // The first word of a probe counts.
    node.probed(&after, "main", ProbeKind::Readiness, false).await;
    let pod = node.wait("web", |pod| condition(pod, "Ready") == "False").await;
    assert_eq!(container(&pod, "main").started, Some(true));
    node.stop().await;
}

#[tokio::test]
async fn hooks_run_around_a_container() {
    let node = Node::start().await;
    let hook = json!({"exec": {"command": ["true"]}});
    let lifecycle = json!({"postStart": hook, "preStop": hook});
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx", "lifecycle": lifecycle}]})).await;
    node.ready("web").await;
    node.delete("web", Some(7)).await;
    node.gone("web").await;
    assert_eq!(*node.fakes.hooks.calls.lock(), ["post_start main", "pre_stop main 7"]);
    node.stop().await;
}

/// It was shown as running and ready, and got traffic, before its hook had made it fit for that.
#[tokio::test]
async fn a_container_is_not_running_before_its_hook_has_ended() {
    let node = Node::start().await;
    let go_on = std::sync::Arc::new(tokio::sync::Notify::new());
    *node.fakes.hooks.post_start_waits.lock() = Some(std::sync::Arc::clone(&go_on));
    let hook = json!({"postStart": {"exec": {"command": ["true"]}}});
    node.create(
        "web",
        json!({"containers": [{"name": "other", "image": "b"}, {"name": "main", "image": "a", "lifecycle": hook}]}),
    )
    .await;
    node.wait("web", |pod| container(pod, "other").ready).await;
    while node.fakes.hooks.calls.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let pod = node.wait("web", |pod| container(pod, "main").state.is_some()).await;
    let main = container(&pod, "main");
    assert_eq!(main.state.unwrap().waiting.unwrap().reason.as_deref(), Some("ContainerCreating"));
    assert!(!main.ready && main.started != Some(true) && main.container_id.is_none());
    assert_eq!(condition(&pod, "Ready"), "False");
    assert_eq!(node.fakes.probes.observed.lock()[pod.metadata.uid.as_ref().unwrap()], ["other"]);
    go_on.notify_one();
    let pod = node.ready("web").await;
    assert_eq!(container(&pod, "main").restart_count, 0);
    node.stop().await;
}

#[tokio::test]
async fn kernel_parameters_that_are_not_safe_are_refused() {
    let node = Node::start().await;
    let security = json!({"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]});
    node.create("web", json!({"securityContext": security, "containers": [{"name": "main", "image": "a"}]})).await;
    let pod = node.phase("web", "Failed").await;
    let status = pod.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("SysctlForbidden"));
    let text = "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted";
    assert_eq!(status.message.as_deref(), Some(text));
    assert!(node.cri.take_calls().is_empty());
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_fills_its_volume_is_evicted() {
    let mut node = Node::start().await;
    let mount = json!([{"name": "e", "mountPath": "/e"}]);
    let volume = json!([{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}]);
    node.create(
        "web",
        json!({"containers": [{"name": "main", "image": "a", "volumeMounts": mount}], "volumes": volume}),
    )
    .await;
    let pod = node.ready("web").await;
    let uid = pod.metadata.uid.unwrap();
    let directory = node.root.path().join("kubelet/pods").join(uid).join("volumes/kubernetes.io~empty-dir/e");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("big"), vec![1; 5 << 20]).unwrap();
    let pod = node
        .wait_while_time_passes("web", 60, |pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Failed"))
        .await;
    let text = "Usage of EmptyDir volume \"e\" exceeds the limit \"1Mi\". ";
    let status = pod.status.unwrap();
    assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("Evicted"), Some(text)));
    let evicted = node.events().into_iter().filter(|event| event.starts_with("Evicted")).count();
    assert_eq!(evicted, 1);
    node.stop().await;
}

/// Whoever deleted a pod with a grace period of a year freed it of every limit for that long: an end that has begun counted as
/// one that has come.
#[tokio::test]
async fn a_pod_that_ends_slowly_has_its_limits_until_it_has_ended() {
    let mut node = Node::start().await;
    let mount = json!([{"name": "e", "mountPath": "/e"}]);
    let volume = json!([{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}]);
    node.cri.script("main", Script { on_stop: OnStop::Ignore, ..Script::default() });
    // Deleted, or past its own deadline: both leave the pod its grace period.
    for (name, deadline) in [("deleted", None), ("overdue", Some(1))] {
        let containers = json!([{"name": "main", "image": "a", "volumeMounts": mount}]);
        let mut spec =
            json!({"containers": containers, "volumes": volume, "terminationGracePeriodSeconds": 31_536_000});
        if let Some(seconds) = deadline {
            spec["activeDeadlineSeconds"] = json!(seconds);
        }
        node.create(name, spec).await;
        let pod = node.ready(name).await;
        let uid = pod.metadata.uid.unwrap();
        if deadline.is_none() {
            node.delete(name, Some(31_536_000)).await;
            node.wait(name, |pod| pod.metadata.deletion_timestamp.is_some()).await;
        }
        let directory = node.root.path().join("kubelet/pods").join(&uid).join("volumes/kubernetes.io~empty-dir/e");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("big"), vec![1; 5 << 20]).unwrap();
        // The API shows the end when the container has ended.
        node.until_while_time_passes(name, 120, |pod| {
            pod.is_none_or(|pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Failed"))
        })
        .await;
        let events = node.events();
        assert_eq!(events.iter().filter(|event| event.starts_with("Evicted")).count(), 1, "{name}: {events:?}");
    }
    node.stop().await;
}
