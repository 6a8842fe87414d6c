//! What a security context grants and takes away, as the process in the container sees it.

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, in_sandbox, side_by_side};

#[test]
fn processes_may_what_their_context_says() {
    in_sandbox("security::processes_may_what_their_context_says", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("defaults", the_default_is_limited),
                ("groups", users_and_groups_of_pod_and_container),
                ("capabilities", capabilities_are_added_and_dropped),
                ("privileged", who_is_privileged_may_everything),
                ("seccomp", system_calls_are_filtered_on_request),
                ("limits", limits_are_those_of_the_cgroup),
                ("root-refused", root_is_refused_where_it_must_not_run),
                ("sysctls", sysctls_are_set_or_refused),
            ],
        )
    });
}

/// A line of `/proc/self/status`.
fn status_line(name: &str) -> String {
    format!("grep ^{name}: /proc/self/status | awk '{{print $2}}'")
}

fn pod(name: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n{spec}\
         \x20 containers:\n  - name: c\n    image: busybox:1.28\n    command: [sleep, '3600']\n{container}"
    )
}

fn runs(kubectl: &Kubectl, name: &str, spec: &str, container: &str) -> anyhow::Result<()> {
    kubectl.apply(&pod(name, spec, container))?;
    kubectl.ready(name);
    Ok(())
}

fn the_default_is_limited(kubectl: &Kubectl) -> anyhow::Result<()> {
    runs(kubectl, "p", "", "")?;
    kubectl.says(
        "p",
        &[
            ("id -u; id -g", "0\n0"),
            // The fourteen capabilities that containers have everywhere.
            (&status_line("CapEff"), "00000000a80425fb"),
            (&status_line("CapBnd"), "00000000a80425fb"),
            (&status_line("CapAmb"), "0000000000000000"),
            (&status_line("NoNewPrivs"), "0"),
            (&status_line("Seccomp"), "0"),
            // Masked and read-only paths.
            ("wc -c < /proc/timer_list", "0"),
            ("ls /sys/firmware | wc -l", "0"),
            ("mount -t tmpfs none /tmp 2>&1 | grep -c 'ermission denied\\|not permitted'; true", "1"),
        ],
    )?;
    let refused = kubectl.run(&["exec", "p", "--", "sh", "-c", "echo 1 > /proc/sys/kernel/panic"])?;
    ensure!(!refused.success && refused.err.contains("Read-only file system"), "{refused:?}");
    let devices = kubectl.inside("p", "c", "ls /dev");
    let devices: Vec<&str> = devices.lines().collect();
    for device in ["full", "null", "ptmx", "pts", "random", "shm", "stdout", "tty", "urandom", "zero"] {
        ensure!(devices.contains(&device), "no {device}: {devices:?}");
    }
    ensure!(!devices.contains(&"kmsg") && !devices.contains(&"mem"), "{devices:?}");
    Ok(())
}

fn users_and_groups_of_pod_and_container(kubectl: &Kubectl) -> anyhow::Result<()> {
    runs(
        kubectl,
        "p",
        "  securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000, 5000]}\n  \
         volumes: [{name: v, emptyDir: {}}, {name: t, projected: {sources: [{serviceAccountToken: {path: token}}]}}]\n",
        "    volumeMounts: [{name: v, mountPath: /v}, {name: t, mountPath: /t}]\n",
    )?;
    kubectl.says(
        "p",
        &[
            ("id -u; id -g", "1000\n3000"),
            ("id -G | tr ' ' '\\n' | sort -n | xargs", "2000 3000 4000 5000"),
            ("stat -c '%g %a' /v", "2000 2777"),
            ("touch /v/file; stat -c '%u %g' /v/file", "1000 2000"),
            ("test -r /t/token && echo readable", "readable"),
            ("touch /file 2>&1; true", "touch: /file: Permission denied"),
        ],
    )?;
    let status = kubectl.container_status("p", "the user is shown", |status| status["user"].is_object())?;
    let linux = &status["user"]["linux"];
    ensure!(linux["uid"] == 1000 && linux["gid"] == 3000, "{linux}");
    // The container's own goes before the pod's; files of nobody's group stay root's.
    runs(
        kubectl,
        "own",
        "  securityContext: {runAsUser: 1000}\n",
        "    securityContext: {runAsUser: 65534, runAsGroup: 65534}\n",
    )?;
    kubectl.says("own", &[("id -u; id -g; id -un", "65534\n65534\nnobody")])
}

fn capabilities_are_added_and_dropped(kubectl: &Kubectl) -> anyhow::Result<()> {
    for (name, capabilities, want) in [
        // NET_ADMIN is capability 12, SYS_TIME 25.
        ("added", "add: [NET_ADMIN, SYS_TIME]", "00000000aa0435fb"),
        ("dropped", "drop: [CHOWN, NET_RAW]", "00000000a80405fa"),
        ("few", "drop: [ALL], add: [NET_BIND_SERVICE]", "0000000000000400"),
        ("none", "drop: [ALL]", "0000000000000000"),
    ] {
        runs(kubectl, name, "", &format!("    securityContext: {{capabilities: {{{capabilities}}}}}\n"))?;
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            kubectl.says(name, &[(&status_line(set), want)]).context(name)?;
        }
    }
    kubectl.says("added", &[("ip link add dummy type dummy 2>&1 | grep -c 'not permitted'; true", "0")])?;
    kubectl.says("dropped", &[("chown 1 /tmp 2>&1; true", "chown: /tmp: Operation not permitted")])
}

fn who_is_privileged_may_everything(kubectl: &Kubectl) -> anyhow::Result<()> {
    runs(kubectl, "p", "", "    securityContext: {privileged: true}\n")?;
    // A machine may lack some itself.
    let own = std::fs::read_to_string("/proc/self/status")?;
    let all = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).context("capabilities are shown")?.trim();
    kubectl.says(
        "p",
        &[
            (&status_line("CapEff"), all),
            (&status_line("Seccomp"), "0"),
            ("mount -t tmpfs none /tmp && echo mounted", "mounted"),
            ("test -c /dev/kmsg && echo device", "device"),
            ("test -w /proc/sys/kernel/panic && echo writable", "writable"),
        ],
    )
}

fn system_calls_are_filtered_on_request(kubectl: &Kubectl) -> anyhow::Result<()> {
    for (name, kind, want) in [("filtered", "RuntimeDefault", "2"), ("free", "Unconfined", "0")] {
        runs(kubectl, name, &format!("  securityContext: {{seccompProfile: {{type: {kind}}}}}\n"), "")?;
        kubectl.says(name, &[(&status_line("Seccomp"), want)])?;
    }
    // A new user namespace needs no capability; only the filter stands in its way.
    kubectl.says("filtered", &[("unshare -U true 2>&1 | grep -c 'not permitted'; true", "1")])?;
    runs(
        kubectl,
        "humble",
        "",
        "    securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false, seccompProfile: {type: RuntimeDefault}}\n",
    )?;
    kubectl.says("humble", &[(&status_line("NoNewPrivs"), "1"), (&status_line("Seccomp"), "2")])
}

fn limits_are_those_of_the_cgroup(kubectl: &Kubectl) -> anyhow::Result<()> {
    runs(
        kubectl,
        "p",
        "",
        "    resources: {limits: {cpu: 250m, memory: 64Mi}, requests: {cpu: 100m, memory: 32Mi}}\n",
    )?;
    let v2 = "/sys/fs/cgroup/cgroup.controllers";
    let unified = kubectl.inside("p", "c", &format!("test -e {v2} && grep -c memory {v2}; true"));
    let cases: &[(&str, &str)] = if unified.trim() == "1" {
        &[("cat /sys/fs/cgroup/memory.max", "67108864"), ("cat /sys/fs/cgroup/cpu.max", "25000 100000")]
    } else {
        &[
            ("cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864"),
            ("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us", "25000\n100000"),
            ("cat /sys/fs/cgroup/cpu/cpu.shares", "102"),
        ]
    };
    kubectl.says("p", cases)?;
    let shown = kubectl.ok(&["get", "pod", "p", "-o", "jsonpath={.status.qosClass}"]);
    ensure!(shown == "Burstable", "{shown}");
    let node = kubectl.ok(&["describe", "nodes"]);
    ensure!(node.contains("Allocated resources:") && node.contains("64Mi"), "{node}");
    Ok(())
}

fn root_is_refused_where_it_must_not_run(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&pod("p", "  securityContext: {runAsNonRoot: true}\n", ""))?;
    let uid = kubectl.ok(&["get", "pod", "p", "-o", "jsonpath={.metadata.uid}"]);
    let space = kubectl.namespace();
    let why =
        format!("container has runAsNonRoot and image will run as root (pod: \"p_{space}({uid})\", container: c)");
    kubectl.describes("p", &["CreateContainerConfigError", &format!("Error: {why}")])?;
    kubectl.apply(&pod("zero", "  securityContext: {runAsNonRoot: true, runAsUser: 0}\n", ""))?;
    kubectl.describes("zero", &["container's runAsUser breaks non-root policy"])
}

/// Nobody allowed `kernel.msgmax`; only those sysctls are let through that disturb no other pod.
fn sysctls_are_set_or_refused(kubectl: &Kubectl) -> anyhow::Result<()> {
    let sysctl =
        |name: &str, value: &str| format!("  securityContext: {{sysctls: [{{name: {name}, value: '{value}'}}]}}\n");
    runs(kubectl, "safe", &sysctl("net.ipv4.ip_unprivileged_port_start", "80"), "")?;
    kubectl.says("safe", &[("cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "80")])?;
    kubectl.apply(&pod("unsafe", &sysctl("kernel.msgmax", "65536"), ""))?;
    kubectl.reaches("unsafe", "Failed");
    let status = &kubectl.json(&["get", "pod", "unsafe"])["status"];
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(
        status["reason"] == "SysctlForbidden"
            && message.contains("forbidden sysctl: \"kernel.msgmax\" not allowlisted"),
        "{status}"
    );
    Ok(())
}
