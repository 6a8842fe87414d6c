use serde_json::json;

use super::*;

fn pod(uid: &str, resources: serde_json::Value) -> SharedPod {
    let pod = json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": uid},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

#[test]
fn a_pod_is_below_its_class() {
    let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    for (resources, want) in [
        (json!({}), "/corten/kubepods/besteffort/podu"),
        (json!({"requests": {"cpu": "1"}}), "/corten/kubepods/burstable/podu"),
        (full, "/corten/kubepods/podu"),
    ] {
        assert_eq!(pod_path("corten", &pod("u", resources.clone())), want);
        assert_eq!(pod_path("/corten/", &pod("u", resources)), want);
    }
}

/// Real groups, in a root of this test's own.
#[tokio::test]
async fn groups_of_pods_come_and_go() {
    let root = format!("corten-kubelet-test-{}", std::process::id());
    let Ok(hierarchies) = Hierarchies::detect() else {
        println!("skipped: no control groups on this machine");
        return;
    };
    let top = Cgroup::new(hierarchies.clone(), &Path::new("/").join(&root));
    let may = top.directories().iter().all(|directory| {
        let made = fs::create_dir(directory).is_ok();
        made && fs::remove_dir(directory).is_ok()
    });
    if !may {
        println!("skipped: may not make control groups");
        return;
    }
    let node = NodeLimits { memory_bytes: 1 << 30, cpu_quota: true, unified_cgroups: false };
    let manager = CgroupManager::new(&root, node, 2_000);
    let limited = json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "64Mi"}});
    manager.ensure(&pod("one", limited.clone())).await.unwrap();
    manager.ensure(&pod("one", limited)).await.unwrap();
    manager.ensure(&pod("two", json!({}))).await.unwrap();
    assert_eq!(manager.pods().await.unwrap(), ["one", "two"]);
    let read = |controller: &str, path: &str, file: &str| {
        let mount = hierarchies.root_of(controller).unwrap();
        fs::read_to_string(mount.join(&root).join("kubepods").join(path).join(file)).unwrap().trim().to_owned()
    };
    if hierarchies.layout() == Layout::V1 {
        assert_eq!(read("memory", "burstable/podone", "memory.limit_in_bytes"), (64 << 20).to_string());
        assert_eq!(read("cpu", "burstable/podone", "cpu.shares"), "512");
        assert_eq!(read("cpu", "burstable", "cpu.shares"), "512");
        assert_eq!(read("cpu", "besteffort/podtwo", "cpu.shares"), "2");
    } else {
        assert_eq!(read("unified", "burstable/podone", "memory.max"), (64 << 20).to_string());
    }
    manager.remove("one").await.unwrap();
    manager.remove("one").await.unwrap();
    assert_eq!(manager.pods().await.unwrap(), ["two"]);
    manager.remove("two").await.unwrap();
    top.remove().unwrap();
}
