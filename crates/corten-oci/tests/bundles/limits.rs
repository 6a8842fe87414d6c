//! Control groups: limits, out-of-memory kills, numbers, changes in place.

use corten_oci::{cgroup::Layout, spec::LinuxResources};
use serde_json::json;

use crate::{
    Test,
    support::{Bundle, exec},
};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::limits::memory_runs_out_and_it_is_known", memory_runs_out_and_it_is_known),
    ("privileged::limits::processes_are_counted_and_limited", processes_are_counted_and_limited),
    ("privileged::limits::limits_are_written_and_changed_in_place", limits_are_written_and_changed_in_place),
    ("privileged::limits::numbers_are_plausible", numbers_are_plausible),
    ("privileged::limits::the_score_is_clamped", the_score_is_clamped),
    ("privileged::limits::devices_are_refused", devices_are_refused),
    ("privileged::limits::huge_page_limits_do_not_stop_a_container", huge_page_limits_do_not_stop_a_container),
];

fn memory_runs_out_and_it_is_known() {
    let mut bundle = Bundle::new(&["/probe", "probe", "eat"]).with_probe();
    bundle.linux()["resources"] = json!({"memory": {"limit": 20 << 20, "swap": 20 << 20}});
    let container = bundle.start();
    assert_eq!(container.init().unwrap().wait().unwrap().unwrap().code(), 137);
    assert!(container.cgroup().oom_kills().unwrap() >= 1);
    container.delete(false).unwrap();

    // A kill that somebody sent is none.
    let bundle = Bundle::new(&["sleep", "100"]);
    let container = bundle.start();
    container.kill(libc::SIGKILL, false).unwrap();
    container.init().unwrap().wait().unwrap();
    assert_eq!(container.cgroup().oom_kills().unwrap(), 0);
    container.delete(false).unwrap();
}

fn processes_are_counted_and_limited() {
    let mut bundle = Bundle::shell("sleep 100 & sleep 100 & sleep 100 & sleep 100 & echo not reached; wait");
    bundle.linux()["resources"] = json!({"pids": {"limit": 3}});
    let finished = bundle.run();
    assert!(finished.out.contains("can't fork"), "{finished:?}");
}

fn limits_are_written_and_changed_in_place() {
    let mut bundle = Bundle::new(&["sleep", "100"]);
    bundle.linux()["resources"] = json!({
        "memory": {"limit": 64 << 20}, "cpu": {"shares": 512, "quota": 25_000, "period": 100_000}, "pids": {"limit": 50}
    });
    let container = bundle.start();
    let read = |controller: &str, name: &str, unified: &str| {
        let directories = container.cgroup().directories();
        let path = match container.cgroup().layout() {
            Layout::V1 => directories.iter().find(|d| d.to_string_lossy().contains(controller)).unwrap().join(name),
            Layout::Unified => directories[0].join(unified),
        };
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    };
    if container.cgroup().layout() == Layout::V1 {
        assert_eq!(read("/cpu/", "cpu.cfs_quota_us", ""), "25000");
        assert_eq!(read("/cpu/", "cpu.shares", ""), "512");
    } else {
        assert_eq!(read("", "", "cpu.max"), "25000 100000");
    }
    assert_eq!(container.stats().unwrap().memory.limit_bytes, Some(64 << 20));
    assert_eq!(container.stats().unwrap().pids.limit, Some(50));

    let change = |json: serde_json::Value| {
        let resources: LinuxResources = serde_json::from_value(json).unwrap();
        container.update(&resources).unwrap();
    };
    change(json!({"memory": {"limit": 128 << 20}}));
    assert_eq!(container.stats().unwrap().memory.limit_bytes, Some(128 << 20));
    change(json!({"memory": {"limit": 32 << 20}, "cpu": {"quota": 50_000, "period": 100_000}}));
    assert_eq!(container.stats().unwrap().memory.limit_bytes, Some(32 << 20));
    if container.cgroup().layout() == Layout::V1 {
        assert_eq!(read("/cpu/", "cpu.cfs_quota_us", ""), "50000");
    }
    // What was not named stays.
    assert_eq!(container.stats().unwrap().pids.limit, Some(50));
    container.delete(true).unwrap();
}

fn numbers_are_plausible() {
    let bundle = Bundle::shell(
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done > /tmp/done; sleep 100",
    );
    let mut container = bundle.start();
    while !bundle.rootfs().join("tmp/done").exists() {}
    let stats = container.stats().unwrap();
    assert!(stats.cpu.usage_nanos > 1_000_000, "{stats:?}");
    assert!(stats.memory.usage_bytes > 8 << 20 && stats.memory.working_set_bytes > 8 << 20, "{stats:?}");
    assert!(stats.memory.working_set_bytes <= stats.memory.usage_bytes && stats.memory.rss_bytes > 0, "{stats:?}");
    assert!(stats.memory.page_faults > 0 && stats.memory.limit_bytes.is_none(), "{stats:?}");
    assert!(stats.pids.current >= 1, "{stats:?}");
    exec(&mut container, &bundle, "true", |_| {});
    container.delete(true).unwrap();
}

fn the_score_is_clamped() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/oom_score_adj"]);
    bundle.process()["oomScoreAdj"] = json!(999);
    assert_eq!(bundle.run().out, "999\n");
    let own: i32 = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    bundle.process()["oomScoreAdj"] = json!(-998);
    let got: i32 = bundle.run().out.trim().parse().unwrap();
    assert!(got == -998 || got == own, "{got}, own {own}");
    // And limits above what this process may give.
    let mut bundle = Bundle::shell("ulimit -Hn");
    bundle.process()["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1_048_576, "hard": 1_048_576}]);
    assert!(bundle.run().out.trim().parse::<u64>().unwrap() <= 1_048_576);
}

fn devices_are_refused() {
    let mut bundle =
        Bundle::shell("echo x > /dev/null && echo null; mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem 2>&1; echo end");
    bundle.linux()["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    let finished = bundle.run();
    assert!(finished.out.starts_with("null\n") && finished.out.contains("Operation not permitted"), "{finished:?}");
}

fn huge_page_limits_do_not_stop_a_container() {
    let mut bundle = Bundle::new(&["true"]);
    bundle.linux()["resources"] = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]});
    assert_eq!(bundle.run().code, 0);
}
