//! Readings from what a runtime says, as clients see them.

use serde_json::json;

use super::*;

fn value(value: u64) -> Option<api::UInt64Value> {
    Some(api::UInt64Value { value })
}

fn memory(bytes: u64) -> Option<api::MemoryUsage> {
    Some(api::MemoryUsage { working_set_bytes: value(bytes), ..api::MemoryUsage::default() })
}

fn sandbox(uid: &str, bytes: u64) -> api::PodSandboxStats {
    let cpu = api::CpuUsage { usage_core_nano_seconds: value(2_500_000_000), ..api::CpuUsage::default() };
    let container = api::ContainerStats {
        attributes: Some(api::ContainerAttributes {
            id: "abc".to_owned(),
            metadata: Some(api::ContainerMetadata { name: "c".to_owned(), attempt: 0 }),
            ..api::ContainerAttributes::default()
        }),
        cpu: Some(cpu),
        memory: memory(bytes),
        ..api::ContainerStats::default()
    };
    api::PodSandboxStats {
        attributes: Some(api::PodSandboxAttributes {
            labels: [(POD_UID.to_owned(), uid.to_owned())].into(),
            ..api::PodSandboxAttributes::default()
        }),
        linux: Some(api::LinuxPodSandboxStats {
            cpu: Some(cpu),
            memory: memory(bytes + 1),
            process: Some(api::ProcessUsage { timestamp: 0, process_count: value(3) }),
            containers: vec![container],
            ..api::LinuxPodSandboxStats::default()
        }),
    }
}

fn reading() -> Reading {
    let pod = json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": []},
        "status": {"startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{
            "name": "c", "image": "i:1", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}},
        }]},
    });
    let pod: SharedPod = Arc::new(serde_json::from_value(pod).unwrap());
    Reading {
        node: "n1".to_owned(),
        now: Timestamp::from_second(1_767_225_700).unwrap(),
        machine: MachineUsage {
            usage: Usage { working_set_bytes: Some(1_000), ..Usage::default() },
            ..MachineUsage::default()
        },
        disk: None,
        image_disk: None,
        pods: pods("corten", &[pod], &[sandbox("u", 10), sandbox("gone", 99)]),
    }
}

#[test]
fn a_summary_has_the_node_its_pods_and_their_containers() {
    let time = "2026-01-01T00:01:40Z";
    let cpu = json!({"time": time, "usageCoreNanoSeconds": 2_500_000_000_u64});
    let want = json!({
        "node": {"nodeName": "n1", "cpu": {"time": time}, "memory": {"time": time, "workingSetBytes": 1_000}},
        "pods": [{
            "podRef": {"name": "p", "namespace": "ns", "uid": "u"}, "startTime": "2026-01-01T00:00:00Z",
            "containers": [{
                "name": "c", "startTime": "2026-01-01T00:00:05Z", "cpu": cpu,
                "memory": {"time": time, "workingSetBytes": 10},
            }],
            "cpu": cpu, "memory": {"time": time, "workingSetBytes": 11}, "process_stats": {"process_count": 3},
        }],
    });
    assert_eq!(summary::of(&reading()), want);
}

#[test]
fn metrics_have_upstreams_names_and_labels() {
    let text = metrics::resource(Some(&reading()));
    for line in [
        "container_cpu_usage_seconds_total{container=\"c\",namespace=\"ns\",pod=\"p\"} 2.5 1767225700000",
        "container_memory_working_set_bytes{container=\"c\",namespace=\"ns\",pod=\"p\"} 10 1767225700000",
        "container_start_time_seconds{container=\"c\",namespace=\"ns\",pod=\"p\"} 1767225605 1767225700000",
        "node_memory_working_set_bytes 1000 1767225700000",
        "pod_memory_working_set_bytes{namespace=\"ns\",pod=\"p\"} 11 1767225700000",
        "resource_scrape_error 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("node_cpu_usage_seconds_total"), "nobody has counted it");
    assert!(metrics::resource(None).ends_with("resource_scrape_error 1\n"));
}

/// Only containers were shown, without `cpu` and with an identifier that is no control group: dashboards and alerts also read
/// the numbers of pods (`container=""`), of the node (`id="/"`) and of the machine.
#[test]
fn dashboards_find_containers_pods_and_the_machine() {
    let machine = Machine {
        cpus: 2,
        memory_bytes: 1 << 30,
        machine_id: "m".to_owned(),
        system_uuid: "s".to_owned(),
        boot_id: "b".to_owned(),
        kernel_version: "6.1".to_owned(),
        os_image: "Linux".to_owned(),
        ..Machine::default()
    };
    let text = metrics::containers(&reading(), Some(&machine));
    let group = "/corten/kubepods/besteffort/podu";
    let container = |cpu: &str| {
        format!("{{container=\"c\",{cpu}id=\"{group}/abc\",image=\"i:1\",name=\"abc\",namespace=\"ns\",pod=\"p\"}}")
    };
    let other = |id: &str, namespace: &str, pod: &str| {
        format!("{{container=\"\",id=\"{id}\",image=\"\",name=\"\",namespace=\"{namespace}\",pod=\"{pod}\"}}")
    };
    let (working_set, hardware) =
        ("container_memory_working_set_bytes", "{boot_id=\"b\",machine_id=\"m\",system_uuid=\"s\"}");
    for line in [
        format!("container_cpu_usage_seconds_total{} 2.5 1767225700000", container("cpu=\"total\",")),
        format!("{working_set}{} 10 1767225700000", container("")),
        format!("{working_set}{} 11 1767225700000", other(group, "ns", "p")),
        format!("{working_set}{} 1000 1767225700000", other("/", "", "")),
        format!("container_start_time_seconds{} 1767225605 1767225700000", container("")),
        format!("machine_cpu_cores{hardware} 2"),
        format!("machine_memory_bytes{hardware} 1073741824"),
        format!("machine_swap_bytes{hardware} 0"),
        "machine_scrape_error 0".to_owned(),
        "container_scrape_error 0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(metrics::containers(&reading(), None).ends_with("machine_scrape_error 1\n"));
}
