//! Which namespaces containers share, and with whom.

use super::{
    Fixture,
    pod::{IDLE, pod_namespaces, security},
};
use crate::api::{NamespaceMode, NamespaceOption};

/// `CONTAINER`: the command is process 1, and nobody else is there.
pub async fn containers_with_their_own_pid_namespace_see_only_themselves(fixture: &Fixture) {
    let pod = fixture.pod("own-pids").await;
    pod.start("other", "exec sleep 4321").await;
    let output = pod.run_with("main", "echo $$; ps | grep -c '[s]leep 4321'", |_| ()).await;
    assert_eq!(output.stdout, "1\n0\n");
}

/// `POD`: containers see each other and none of them is process 1.
pub async fn containers_of_a_shared_pid_namespace_see_each_other(fixture: &Fixture) {
    let pod = fixture.pod_with("shared-pids", |config| pod_namespaces(config).pid = NamespaceMode::Pod as i32).await;
    pod.start("other", "exec sleep 4321").await;
    let id = pod.start("main", IDLE).await;
    fixture
        .eventually("the other container's process is seen", || async {
            let answer = fixture.exec(&id, "ps | grep -c '[s]leep 4321'").await.expect("exec");
            (answer.stdout.trim_ascii() == b"1").then_some(())
        })
        .await;
    // The shell that answers is not process 1, but neither is the container's own.
    let first = fixture.ask(&id, "tr '\\0' ' ' < /proc/1/cmdline").await;
    assert!(!first.contains(IDLE), "{first}");
}

/// `NODE`: the node's first process is there.
pub async fn a_container_in_the_nodes_pid_namespace_sees_the_node(fixture: &Fixture) {
    let pod = fixture.pod_with("node-pids", |config| pod_namespaces(config).pid = NamespaceMode::Node as i32).await;
    let output = pod.run_with("main", "cat /proc/1/comm", |_| ()).await;
    assert_eq!(output.stdout, std::fs::read_to_string("/proc/1/comm").expect("the node's first process"));
}

/// `TARGET`: a debugging container joins another one.
pub async fn a_container_joins_the_pid_namespace_of_its_target(fixture: &Fixture) {
    let pod = fixture.pod("target").await;
    let target_id = pod.start("target", "exec sleep 4321").await;
    let debugger = pod
        .start_with("debugger", IDLE, |config| {
            let pid = NamespaceMode::Target as i32;
            let options = NamespaceOption { pid, target_id, ..NamespaceOption::default() };
            security(config).namespace_options = Some(options);
        })
        .await;
    fixture
        .eventually("the target's process is seen", || async {
            let answer = fixture.exec(&debugger, "ps | grep -c '[s]leep 4321'").await.expect("exec");
            (answer.stdout.trim_ascii() == b"1").then_some(())
        })
        .await;
}

/// Containers of a pod share `/dev/shm` and the IPC namespace; pods do not.
pub async fn ipc_is_shared_within_the_pod(fixture: &Fixture) {
    let (one, two) = (fixture.pod("ipc").await, fixture.pod("other-ipc").await);
    let ask = "readlink /proc/self/ns/ipc; cat /dev/shm/note 2>/dev/null";
    let first = one.run_with("first", "echo hello > /dev/shm/note; readlink /proc/self/ns/ipc", |_| ()).await.stdout;
    let second = one.run_with("second", ask, |_| ()).await.stdout;
    assert_eq!(second, format!("{first}hello\n"));
    let other = two.run_with("main", ask, |_| ()).await.stdout;
    assert_ne!(other.trim(), first.trim());
    assert!(!other.contains("hello"));
}

/// `NODE`: the namespace of the runtime itself.
pub async fn ipc_of_the_node_is_the_nodes(fixture: &Fixture) {
    let pod = fixture.pod_with("node-ipc", |config| pod_namespaces(config).ipc = NamespaceMode::Node as i32).await;
    let output = pod.run_with("main", "readlink /proc/self/ns/ipc", |_| ()).await;
    let node = std::fs::read_link("/proc/self/ns/ipc").expect("this process's namespace");
    assert_eq!(output.stdout.trim(), node.display().to_string());
}
