//! Tables of container statuses -> phase and conditions, and of statuses -> patch.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use corten_api::core::v1::{ContainerStatus, Pod, PodStatus};
use corten_apimachinery::status::Status;
use corten_base::{Clock as _, Shutdown, SimClock, TaskSet};
use corten_client::{Answer, Body, Verb};
use corten_informer::testutil::{ScriptedServer, advance_to_next_deadline, object};
use serde_json::{Value, json};

use super::{
    RETRY_MAX, Remains, StatusManager, conditions,
    generate::{StatusInput, generate},
    patch::patch,
    phase::phase,
};
use crate::{interfaces::containers_of, pleg::records::PodRuntimeStatus};

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"uid": "u", "generation": 3}, "spec": spec})).unwrap()
}

/// `running`, `started`, `waiting`, `exit N` or `exit N waiting`.
fn status(name: &str, state: &str) -> ContainerStatus {
    let words: Vec<_> = state.split(' ').collect();
    let end = |code: &str| json!({"terminated": {"exitCode": code.parse::<i32>().unwrap()}});
    let status = match words[..] {
        ["running"] => json!({"state": {"running": {}}}),
        ["started"] => json!({"state": {"running": {}}, "started": true, "ready": true}),
        ["waiting"] => json!({"state": {"waiting": {}}}),
        ["exit", code] => json!({"state": end(code), "ready": code == "0"}),
        ["exit", code, "waiting"] => json!({"state": {"waiting": {}}, "lastState": end(code)}),
        _ => unreachable!("{state}"),
    };
    ContainerStatus { name: name.to_owned(), ..serde_json::from_value(status).unwrap() }
}

fn statuses(list: &[(&str, &str)]) -> Vec<ContainerStatus> {
    list.iter().map(|(name, state)| status(name, state)).collect()
}

#[track_caller]
fn check_phase(spec: &Value, list: &[(&str, &str)], is_over: bool, want: &str) {
    let has_initialized = list.iter().any(|(name, state)| *name == "a" && *state != "waiting");
    assert_eq!(phase(&pod(spec.clone()), &statuses(list), is_over, has_initialized), want, "{list:?}");
}

#[test]
fn the_phase_follows_the_containers() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]});
    let always = spec("Always");
    check_phase(&always, &[], false, "Pending");
    check_phase(&always, &[("a", "waiting"), ("b", "running")], false, "Pending");
    check_phase(&always, &[("a", "running"), ("b", "running")], false, "Running");
    check_phase(&always, &[("a", "running"), ("b", "exit 1")], false, "Running");
    check_phase(&always, &[("a", "exit 0"), ("b", "exit 1 waiting")], false, "Running");
    check_phase(&always, &[("a", "exit 0"), ("b", "exit 0")], true, "Succeeded");
    check_phase(&always, &[("a", "exit 0"), ("b", "exit 1")], true, "Failed");
    let never = spec("Never");
    check_phase(&never, &[("a", "exit 0"), ("b", "exit 0")], false, "Succeeded");
    check_phase(&never, &[("a", "exit 0"), ("b", "exit 2")], false, "Failed");
    check_phase(&never, &[("a", "exit 0"), ("b", "running")], false, "Running");
    let on_failure = spec("OnFailure");
    check_phase(&on_failure, &[("a", "exit 0"), ("b", "exit 2")], false, "Running");
    check_phase(&on_failure, &[("a", "exit 0"), ("b", "exit 0")], false, "Succeeded");
}

#[test]
fn the_phase_asks_the_containers_own_policies() {
    let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    let spec = |of_pod: &str, own: &str| {
        json!({"restartPolicy": of_pod, "containers": [{"name": "a"},
            {"name": "b", "restartPolicy": own, "restartPolicyRules": rules}]})
    };
    for (of_pod, own, a, b, want) in [
        ("Never", "Always", "exit 0", "exit 0", "Running"),
        ("Never", "OnFailure", "exit 1", "exit 0", "Failed"),
        ("Never", "OnFailure", "exit 0", "exit 1 waiting", "Running"),
        ("Never", "Never", "exit 0", "exit 42", "Running"),
        ("Never", "Never", "exit 0", "exit 42 waiting", "Running"),
        ("Never", "Never", "exit 0", "exit 1", "Failed"),
        ("Always", "Never", "exit 0 waiting", "exit 1", "Running"),
        ("OnFailure", "Never", "exit 0", "exit 1", "Failed"),
        ("OnFailure", "Never", "exit 0", "exit 0", "Succeeded"),
    ] {
        check_phase(&spec(of_pod, own), &[("a", a), ("b", b)], false, want);
    }
    // All of them say that they are over, so the pod's own policy has no say.
    let over = json!({"restartPolicy": "Always", "containers": [{"name": "a", "restartPolicy": "Never"}]});
    check_phase(&over, &[("a", "exit 0")], false, "Succeeded");
    check_phase(&over, &[("a", "exit 3")], false, "Failed");
}

#[test]
fn an_init_container_fails_the_pod_by_its_own_policy() {
    let spec = |of_pod: &str, own: &str| {
        let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
        json!({"restartPolicy": of_pod, "containers": [{"name": "a"}],
            "initContainers": [{"name": "i", "restartPolicy": own, "restartPolicyRules": rules}]})
    };
    for (of_pod, own, i, want) in [
        ("Always", "Never", "exit 1", "Failed"),
        ("Always", "Never", "exit 42 waiting", "Pending"),
        ("Never", "OnFailure", "exit 1 waiting", "Pending"),
        ("Never", "Never", "exit 1", "Failed"),
    ] {
        check_phase(&spec(of_pod, own), &[("i", i), ("a", "waiting")], false, want);
    }
}

#[test]
fn a_pod_is_pending_until_its_init_containers_are_done() {
    let spec = |policy: &str| {
        json!({"restartPolicy": policy, "containers": [{"name": "a"}],
            "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]})
    };
    check_phase(&spec("Always"), &[("i", "running"), ("s", "waiting"), ("a", "waiting")], false, "Pending");
    check_phase(&spec("Always"), &[("i", "exit 1 waiting"), ("s", "waiting"), ("a", "waiting")], false, "Pending");
    check_phase(&spec("Never"), &[("i", "exit 1"), ("s", "waiting"), ("a", "waiting")], false, "Failed");
    check_phase(&spec("Always"), &[("i", "exit 0"), ("s", "running"), ("a", "waiting")], false, "Pending");
    check_phase(&spec("Always"), &[("i", "exit 0"), ("s", "started"), ("a", "started")], false, "Running");
    // A sidecar that restarts does not take the pod back.
    check_phase(&spec("Always"), &[("i", "exit 0"), ("s", "exit 1 waiting"), ("a", "started")], false, "Running");
    check_phase(&spec("Never"), &[("i", "exit 0"), ("s", "exit 137"), ("a", "exit 0")], false, "Succeeded");
}

#[test]
fn conditions_name_what_is_missing() {
    let pod =
        pod(json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "initContainers": [{"name": "i"}],
        "readinessGates": [{"conditionType": "x/y"}]}));
    let list = statuses(&[("i", "running"), ("a", "running"), ("b", "waiting")]);
    let ready = conditions::containers_ready(&pod, &list, "Running");
    assert_eq!(ready.reason.as_deref(), Some("ContainersNotReady"));
    assert_eq!(
        ready.message.as_deref(),
        Some("containers with unknown status: [c], containers with unready status: [a b]")
    );
    assert_eq!(ready.observed_generation, Some(3));
    let waiting = statuses(&[("i", "running"), ("a", "waiting"), ("b", "waiting"), ("c", "waiting")]);
    let initialized = conditions::initialized(&pod, &waiting, "Pending");
    assert_eq!(
        (initialized.reason.as_deref(), initialized.message.as_deref()),
        (Some("ContainersNotInitialized"), Some("containers with incomplete status: [i]"))
    );
    assert_eq!(conditions::containers_ready(&pod, &list, "Failed").reason.as_deref(), Some("PodFailed"));
    let all = statuses(&[("i", "exit 0"), ("a", "started"), ("b", "started"), ("c", "started")]);
    let containers_ready = conditions::containers_ready(&pod, &all, "Running");
    assert_eq!(containers_ready.status, "True");
    let ready = conditions::ready(&pod, &[], &containers_ready);
    assert_eq!(
        (ready.reason.as_deref(), ready.message.as_deref()),
        (Some("ReadinessGatesNotReady"), Some("corresponding condition of pod readiness gate \"x/y\" does not exist."))
    );
}

#[test]
fn the_time_of_a_condition_changes_with_its_status_only() {
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let (then, now) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-01T00:01:00Z".parse().unwrap());
    let mut old = vec![conditions::condition(&pod, "Ready", false, "x", String::new())];
    conditions::stamp(&mut old, &[], then);
    let mut same = vec![conditions::condition(&pod, "Ready", false, "y", String::new())];
    conditions::stamp(&mut same, &old, now);
    assert_eq!(same[0].last_transition_time.as_ref().unwrap().0, then);
    let mut other = vec![conditions::condition(&pod, "Ready", true, "", String::new())];
    conditions::stamp(&mut other, &old, now);
    assert_eq!(other[0].last_transition_time.as_ref().unwrap().0, now);
}

#[test]
fn a_condition_that_turns_true_loses_its_reason() {
    let old = json!({"conditions": [
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [a]"},
    ]});
    let pod: Pod = serde_json::from_value(json!({"metadata": {"uid": "u"}, "status": old})).unwrap();
    let wanted = serde_json::from_value(json!({"conditions": [{"type": "Ready", "status": "True"}]})).unwrap();
    let want = json!({"metadata": {"uid": "u"}, "status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": null, "message": null},
    ]}});
    assert_eq!(patch(&pod, &wanted), Some(want));
}

#[test]
fn a_patch_holds_what_differs_and_leaves_others_conditions_alone() {
    let old = json!({"phase": "Pending", "message": "gone", "podIPs": [{"ip": "10.0.0.1"}], "podIP": "10.0.0.1",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "x/y", "status": "True"}]});
    let new = json!({"phase": "Running", "podIPs": [{"ip": "10.0.0.2"}], "podIP": "10.0.0.2", "conditions": [
        {"type": "PodScheduled", "status": "True"}, {"type": "x/y", "status": "False"}, {"type": "Ready", "status": "True"}]});
    let mut pod = pod(json!({"containers": []}));
    pod.status = Some(serde_json::from_value(old.clone()).unwrap());
    let wanted: PodStatus = serde_json::from_value(new).unwrap();
    assert_eq!(
        patch(&pod, &wanted).unwrap(),
        json!({"metadata": {"uid": "u"}, "status": {"phase": "Running", "message": null, "podIP": "10.0.0.2",
            "podIPs": [{"$patch": "replace"}, {"ip": "10.0.0.2"}], "conditions": [{"type": "Ready", "status": "True"}]}})
    );
    assert_eq!(patch(&pod, &serde_json::from_value(old).unwrap()), None);
}

/// The status of a pod that has ended and of which the runtime has nothing any more.
fn after_the_end(spec: Value, previous: Value) -> PodStatus {
    let pod = Arc::new(pod(spec));
    let previous: PodStatus = serde_json::from_value(previous).unwrap();
    generate(&StatusInput {
        pod: &pod,
        containers: &containers_of(&pod),
        runtime: &PodRuntimeStatus::unknown("u"),
        runtime_name: "corten",
        previous: &previous,
        is_disrupted: false,
        hooked: &std::collections::BTreeSet::new(),
        resize: &crate::allocation::ResizeState::default(),
        failures: &BTreeMap::new(),
        last_words: &BTreeMap::new(),
        probe: &|_, _| None,
        is_over: true,
        is_rejected: false,
        decree: None,
        host_ips: &[],
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    })
}

/// A failed init container ended its pod, and the containers that never had their turn were shown as lost: upstream shows
/// them as waiting, and `kubectl get pods` says `Init:Error`.
#[test]
fn containers_after_a_failed_init_container_go_on_waiting() {
    let ended = |name, code| json!({"name": name, "state": {"terminated": {"exitCode": code}}});
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "a"}],
        "initContainers": [{"name": "i"}, {"name": "j"}]});
    let show = |previous| {
        let status = after_the_end(spec.clone(), json!({"initContainerStatuses": previous}));
        let all: Vec<_> =
            [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten().collect();
        let states = all.into_iter().map(|status| {
            let state = status.state.unwrap();
            let waits = state.waiting.and_then(|waiting| waiting.reason);
            waits.or(state.terminated.map(|ended| ended.exit_code.to_string())).unwrap()
        });
        (states.collect::<Vec<_>>().join(" "), status.phase.unwrap())
    };
    let check = |previous: Value, want: &str| assert_eq!(show(previous), (want.to_owned(), "Failed".to_owned()));
    check(json!([ended("i", 1)]), "1 PodInitializing PodInitializing");
    check(json!([ended("i", 0), ended("j", 2)]), "0 2 PodInitializing");
    check(json!([ended("i", 0), ended("j", 0)]), "0 0 137");
    check(json!([]), "137 PodInitializing PodInitializing");
}

/// Four containers could say 4,096 bytes each.
#[test]
fn last_words_share_what_a_pod_may_say() {
    let ended =
        |name: &str| json!({"name": name, "state": {"terminated": {"exitCode": 0, "message": "x".repeat(4_096)}}});
    let check = |names: &[&str], want: usize| {
        let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        let previous: Vec<_> = names.iter().map(|name| ended(name)).collect();
        let spec = json!({"restartPolicy": "Never", "containers": containers});
        let status = after_the_end(spec, json!({"containerStatuses": previous}));
        let lengths = status
            .container_statuses
            .into_iter()
            .flatten()
            .map(|status| status.state.unwrap().terminated.unwrap().message.unwrap_or_default().len());
        assert_eq!(lengths.collect::<Vec<_>>(), vec![want; names.len()]);
    };
    check(&["a", "b", "c"], 4_096);
    check(&["a", "b", "c", "d"], 3_072);
}

#[test]
fn a_pod_that_has_ended_keeps_its_addresses() {
    let previous = json!({"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]});
    let status = after_the_end(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}), previous);
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(status.pod_ips.unwrap().len(), 1);
}

/// A status that could not be written for a while waited up to 1,000 seconds more after the server had come back.
#[tokio::test]
async fn statuses_are_written_soon_after_the_server_comes_back() {
    let (mut server, client) = ScriptedServer::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let (stop, shutdown) = Shutdown::new();
    let manager = StatusManager::new(client, clock.clone());
    let tasks = TaskSet::new("test");
    tasks.spawn("status", Arc::clone(&manager).run(shutdown));
    let set = |name: &str| {
        let mut pod = pod(json!({"containers": []}));
        pod.metadata.uid = Some(name.to_owned());
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.namespace = Some("ns".to_owned());
        manager.set(
            &Arc::new(pod),
            PodStatus { phase: Some("Running".to_owned()), ..PodStatus::default() },
            Remains::Containers,
        );
    };
    set("a");
    for _ in 0..20 {
        server.next().await.fail(Status::service_unavailable("cut"));
        let before = clock.monotonic();
        advance_to_next_deadline(&clock).await;
        assert!(clock.monotonic() - before <= RETRY_MAX);
    }
    server.next().await.fail(Status::service_unavailable("cut"));
    while clock.next_deadline().is_none() {
        tokio::task::yield_now().await;
    }
    let before = clock.monotonic();
    set("b");
    let call = server.next().await;
    assert_eq!(call.call.name, "b");
    call.object(object("ns/b", 7).uid("b").build());
    let call = server.next().await;
    assert_eq!((call.call.name.as_str(), clock.monotonic() - before), ("a", Duration::ZERO), "it does not wait");
    call.object(object("ns/a", 8).uid("a").build());
    stop.request();
    tasks.join().await.unwrap();
}

/// A pod with the annotation of a mirror, made through the API, was ending for ever, and its namespace with it.
#[tokio::test]
async fn a_mirror_of_no_static_pod_is_deleted() {
    let (mut server, client) = ScriptedServer::new();
    let (stop, shutdown) = Shutdown::new();
    let manager = StatusManager::new(client, SimClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let tasks = TaskSet::new("test");
    tasks.spawn("status", Arc::clone(&manager).run(shutdown));
    let mut mirror = pod(json!({"containers": []}));
    (mirror.metadata.name, mirror.metadata.namespace) = (Some("m".to_owned()), Some("ns".to_owned()));
    manager.delete_mirror(&Arc::new(mirror));
    let call = server.next().await;
    assert_eq!((call.call.verb, call.call.name.as_str()), (Verb::Delete, "m"));
    let Body::Tree(options) = &call.call.body else { panic!("{:?}", call.call.body) };
    assert_eq!(options.get("gracePeriodSeconds"), Some(&corten_apimachinery::value::Value::from(0_i64)));
    call.answer(Ok(Answer::Success(corten_apimachinery::value::Value::Null)));
    while manager.get("u").is_some() {
        tokio::task::yield_now().await;
    }
    stop.request();
    tasks.join().await.unwrap();
}
