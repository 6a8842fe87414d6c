//! What is answered, and that servers of services come and go.

use corten_base::{SystemClock, timeout};
use corten_component_base::serving::LISTEN_RETRY;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::ruleset::HealthCheck;

fn servers(status: &Status) -> HealthServers {
    let config = Config { healthz: None, metrics: None, ..Config::new("n1") };
    HealthServers::new(&config, "nftables", status.clone(), SystemClock::shared())
}

#[track_caller]
fn check(site: &Site, path: &str, want_status: u16, want: &str) {
    let answer = servers(&Status::default()).answer(site, path);
    assert_eq!(answer.status.as_u16(), want_status, "{path}");
    assert!(answer.body.contains(want), "{path}: {}", answer.body);
}

#[test]
fn the_usual_questions_are_answered() {
    check(&Site::Health, "/healthz", 200, "\"nodeEligible\": true}");
    check(&Site::Health, "/livez", 200, "{\"lastUpdated\": \"20");
    check(&Site::Health, "/metrics", 404, "404 page not found");
    check(&Site::Metrics, "/healthz", 200, "ok");
    check(&Site::Metrics, "/proxyMode", 200, "nftables");
    check(&Site::Metrics, "/metrics", 200, "kubeproxy_sync_proxy_rules_duration_seconds_count 0\n");
    check(&Site::Service(ObjectName::new("default", "web")), "/", 503, "\"localEndpoints\": 0,");
}

#[test]
fn a_proxy_that_is_late_says_when_it_was_not() {
    let now: jiff::Timestamp = "2026-01-01T00:02:00Z".parse().unwrap();
    let last_updated = Some("2026-01-01T00:00:00.5Z".parse().unwrap());
    let late = of_proxy(&Health { is_healthy: false, last_updated, now }, "");
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    let want =
        "{\"lastUpdated\": \"2026-01-01 00:00:00.5 +0000 UTC\",\"currentTime\": \"2026-01-01 00:02:00 +0000 UTC\"}";
    assert_eq!(late.body, want);
    let body: serde_json::Value = serde_json::from_str(&late.body).unwrap();
    assert_eq!(body["currentTime"], "2026-01-01 00:02:00 +0000 UTC");
}

#[test]
fn a_service_is_well_where_it_has_endpoints() {
    let name = ObjectName::new("default", "web");
    for (local, is_healthy, want) in [(2, true, 200), (0, true, 503), (2, false, 503)] {
        let answer = of_service(&name, local, is_healthy);
        assert_eq!(answer.status.as_u16(), want);
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let service = serde_json::json!({ "namespace": "default", "name": "web" });
        assert_eq!(
            body,
            serde_json::json!({ "service": service, "localEndpoints": local, "serviceProxyHealthy": is_healthy })
        );
    }
}

async fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    Some(text)
}

#[tokio::test]
async fn servers_of_services_come_and_go() {
    // Free a moment ago; nobody else here asks for a port by its number.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    let status = Status::default();
    let ((trigger, shutdown), tasks) = (Shutdown::new(), TaskSet::new("test"));
    tasks.spawn("servers", servers(&status).run(shutdown));
    let web = (ObjectName::new("default", "web"), HealthCheck { node_port: port, local_endpoints: 1 });
    status.set_health_checks(vec![web.clone()]);
    let answer = loop {
        match get(port).await {
            Some(answer) => break answer,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"localEndpoints\": 1,"), "{answer}");
    // Load balancers that weigh nodes read it.
    assert!(answer.contains("\r\nx-load-balancing-endpoint-weight: 1\r\n"), "{answer}");
    status.set_health_checks(vec![(web.0, HealthCheck { local_endpoints: 0, ..web.1 })]);
    assert!(get(port).await.unwrap().starts_with("HTTP/1.1 503"));
    status.set_health_checks(Vec::new());
    while get(port).await.is_some() {
        tokio::task::yield_now().await;
    }
    trigger.request();
    tasks.join().await.unwrap();
}

async fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

/// The new server found the port taken by the old one, and tried again five seconds later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_passes_from_one_service_to_another_at_once() {
    let (port, status, clock) = (free_port().await, Status::default(), SystemClock::shared());
    let ((trigger, shutdown), tasks) = (Shutdown::new(), TaskSet::new("test"));
    tasks.spawn("servers", servers(&status).run(shutdown));
    for turn in 0..50 {
        let name = format!("web-{turn}");
        let check = HealthCheck { node_port: port, local_endpoints: 1 };
        status.set_health_checks(vec![(ObjectName::new("default", &*name), check)]);
        let told = async {
            while !get(port).await.is_some_and(|answer| answer.contains(&format!("\"name\": \"{name}\""))) {
                tokio::task::yield_now().await;
            }
        };
        timeout(&*clock, LISTEN_RETRY / 2, told).await.expect("the new server answers");
    }
    trigger.request();
    tasks.join().await.unwrap();
}
