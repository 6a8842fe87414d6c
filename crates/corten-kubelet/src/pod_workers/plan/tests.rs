//! Tables of (pod, runtime) -> actions.

use corten_cri::api::{
    ContainerMetadata, ContainerState, PodSandboxMetadata, PodSandboxNetworkStatus, PodSandboxState, PodSandboxStatus,
};
use serde_json::{Value, json};

use super::*;
use crate::{interfaces::containers_of, pleg::records::HASH};

/// One record of a container: name, state, exit code.
#[derive(Clone, Copy)]
enum Is {
    Created,
    Running,
    Exited(i32),
}

const NOW: i64 = 1_800_000_000;

fn record(name: &str, attempt: u32, is: Is) -> ContainerStatus {
    let (state, exit_code) = match is {
        Is::Created => (ContainerState::ContainerCreated, 0),
        Is::Running => (ContainerState::ContainerRunning, 0),
        Is::Exited(code) => (ContainerState::ContainerExited, code),
    };
    ContainerStatus {
        id: format!("{name}-{attempt}"),
        metadata: Some(ContainerMetadata { name: name.to_owned(), attempt }),
        state: state as i32,
        exit_code,
        created_at: i64::from(attempt) + 1,
        finished_at: if matches!(is, Is::Exited(_)) { NOW * 1_000_000_000 } else { 0 },
        annotations: [(HASH.to_owned(), "h".to_owned())].into(),
        ..ContainerStatus::default()
    }
}

fn sandbox(attempt: u32, ready: bool, containers: &[(&str, u32, Is)]) -> SandboxRecord {
    let state = if ready { PodSandboxState::SandboxReady } else { PodSandboxState::SandboxNotready };
    let status = PodSandboxStatus {
        id: format!("s{attempt}"),
        metadata: Some(PodSandboxMetadata { uid: "u".to_owned(), attempt, ..PodSandboxMetadata::default() }),
        state: state as i32,
        created_at: i64::from(attempt),
        network: Some(PodSandboxNetworkStatus { ip: "10.0.0.1".to_owned(), additional_ips: Vec::new() }),
        ..PodSandboxStatus::default()
    };
    SandboxRecord::new(status, containers.iter().map(|(name, attempt, is)| record(name, *attempt, *is)).collect(), 1)
}

/// A pod with one container `a`, unless the JSON says otherwise.
fn pod(spec: Value) -> Pod {
    let mut spec = spec;
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "a"}]);
    }
    serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec})).unwrap()
}

struct Case {
    pod: Pod,
    phase: Phase,
    sandboxes: Vec<SandboxRecord>,
    is_prepared: bool,
    started: Vec<&'static str>,
    failed_probes: Vec<(&'static str, ProbeKind)>,
    in_flight: Vec<Slot>,
    is_starting: bool,
    hooks_done: Vec<&'static str>,
    wanted: Vec<(&'static str, LinuxContainerResources)>,
    is_resized: bool,
}

impl Case {
    fn new(spec: Value, sandboxes: Vec<SandboxRecord>) -> Self {
        Self {
            pod: pod(spec),
            phase: Phase::Syncing,
            sandboxes,
            is_prepared: true,
            started: Vec::new(),
            failed_probes: Vec::new(),
            in_flight: Vec::new(),
            is_starting: false,
            hooks_done: Vec::new(),
            wanted: Vec::new(),
            is_resized: false,
        }
    }

    fn plan(&self) -> Plan {
        let mut runtime = PodRuntimeStatus::unknown("u");
        for record in self.sandboxes.clone() {
            runtime.put(record);
        }
        let containers = containers_of(&self.pod);
        plan(&Observed {
            pod: &self.pod,
            containers: &containers,
            hashes: &containers.iter().map(|it| (it.spec.name.clone(), "h".to_owned())).collect(),
            wanted: &self.wanted.iter().map(|(name, wanted)| (name.to_string(), wanted.clone())).collect(),
            is_resized: self.is_resized,
            phase: self.phase,
            is_prepared: self.is_prepared,
            runtime: &runtime,
            in_flight: &self.in_flight.iter().cloned().collect(),
            is_starting: self.is_starting,
            hooks_done: &self.hooks_done.iter().map(ToString::to_string).collect(),
            started: &self.started.iter().map(ToString::to_string).collect(),
            failed_probes: &self.failed_probes.iter().map(|(id, kind)| (id.to_string(), *kind)).collect(),
            restarts: &Restarts::default(),
            retry_at: &BTreeMap::new(),
            now: Timestamp::from_second(NOW).unwrap(),
        })
    }

    #[track_caller]
    fn check(&self, want: &[&str]) {
        assert_eq!(self.plan().actions.iter().map(show).collect::<Vec<_>>(), want);
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Prepare => "prepare".to_owned(),
        Action::RunSandbox { attempt } => format!("run sandbox {attempt}"),
        Action::StopSandboxes { ids, .. } => format!("stop sandbox {}", ids.join(" ")),
        Action::Start { container, attempt, .. } => format!("start {container} {attempt}"),
        Action::PreStop { id, grace, .. } => format!("pre-stop {id} {}s", grace.as_secs()),
        Action::Stop { id, grace, .. } => format!("stop {id} {}s", grace.as_secs()),
        Action::Resize { containers } => {
            let names: Vec<&str> = containers.iter().map(|(_, id)| id.as_str()).collect();
            format!("resize {}", names.join(" "))
        }
        Action::Collect(garbage) => {
            let containers: Vec<_> = garbage.containers.iter().map(|old| (&old.id, &old.log)).collect();
            format!("collect {containers:?} {:?}", garbage.sandboxes)
        }
    }
}

#[track_caller]
fn check(spec: Value, sandboxes: Vec<SandboxRecord>, want: &[&str]) {
    Case::new(spec, sandboxes).check(want);
}

use Is::{Created, Exited, Running};

#[test]
fn a_new_pod_is_prepared_gets_a_sandbox_and_then_its_containers() {
    let two = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    Case { is_prepared: false, ..Case::new(two.clone(), vec![]) }.check(&["prepare"]);
    check(two.clone(), vec![], &["run sandbox 0"]);
    let in_sandbox = Case::new(two.clone(), vec![sandbox(0, true, &[])]);
    in_sandbox.check(&["start a 0"]);
    // Its image may be pulled still, or its hook run: the next one waits.
    Case { is_starting: true, in_flight: vec![Slot::Container("a".to_owned())], ..in_sandbox }.check(&[]);
    check(two.clone(), vec![sandbox(0, true, &[("a", 0, Running)])], &["start b 0"]);
    check(two, vec![sandbox(0, true, &[("a", 0, Running), ("b", 0, Running)])], &[]);
}

#[test]
fn what_is_under_way_is_not_begun_twice() {
    Case { in_flight: vec![Slot::Pod], ..Case::new(json!({}), vec![]) }.check(&[]);
    let in_flight = vec![Slot::Container("a".to_owned())];
    Case { in_flight, ..Case::new(json!({}), vec![sandbox(0, true, &[])]) }.check(&[]);
}

#[test]
fn pods_found_running_are_taken_over() {
    Case { is_prepared: false, ..Case::new(json!({}), vec![sandbox(0, true, &[("a", 0, Running)])]) }
        .check(&["prepare"]);
}

#[test]
fn restart_policies_decide_about_containers_that_ended() {
    for (policy, code, want) in [
        ("Always", 0, true),
        ("Always", 1, true),
        ("OnFailure", 0, false),
        ("OnFailure", 1, true),
        ("Never", 0, false),
        ("Never", 1, false),
    ] {
        let want: &[&str] = if want { &["start a 1"] } else { &[] };
        check(json!({"restartPolicy": policy}), vec![sandbox(0, true, &[("a", 0, Exited(code))])], want);
    }
}

/// A rule that restarts a container.
fn rule(operator: &str, values: &[i32]) -> Value {
    json!({"action": "Restart", "exitCodes": {"operator": operator, "values": values}})
}

#[test]
fn a_containers_own_policy_comes_before_the_pods_and_its_rules_before_both() {
    for (of_pod, own, rules, code, want) in [
        ("Never", "Always", json!([]), 0, true),
        ("Never", "OnFailure", json!([]), 0, false),
        ("Never", "OnFailure", json!([]), 1, true),
        ("Always", "Never", json!([]), 1, false),
        ("Always", "OnFailure", json!([]), 0, false),
        ("Never", "Never", json!([rule("In", &[41, 42])]), 42, true),
        ("Never", "Never", json!([rule("In", &[41, 42])]), 1, false),
        ("Always", "Never", json!([rule("NotIn", &[0, 1])]), 42, true),
        ("Always", "Never", json!([rule("NotIn", &[0, 1])]), 1, false),
        ("Always", "OnFailure", json!([rule("In", &[0])]), 0, true),
        // No rule says anything about 1: the container's policy does.
        ("Never", "OnFailure", json!([rule("In", &[42]), rule("In", &[43])]), 1, true),
        ("Never", "Never", json!([rule("In", &[42]), rule("In", &[43])]), 43, true),
    ] {
        let container = json!({"name": "a", "restartPolicy": own, "restartPolicyRules": rules});
        let spec = json!({"restartPolicy": of_pod, "containers": [container]});
        let want: &[&str] = if want { &["start a 1"] } else { &[] };
        check(spec, vec![sandbox(0, true, &[("a", 0, Exited(code))])], want);
    }
}

#[test]
fn an_init_container_that_failed_follows_its_own_policy() {
    for (of_pod, own, rules, code, want) in [
        ("Always", "Never", json!([]), 1, &[][..]),
        ("Never", "OnFailure", json!([]), 1, &["start i 1"]),
        ("Never", "Never", json!([rule("In", &[42])]), 42, &["start i 1"]),
        ("Never", "Never", json!([rule("In", &[42])]), 1, &[]),
        // What has succeeded is over, whatever the rules say.
        ("Never", "Never", json!([rule("In", &[0])]), 0, &["start a 0"]),
    ] {
        let container = json!({"name": "i", "restartPolicy": own, "restartPolicyRules": rules});
        let spec = json!({"restartPolicy": of_pod, "initContainers": [container]});
        check(spec, vec![sandbox(0, true, &[("i", 0, Exited(code))])], want);
    }
}

#[test]
fn the_event_of_a_failed_probe_asks_the_policy_and_no_rule() {
    for (of_pod, own, want) in [
        ("Always", json!({}), true),
        ("OnFailure", json!({}), true),
        ("Never", json!({}), false),
        ("Never", json!({"restartPolicy": "OnFailure"}), true),
        ("Always", json!({"restartPolicy": "Never", "restartPolicyRules": [rule("NotIn", &[0])]}), false),
    ] {
        let mut container = own;
        container["name"] = json!("a");
        container["livenessProbe"] = json!({});
        let spec = json!({"restartPolicy": of_pod, "containers": [container]});
        let running = vec![sandbox(0, true, &[("a", 0, Running)])];
        let plan = Case { failed_probes: vec![("a-0", ProbeKind::Liveness)], ..Case::new(spec, running) }.plan();
        let why = KillReason::ProbeFailed { kind: ProbeKind::Liveness, restarts: want };
        assert!(matches!(&plan.actions[..], [Action::Stop { why: is, .. }] if *is == why), "{:?}", plan.actions);
    }
}

#[test]
fn a_container_that_has_ended_for_good_stays_so_in_another_sandbox() {
    // It was started again beside those that restart, and did its work twice.
    let spec = json!({"restartPolicy": "Always", "containers": [
        {"name": "a", "restartPolicy": "Never"}, {"name": "b"}]});
    let old = sandbox(0, false, &[("a", 0, Exited(0)), ("b", 0, Exited(137))]);
    check(spec, vec![old, sandbox(1, true, &[])], &["start b 1"]);
    // Without another that restarts, no sandbox is made for it; with an own policy, one is.
    let spec = |own: &str| json!({"restartPolicy": "Never", "containers": [{"name": "a", "restartPolicy": own}]});
    let lost = || vec![sandbox(0, false, &[("a", 0, Exited(137))])];
    check(spec("Never"), lost(), &[]);
    check(spec("Always"), lost(), &["run sandbox 1"]);
}

#[test]
fn a_container_that_was_made_and_not_started_is_made_anew() {
    check(json!({}), vec![sandbox(0, true, &[("a", 0, Created)])], &["start a 1"]);
}

#[test]
fn init_containers_run_one_after_the_other() {
    let spec = json!({"initContainers": [{"name": "i"}, {"name": "j"}]});
    check(spec.clone(), vec![sandbox(0, true, &[])], &["start i 0"]);
    check(spec.clone(), vec![sandbox(0, true, &[("i", 0, Running)])], &[]);
    check(spec.clone(), vec![sandbox(0, true, &[("i", 0, Exited(1))])], &["start i 1"]);
    check(spec.clone(), vec![sandbox(0, true, &[("i", 0, Exited(0))])], &["start j 0"]);
    check(spec.clone(), vec![sandbox(0, true, &[("i", 0, Exited(0)), ("j", 0, Exited(0))])], &["start a 0"]);
    // Initialised once is initialised for ever, also when records were collected.
    check(spec, vec![sandbox(0, true, &[("a", 0, Exited(1))])], &["start a 1"]);
}

#[test]
fn a_sidecar_lets_the_next_one_start_once_it_has_started() {
    let spec = json!({"initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "j"}]});
    let running = vec![sandbox(0, true, &[("s", 0, Running)])];
    check(spec.clone(), running.clone(), &[]);
    Case { started: vec!["s-0"], ..Case::new(spec.clone(), running) }.check(&["start j 0"]);
    check(spec.clone(), vec![sandbox(0, true, &[("s", 0, Exited(0)), ("j", 0, Running)])], &["start s 1"]);
    check(spec, vec![sandbox(0, true, &[("s", 0, Exited(0)), ("j", 0, Exited(0)), ("a", 0, Running)])], &["start s 1"]);
}

#[test]
fn ephemeral_containers_start_once() {
    let spec = json!({"ephemeralContainers": [{"name": "e"}]});
    check(spec.clone(), vec![sandbox(0, true, &[("a", 0, Running)])], &["start e 0"]);
    check(spec, vec![sandbox(0, true, &[("a", 0, Running), ("e", 0, Exited(1))])], &[]);
}

#[test]
fn probes_and_changed_specs_end_containers() {
    let running = vec![sandbox(0, true, &[("a", 0, Running)])];
    let spec = json!({"terminationGracePeriodSeconds": 20,
        "containers": [{"name": "a", "livenessProbe": {"terminationGracePeriodSeconds": 5}}]});
    Case { failed_probes: vec![("a-0", ProbeKind::Liveness)], ..Case::new(spec.clone(), running.clone()) }
        .check(&["stop a-0 5s"]);
    Case { failed_probes: vec![("a-0", ProbeKind::Startup)], ..Case::new(spec, running) }.check(&["stop a-0 20s"]);
    let mut changed = record("a", 0, Running);
    changed.annotations.insert(HASH.to_owned(), "old".to_owned());
    let changed = SandboxRecord::new(sandbox(0, true, &[]).status, vec![changed], 1);
    check(json!({}), vec![changed], &["stop a-0 30s"]);
}

#[test]
fn another_sandbox_takes_the_place_of_a_lost_one() {
    check(json!({}), vec![sandbox(0, false, &[("a", 0, Exited(137))])], &["run sandbox 1"]);
    check(json!({}), vec![sandbox(0, false, &[("a", 0, Running)])], &["stop a-0 30s"]);
    check(json!({}), vec![sandbox(0, true, &[]), sandbox(1, true, &[])], &["stop sandbox s1 s0"]);
    check(json!({"hostNetwork": true}), vec![sandbox(0, true, &[])], &["stop sandbox s0"]);
    // Nothing is left to run.
    check(json!({"restartPolicy": "Never"}), vec![sandbox(0, false, &[("a", 0, Exited(137))])], &[]);
    check(json!({"restartPolicy": "OnFailure"}), vec![sandbox(0, false, &[("a", 0, Exited(0))])], &[]);
    // In the new one everything begins again.
    let spec = json!({"initContainers": [{"name": "i"}]});
    let old = sandbox(0, false, &[("i", 0, Exited(0)), ("a", 0, Exited(137))]);
    check(spec, vec![old, sandbox(1, true, &[])], &["start i 1"]);
}

#[test]
fn a_pod_ends_with_its_containers_then_its_sidecars_then_its_sandbox() {
    let spec = json!({"initContainers": [
        {"name": "s", "restartPolicy": "Always"}, {"name": "t", "restartPolicy": "Always"}]});
    let since = Timestamp::from_second(NOW - 10).unwrap();
    let end = |containers: &[(&str, u32, Is)], ready| Case {
        phase: Phase::Terminating { grace: Duration::from_secs(30), since },
        ..Case::new(spec.clone(), vec![sandbox(0, ready, containers)])
    };
    let all = [("s", 0, Running), ("t", 0, Running), ("a", 0, Running)];
    end(&all, true).check(&["pre-stop s-0 20s", "pre-stop t-0 20s", "stop a-0 20s"]);
    let told = |containers: &[(&str, u32, Is)]| Case { hooks_done: vec!["s-0", "t-0"], ..end(containers, true) };
    told(&all).check(&["stop a-0 20s"]);
    assert_eq!(told(&all).plan().wake_at, Timestamp::from_second(NOW + 20).ok());
    told(&[("s", 0, Running), ("t", 0, Running), ("a", 0, Exited(0))]).check(&["stop t-0 20s"]);
    told(&[("s", 0, Running), ("t", 0, Exited(0))]).check(&["stop s-0 20s"]);
    end(&[("s", 0, Running), ("t", 0, Exited(0))], true).check(&["pre-stop s-0 20s"]);
    // Nobody is waited for once time is up.
    let late = Phase::Terminating { grace: Duration::from_secs(10), since };
    Case { phase: late, ..told(&all) }.check(&["stop a-0 2s", "stop s-0 2s", "stop t-0 2s"]);
    end(&[("s", 0, Exited(0))], true).check(&["stop sandbox s0"]);
    let last = end(&[("s", 0, Exited(0))], false).plan();
    assert!(last.actions.is_empty() && last.has_ended);
}

#[test]
fn only_the_newest_end_of_a_container_is_kept() {
    let records = [("a", 0, Exited(1)), ("a", 1, Exited(1)), ("a", 2, Running)];
    check(json!({}), vec![sandbox(0, true, &records)], &["collect [(\"a-0\", \"\")] []"]);
    let old = sandbox(0, false, &[("a", 0, Exited(1))]);
    let new = sandbox(1, true, &[("a", 1, Exited(1)), ("a", 2, Running)]);
    check(json!({}), vec![old, new], &["collect [(\"a-0\", \"\")] [\"s0\"]"]);
}

/// A kubelet that was killed between making and starting containers left one each time, with its process.
#[test]
fn a_container_that_was_made_but_never_started_goes_once_another_has_its_place() {
    let records = [("a", 0, Exited(1)), ("a", 1, Created), ("a", 2, Created), ("a", 3, Running)];
    let gone = "collect [(\"a-2\", \"\"), (\"a-1\", \"\")] []";
    check(json!({}), vec![sandbox(0, true, &records)], &[gone]);
}

fn limits(cpu_shares: i64, memory_limit_in_bytes: i64) -> LinuxContainerResources {
    LinuxContainerResources { cpu_shares, memory_limit_in_bytes, ..LinuxContainerResources::default() }
}

#[test]
fn running_containers_follow_what_is_set_aside_for_them() {
    let with = |has: LinuxContainerResources| {
        let mut record = record("a", 0, Running);
        record.resources = Some(corten_cri::api::ContainerResources { linux: Some(has) });
        vec![SandboxRecord::new(sandbox(0, true, &[]).status, vec![record], 1)]
    };
    let case = |spec: Value, wants| Case { wanted: vec![("a", wants)], ..Case::new(spec, with(limits(100, 1 << 20))) };
    case(json!({}), limits(100, 1 << 20)).check(&[]);
    case(json!({}), limits(200, 1 << 20)).check(&["resize a-0"]);
    case(json!({}), limits(100, 2 << 20)).check(&["resize a-0"]);
    // The control group alone: its container does not run now.
    Case { is_resized: true, ..case(json!({}), limits(100, 1 << 20)) }.check(&["resize "]);
    // A runtime that does not say what its containers have.
    Case { wanted: vec![("a", limits(200, 1))], ..Case::new(json!({}), with(limits(0, 0))) }.check(&[]);

    let policy = json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
    let spec = json!({"containers": [{"name": "a", "resizePolicy": policy}]});
    case(spec.clone(), limits(200, 1 << 20)).check(&["resize a-0"]);
    Case { is_resized: true, ..case(spec.clone(), limits(200, 2 << 20)) }.check(&["stop a-0 30s"]);
    // While the container stops, the others are not held up, and the control group waits for it.
    let stopping = vec![Slot::Container("a".to_owned())];
    Case { is_resized: true, in_flight: stopping, ..case(spec, limits(200, 2 << 20)) }.check(&[]);
}

/// A container was told to wait because of its own start, which had just been counted.
#[test]
fn a_start_under_way_is_not_held_back_by_itself() {
    let spec = json!({});
    let mut case = Case::new(spec, vec![sandbox(1, true, &[]), sandbox(0, false, &[("a", 0, Exited(255))])]);
    case.in_flight = vec![Slot::Container("a".to_owned())];
    let plan = case.plan();
    assert!(plan.actions.is_empty() && plan.waiting.is_empty() && plan.wake_at.is_none());
}

#[test]
fn begun_seconds_of_a_grace_period_are_not_counted() {
    for (grace, used_millis, want_secs) in
        [(4, 0, 4), (4, 20, 4), (4, 1_020, 3), (4, 1_999, 3), (4, 9_000, 2), (1, 0, 2)]
    {
        let left = grace_left(Duration::from_secs(grace), Duration::from_millis(used_millis));
        assert_eq!(left, Duration::from_secs(want_secs), "{grace} s, {used_millis} ms used");
    }
}
