//! The start of a server that does not serve everything.

use corten_apimachinery::value::Value;
use serde_json::json;

use super::{Progress, Step};
use crate::testing::{Cluster, admin};

/// One that serves what `runtime_config` says, and has come to its end of the start.
async fn ready(runtime_config: &str) -> Cluster {
    let cluster = Cluster::start_switched(runtime_config).await;
    let progress = Progress::default();
    cluster.keep_bootstrapped_telling(progress.clone());
    for _ in 0..100_000 {
        if Step::ALL.iter().all(|(step, _)| progress.has(*step)) {
            return cluster;
        }
        tokio::task::yield_now().await;
    }
    let missing = Step::ALL.iter().filter(|(step, _)| !progress.has(*step));
    panic!("{runtime_config}: {:?}", missing.collect::<Vec<_>>());
}

/// With rbac, scheduling or networking off, the server waited for objects that nobody could make, and was never ready.
#[tokio::test]
async fn a_server_waits_for_nothing_that_is_switched_off() {
    for switch in [
        "rbac.authorization.k8s.io/v1=false",
        "rbac.authorization.k8s.io/v1/roles=false",
        "scheduling.k8s.io/v1=false",
        "networking.k8s.io/v1=false",
        "networking.k8s.io/v1/servicecidrs=false",
        "networking.k8s.io/v1/ipaddresses=false",
        "discovery.k8s.io/v1=false",
        "flowcontrol.apiserver.k8s.io/v1=false",
        "flowcontrol.apiserver.k8s.io/v1/flowschemas=false",
        "apiregistration.k8s.io/v1=false",
        "apiextensions.k8s.io/v1=false",
        "api/all=false,/v1=true",
    ] {
        ready(switch).await.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_switched_off_is_made() {
    let cluster = ready("rbac.authorization.k8s.io/v1/roles=false,scheduling.k8s.io/v1=false").await;
    for path in [
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
        "/apis/networking.k8s.io/v1/servicecidrs/kubernetes",
        "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps",
        "/api/v1/namespaces/default/services/kubernetes",
    ] {
        assert!(cluster.get(admin(), path).await.is_ok(), "{path}");
    }
    for path in ["/apis/rbac.authorization.k8s.io/v1/roles", "/apis/scheduling.k8s.io/v1/priorityclasses"] {
        assert_eq!(cluster.get(admin(), path).await.unwrap_err().code, 404, "{path}");
    }
    cluster.stop().await;
}

/// `corten server` waited for priority classes that nobody could make, and ended after two minutes.
#[tokio::test]
async fn who_waits_for_a_part_of_the_start_hears_of_it_whether_it_is_served_or_not() {
    let cluster = Cluster::start_switched("api/all=false,/v1=true").await;
    let progress = Progress::default();
    cluster.keep_bootstrapped_telling(progress.clone());
    progress.until(Step::PriorityClasses).await;
    assert!(progress.has(Step::Roles));
    cluster.stop().await;
}

/// Who has an address was to be asked of objects that nobody could make.
#[tokio::test]
async fn services_get_addresses_of_the_configured_range_without_the_kinds_that_tell_of_them() {
    for switch in ["networking.k8s.io/v1=false", "networking.k8s.io/v1/servicecidrs=false"] {
        let cluster = ready(switch).await;
        let path = "/api/v1/namespaces/default/services";
        let kubernetes = cluster.get(admin(), &format!("{path}/kubernetes")).await.unwrap();
        assert_eq!(kubernetes.str_at(&["spec", "clusterIP"]), Some("10.96.0.1"), "{switch}");
        let service = |name: &str, ip: &str| json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
        let made = cluster.post(admin(), path, service("any", "")).await.unwrap();
        assert!(made.str_at(&["spec", "clusterIP"]).is_some_and(|ip| ip.starts_with("10.")), "{switch}: {made:?}");
        let taken = cluster.post(admin(), path, service("taken", "10.96.0.1")).await.unwrap_err();
        assert!(taken.message.contains("provided IP is already allocated"), "{switch}: {}", taken.message);
        let beyond = cluster.post(admin(), path, service("beyond", "192.0.2.1")).await.unwrap_err();
        assert_eq!(beyond.code, 422, "{switch}: {}", beyond.message);
        assert_eq!(cluster.get(admin(), path).await, Ok(Value::Int(2)), "{switch}");
        cluster.stop().await;
    }
}
