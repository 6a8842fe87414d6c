//! How containers begin, share, end and are started again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use corten_base::SystemClock;
use corten_e2e::{Kubectl, Machine, eventually, http_get, in_sandbox, side_by_side};

#[test]
fn containers_begin_share_and_end_as_told() {
    in_sandbox("lifecycle::containers_begin_share_and_end_as_told", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("sidecars", sidecars_start_before_and_end_after),
                ("init-order", a_failed_init_container_keeps_the_others_waiting),
                ("shared-processes", processes_are_shared),
                ("copied", a_copy_is_debugged_with_shared_processes),
                ("grace", who_ignores_the_signal_is_killed_after_the_grace_period),
                ("hooks", a_failed_hook_is_said),
                ("messages", the_last_words_are_kept),
                ("deadline", a_pod_has_a_deadline),
                ("on-failure", a_failure_is_tried_again_and_a_success_is_not),
                ("own-policies", containers_have_restart_policies_of_their_own),
                ("names", a_pod_has_names),
                ("seen-from-outside", the_kubelet_tells_what_runs),
                ("rotation", a_long_log_is_rotated_and_followed_on),
            ],
        )
    });
}

const SIDECAR: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 10
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: side
    image: busybox:1.28
    restartPolicy: Always
    command: ['sh', '-c', 'trap "echo side ends; exit 0" TERM; echo page > /shared/index.html; httpd -p 80 -h /shared; while true; do sleep 0.1; done']
    startupProbe: {httpGet: {path: /index.html, port: 80}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: init
    image: busybox:1.28
    command: ['sh', '-c', 'wget -q -O - http://localhost/index.html']
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'wget -q -O - http://localhost/index.html; until test -e /shared/go; do sleep 0.1; done']
    volumeMounts: [{name: shared, mountPath: /shared}]
"#;

fn sidecars_start_before_and_end_after(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SIDECAR)?;
    kubectl.ready("p");
    // Sidecars count as containers.
    let shown = kubectl.ok(&["get", "pod", "p", "--no-headers"]);
    ensure!(shown.contains("2/2") && shown.contains("Running"), "{shown}");
    for container in ["init", "c"] {
        let log = kubectl.ok(&["logs", "p", "-c", container]);
        ensure!(log == "page\n", "{container}: {log}");
    }
    kubectl.inside("p", "c", "touch /shared/go");
    kubectl.reaches("p", "Succeeded");
    let status = &kubectl.json(&["get", "pod", "p"])["status"];
    let ended = |status: &serde_json::Value| status["state"]["terminated"].clone();
    let (side, main) = (ended(&status["initContainerStatuses"][0]), ended(&status["containerStatuses"][0]));
    ensure!(side["exitCode"] == 0 && main["exitCode"] == 0, "{status}");
    ensure!(side["finishedAt"].as_str() >= main["finishedAt"].as_str(), "{status}");
    ensure!(status["initContainerStatuses"][0]["restartCount"] == 0, "{status}");
    let log = kubectl.ok(&["logs", "p", "-c", "side"]);
    ensure!(log == "side ends\n", "{log}");
    Ok(())
}

const FAILED_INIT: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  initContainers:
  - {name: bad, image: 'busybox:1.28', command: ['sh', '-c', 'exit 3']}
  - {name: never, image: 'busybox:1.28', command: ['true']}
  containers:
  - {name: c, image: 'busybox:1.28', command: ['true']}
"#;

fn a_failed_init_container_keeps_the_others_waiting(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(FAILED_INIT)?;
    kubectl.reaches("p", "Failed");
    let shown = kubectl.ok(&["get", "pod", "p", "--no-headers"]);
    ensure!(shown.contains("Init:Error") && shown.contains("0/1"), "{shown}");
    let status = &kubectl.json(&["get", "pod", "p"])["status"];
    ensure!(status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3, "{status}");
    for waiting in [&status["initContainerStatuses"][1], &status["containerStatuses"][0]] {
        ensure!(waiting["state"]["waiting"]["reason"] == "PodInitializing", "{status}");
    }
    Ok(())
}

const SHARED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'busybox:1.28', command: [sleep, '3601']}
  - {name: other, image: 'busybox:1.28', command: [sleep, '3602']}
"#;

fn processes_are_shared(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SHARED)?;
    kubectl.ready("p");
    let seen = kubectl.inside("p", "c", "ps -o pid,args");
    ensure!(seen.contains("sleep 3601") && seen.contains("sleep 3602"), "{seen}");
    ensure!(!seen.lines().any(|line| line.split_whitespace().eq(["1", "sleep", "3601"])), "{seen}");
    // What the other container sees of this one's files.
    let script = "pid=$(ps -o pid,args | grep '[s]leep 3602' | awk '{print $1}'); test -e /proc/$pid/root/bin/busybox && echo yes";
    let root = kubectl.inside("p", "c", script);
    ensure!(root == "yes\n", "{root}");
    Ok(())
}

fn a_copy_is_debugged_with_shared_processes(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["run", "p", "--image=busybox:1.28", "--", "sleep", "3603"]);
    kubectl.ready("p");
    let script = "until ps | grep -q '[s]leep 3603'; do sleep 0.1; done; echo seen";
    kubectl.ok(&[
        "debug",
        "p",
        "--image=busybox:1.28",
        "--profile=general",
        "--copy-to=copy",
        "--share-processes",
        "-c",
        "debugger",
        "--",
        "sh",
        "-c",
        script,
    ]);
    eventually("the debugger sees the other container", || {
        let log = kubectl.run(&["logs", "copy", "-c", "debugger"])?;
        ensure!(log.success && log.out.contains("seen\n"), "{log:?}");
        Ok(())
    })
}

const DEAF: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 3
  containers:
  - {name: c, image: 'busybox:1.28', command: ['sh', '-c', 'trap "" TERM; while true; do sleep 0.2; done']}
"#;

fn who_ignores_the_signal_is_killed_after_the_grace_period(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(DEAF)?;
    kubectl.ready("p");
    let clock = SystemClock::shared();
    let before = clock.monotonic();
    kubectl.ok(&["delete", "pod", "p"]);
    let took = clock.monotonic() - before;
    ensure!(took >= Duration::from_millis(2900) && took < Duration::from_secs(20), "{took:?}");
    let events = kubectl.ok(&["get", "events", "--field-selector=involvedObject.name=p,reason=Killing"]);
    ensure!(events.contains("Stopping container c"), "{events}");
    Ok(())
}

const BAD_HOOKS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: begins}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    lifecycle: {postStart: {exec: {command: ['false']}}}
---
apiVersion: v1
kind: Pod
metadata: {name: ends}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.2; done']
    lifecycle: {preStop: {exec: {command: ['false']}}}
"#;

fn a_failed_hook_is_said(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(BAD_HOOKS)?;
    kubectl.ready("ends");
    kubectl.ok(&["delete", "pod", "ends"]);
    let events = kubectl.ok(&["get", "events", "--field-selector=involvedObject.name=ends"]);
    ensure!(events.contains("FailedPreStopHook") && events.contains("PreStopHook failed"), "{events}");
    kubectl.describes("begins", &["FailedPostStartHook", "PostStartHook failed"])?;
    Ok(())
}

const LAST_WORDS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: file}
spec:
  restartPolicy: Never
  containers:
  - {name: c, image: 'busybox:1.28', command: ['sh', '-c', 'echo in the log; printf "the last words" > /dev/termination-log; exit 4']}
---
apiVersion: v1
kind: Pod
metadata: {name: elsewhere}
spec:
  restartPolicy: Never
  containers:
  - {name: c, image: 'busybox:1.28', terminationMessagePath: /tmp/words, command: ['sh', '-c', 'printf "said elsewhere" > /tmp/words']}
---
apiVersion: v1
kind: Pod
metadata: {name: log}
spec:
  restartPolicy: Never
  containers:
  - {name: c, image: 'busybox:1.28', terminationMessagePolicy: FallbackToLogsOnError, command: ['sh', '-c', 'echo one; echo two >&2; exit 1']}
"#;

fn the_last_words_are_kept(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(LAST_WORDS)?;
    for (pod, code, reason, message) in [
        ("file", 4, "Error", "the last words"),
        ("elsewhere", 0, "Completed", "said elsewhere"),
        ("log", 1, "Error", "one\ntwo\n"),
    ] {
        let status =
            kubectl.container_status(pod, "it has ended", |status| status["state"]["terminated"].is_object())?;
        let state = &status["state"]["terminated"];
        ensure!(
            state["exitCode"] == code && state["reason"] == reason && state["message"] == message,
            "{pod}: {state}"
        );
        for time in ["startedAt", "finishedAt"] {
            ensure!(state[time].as_str().is_some_and(|time| time.starts_with("20")), "{pod}: {state}");
        }
    }
    Ok(())
}

const DEADLINE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  activeDeadlineSeconds: 2
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'busybox:1.28', command: [sleep, '3600']}
"#;

fn a_pod_has_a_deadline(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(DEADLINE)?;
    kubectl.reaches("p", "Failed");
    let status = &kubectl.json(&["get", "pod", "p"])["status"];
    ensure!(
        status["reason"] == "DeadlineExceeded"
            && status["message"] == "Pod was active on the node longer than the specified deadline",
        "{status}"
    );
    Ok(())
}

const ON_FAILURE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: OnFailure
  volumes: [{name: kept, emptyDir: {}}]
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'test -e /kept/tried && exit 0; touch /kept/tried; exit 9']
    volumeMounts: [{name: kept, mountPath: /kept}]
"#;

fn a_failure_is_tried_again_and_a_success_is_not(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(ON_FAILURE)?;
    kubectl.reaches("p", "Succeeded");
    let shown = kubectl.ok(&["get", "pod", "p", "--no-headers"]);
    ensure!(shown.contains("Completed") && shown.contains("0/1"), "{shown}");
    let status = kubectl.container_status("p", "it has ended", |_| true)?;
    ensure!(status["restartCount"] == 1 && status["lastState"]["terminated"]["exitCode"] == 9, "{status}");
    Ok(())
}

const OWN_POLICIES: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: rule}
spec:
  restartPolicy: Never
  volumes: [{name: kept, emptyDir: {}}]
  initContainers:
  - name: init
    image: busybox:1.28
    restartPolicy: OnFailure
    command: ['sh', '-c', 'test -e /kept/init && exit 0; touch /kept/init; exit 1']
    volumeMounts: [{name: kept, mountPath: /kept}]
  containers:
  - name: c
    image: busybox:1.28
    restartPolicy: Never
    restartPolicyRules:
    - {action: Restart, exitCodes: {operator: In, values: [42]}}
    command: ['sh', '-c', 'test -e /kept/tried && exit 3; touch /kept/tried; exit 42']
    volumeMounts: [{name: kept, mountPath: /kept}]
---
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'busybox:1.28', restartPolicy: Never, command: ['sh', '-c', 'exit 5']}
  - {name: stays, image: 'busybox:1.28', command: [sleep, '3600']}
---
apiVersion: v1
kind: Pod
metadata: {name: over}
spec:
  containers:
  - {name: c, image: 'busybox:1.28', restartPolicy: Never, command: ['true']}
---
apiVersion: v1
kind: Pod
metadata: {name: always}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'busybox:1.28', restartPolicy: Always, command: ['true']}
"#;

fn containers_have_restart_policies_of_their_own(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(OWN_POLICIES)?;
    let of = |pod: &str, exit_code: i32, restarts: i32| {
        kubectl.container_status(pod, "it has ended for good", |status| {
            status["state"]["terminated"]["exitCode"] == exit_code && status["restartCount"] == restarts
        })
    };
    // 42 is started again by the rule, 3 is not; the init container's failure does not end the pod.
    kubectl.reaches("rule", "Failed");
    let status = of("rule", 3, 1)?;
    ensure!(status["lastState"]["terminated"]["exitCode"] == 42, "{status}");
    let status = &kubectl.json(&["get", "pod", "rule"])["status"]["initContainerStatuses"][0];
    ensure!(status["restartCount"] == 1 && status["state"]["terminated"]["exitCode"] == 0, "{status}");
    kubectl.container_status("always", "it was started again", |status| status["restartCount"].as_i64() >= Some(2))?;
    for (pod, phase) in [("never", "Running"), ("always", "Running"), ("over", "Succeeded")] {
        kubectl.reaches(pod, phase);
    }
    // Time enough for a restart has passed with the other pods.
    of("never", 5, 0)?;
    let wrong = OWN_POLICIES
        .replace("name: rule", "name: wrong")
        .replace("    restartPolicy: Never\n    restartPolicyRules", "    restartPolicyRules");
    let refused = kubectl.run_with(&["apply", "-f", "-"], &wrong)?;
    let want =
        "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used";
    ensure!(!refused.success && refused.err.contains(want), "{}", refused.err);
    Ok(())
}

const NAMED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  hostname: me
  subdomain: family
  terminationGracePeriodSeconds: 0
  hostAliases: [{ip: 192.0.2.9, hostnames: [far, far.away]}]
  containers:
  - {name: c, image: 'busybox:1.28', command: [sleep, '3600'], workingDir: /tmp}
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  hostPID: true
  hostIPC: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'busybox:1.28', command: [sleep, '3600']}
"#;

fn a_pod_has_names(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(NAMED)?;
    kubectl.ready("p");
    let namespace = kubectl.namespace();
    let long = format!("me.family.{namespace}.svc.cluster.local");
    kubectl.says(
        "p",
        &[
            ("hostname", "me"),
            ("pwd", "/tmp"),
            ("grep ^192.0.2.9 /etc/hosts", "192.0.2.9\tfar\tfar.away"),
            ("grep -c \"$(hostname -i | cut -d' ' -f1)\" /etc/hosts", "1"),
            ("tail -4 /etc/hosts | grep me.family | cut -f2,3", &format!("{long}\tme")),
        ],
    )?;
    kubectl.ready("host");
    let link = |name: &str| anyhow::Ok(std::fs::read_link(format!("/proc/self/ns/{name}"))?.display().to_string());
    for namespace in ["net", "pid", "ipc"] {
        kubectl.says("host", &[(&format!("readlink /proc/self/ns/{namespace}"), &link(namespace)?)])?;
    }
    let node = nix::unistd::gethostname()?;
    kubectl.says("host", &[("hostname", node.to_str().context("a host name is text")?)])?;
    let address = kubectl.ok(&["get", "pod", "host", "-o", "jsonpath={.status.podIP} {.status.hostIP}"]);
    ensure!(address == "10.99.0.2 10.99.0.2", "{address}");
    Ok(())
}

/// What it says takes more than the 10 MiB that a log may have.
const TALKER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  restartPolicy: Never
  containers:
  - {name: c, image: 'busybox:1.28', command: ['sh', '-c', 'seq 1 300000; until test -e /tmp/go; do sleep 0.1; done; echo the last line']}
"#;

fn a_long_log_is_rotated_and_followed_on(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(TALKER)?;
    kubectl.ready("talker");
    let following = kubectl.start(&["logs", "-f", "talker"])?;
    // Reads on while the rest goes on here.
    let followed = std::thread::spawn(move || following.wait_with_output());
    let uid = kubectl.json(&["get", "pod", "talker"])["metadata"]["uid"].as_str().context("a UID")?.to_owned();
    let directory = format!("/var/log/pods/{}_talker_{uid}/c", kubectl.namespace());
    eventually("the log is rotated", || {
        let mut names: Vec<_> =
            std::fs::read_dir(&directory)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
        names.sort();
        let rotated = names.get(1).is_some_and(|name| name.to_string_lossy().starts_with("0.log.2"));
        ensure!(names.len() == 2 && names[0] == "0.log" && rotated, "{names:?}");
        Ok(())
    })?;
    kubectl.inside("talker", "c", "touch /tmp/go");
    kubectl.reaches("talker", "Succeeded");
    let followed = followed.join().ok().context("it does not panic")??;
    let said = String::from_utf8(followed.stdout)?;
    let expected = (1..=300_000).map(|number| number.to_string()).chain(["the last line".to_owned()]);
    let differs = said.lines().map(str::to_owned).zip(expected).find(|(got, want)| got != want);
    ensure!(differs.is_none() && said.lines().count() == 300_001, "{differs:?}, {} lines", said.lines().count());
    // What was rotated is not read any more, as upstream.
    let rest = kubectl.ok(&["logs", "talker"]);
    ensure!(rest.ends_with("the last line\n") && rest.len() < said.len(), "{} bytes", rest.len());
    kubectl.ok(&["delete", "pod", "talker", "--grace-period=1"]);
    eventually("the logs are gone", || {
        ensure!(!std::path::Path::new(&directory).exists(), "{directory} is there");
        Ok(())
    })?;
    Ok(())
}

const PROBED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  containers:
  - {name: c, image: 'busybox:1.28', command: [sleep, '3600'], readinessProbe: {exec: {command: ['true']}, periodSeconds: 1}}
"#;

fn the_kubelet_tells_what_runs(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(PROBED)?;
    kubectl.ready("probed");
    let node = kubectl.json(&["get", "pod", "probed"])["spec"]["nodeName"].as_str().context("a node")?.to_owned();
    let namespace = kubectl.namespace();
    for (path, wanted) in [
        ("runningpods/", "\"name\":\"probed\"".to_owned()),
        ("metrics/probes", format!("container=\"c\",namespace=\"{namespace}\",pod=\"probed\"")),
        ("metrics/cadvisor", format!("namespace=\"{namespace}\",pod=\"probed\"")),
    ] {
        let page = kubectl.ok(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/{path}")]);
        ensure!(page.contains(&wanted), "{path}: {page}");
    }
    let healthy = http_get(std::net::SocketAddr::from(([127, 0, 0, 1], 10_248)), "/healthz")?;
    ensure!(healthy == "ok", "{healthy}");
    kubectl.ok(&["delete", "pod", "probed", "--grace-period=0", "--force"]);
    Ok(())
}
