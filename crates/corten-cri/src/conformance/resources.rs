//! Limits: set at creation, changed later, enforced.

use super::{
    Fixture,
    pod::{IDLE, resources},
};
use crate::api::{LinuxContainerResources, UpdateContainerResourcesRequest};

const MIB: i64 = 1 << 20;

/// The memory limit that the container's own cgroup shows, in either version of cgroups.
const MEMORY_LIMIT: &str =
    "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";

/// The CPU limit in microseconds per 100 ms.
const CPU_LIMIT: &str = "cut -d' ' -f1 /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us";

fn limits(memory_limit_in_bytes: i64, cpu_quota: i64) -> LinuxContainerResources {
    LinuxContainerResources {
        memory_limit_in_bytes,
        cpu_quota,
        cpu_period: 100_000,
        cpu_shares: 512,
        ..LinuxContainerResources::default()
    }
}

/// The kernel shows what the config says.
pub async fn limits_are_those_of_the_cgroup(fixture: &Fixture) {
    let pod = fixture.pod("limits").await;
    let id = pod.start_with("main", IDLE, |config| *resources(config) = limits(64 * MIB, 50_000)).await;
    assert_eq!(fixture.ask(&id, MEMORY_LIMIT).await.trim(), (64 * MIB).to_string());
    assert_eq!(fixture.ask(&id, CPU_LIMIT).await.trim(), "50000");
}

/// An update takes effect in the running container; what it does not name stays.
pub async fn limits_can_be_changed(fixture: &Fixture) {
    let pod = fixture.pod("update").await;
    let id = pod.start_with("main", IDLE, |config| *resources(config) = limits(64 * MIB, 50_000)).await;
    let update = |linux| {
        let request =
            UpdateContainerResourcesRequest { container_id: id.clone(), linux: Some(linux), ..Default::default() };
        fixture.runtime.update_container_resources(request)
    };
    update(LinuxContainerResources { memory_limit_in_bytes: 96 * MIB, ..Default::default() }).await.expect("memory");
    assert_eq!(fixture.ask(&id, MEMORY_LIMIT).await.trim(), (96 * MIB).to_string());
    assert_eq!(fixture.ask(&id, CPU_LIMIT).await.trim(), "50000");
    update(LinuxContainerResources { cpu_quota: 20_000, cpu_period: 100_000, ..Default::default() })
        .await
        .expect("cpu");
    assert_eq!(fixture.ask(&id, MEMORY_LIMIT).await.trim(), (96 * MIB).to_string());
    assert_eq!(fixture.ask(&id, CPU_LIMIT).await.trim(), "20000");
}

/// `ContainerStatus.resources` follows creation and update.
pub async fn the_status_reports_resources(fixture: &Fixture) {
    let pod = fixture.pod("reported").await;
    let id = pod.start_with("main", IDLE, |config| *resources(config) = limits(64 * MIB, 50_000)).await;
    let told = || async {
        let status = fixture.container_status(&id).await.expect("status");
        let linux = status.resources.and_then(|resources| resources.linux).expect("resources");
        (linux.memory_limit_in_bytes, linux.cpu_quota)
    };
    assert_eq!(told().await, (64 * MIB, 50_000));
    let request = UpdateContainerResourcesRequest {
        container_id: id.clone(),
        linux: Some(limits(96 * MIB, 20_000)),
        ..Default::default()
    };
    fixture.runtime.update_container_resources(request).await.expect("update");
    assert_eq!(told().await, (96 * MIB, 20_000));
}

/// The reason says so.
pub async fn a_container_over_its_memory_limit_is_oom_killed(fixture: &Fixture) {
    let pod = fixture.pod("oom").await;
    // tail keeps what it has read in memory while it looks for the end of a line.
    let script = "exec tail -n 1 /dev/zero";
    let output = pod
        .run_with("main", script, |config| {
            *resources(config) = limits(32 * MIB, 0);
            resources(config).memory_swap_limit_in_bytes = 32 * MIB;
        })
        .await;
    assert_eq!((output.status.exit_code, output.status.reason.as_str()), (137, "OOMKilled"));
}

/// As given: who dies first when memory is short.
pub async fn the_oom_score_is_set(fixture: &Fixture) {
    let pod = fixture.pod("score").await;
    let change = |config: &mut crate::api::ContainerConfig| resources(config).oom_score_adj = 950;
    let output = pod.run_with("main", "cat /proc/self/oom_score_adj", change).await;
    assert_eq!(output.stdout, "950\n");
}
