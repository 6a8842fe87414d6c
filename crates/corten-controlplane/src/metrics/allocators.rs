//! What the allocators of cluster IPs and node ports have given, and what they have left.
//!
//! Upstream: pkg/registry/core/service/{ipallocator,portallocator}/metrics.go (v1.35).

use super::text::{Page, float};
use crate::allocators::{AllocatorCounts, BUCKETS_MS, PortCounts, RangeCounts, Scope, Tally};

/// Writes down all of it.
pub(super) fn write(counts: &AllocatorCounts, page: &mut Page) {
    addresses(&counts.ranges, page);
    ports(&counts.ports, page);
}

fn addresses(ranges: &[RangeCounts], page: &mut Page) {
    let labelled: Vec<(String, &RangeCounts)> =
        ranges.iter().map(|counts| (counts.range.to_string(), counts)).collect();
    let gauge = |page: &mut Page, name, help, value: fn(&RangeCounts) -> u64| {
        page.family(name, "gauge", help);
        for (cidr, counts) in &labelled {
            page.line("", &[("cidr", cidr)], float(value(counts)));
        }
    };
    let help = "[ALPHA] Gauge measuring the number of allocated IPs for Services";
    gauge(page, "kube_apiserver_clusterip_allocator_allocated_ips", help, |counts| counts.allocated);
    let help = "[ALPHA] Gauge measuring the number of available IPs for Services";
    gauge(page, "kube_apiserver_clusterip_allocator_available_ips", help, |counts| counts.available);
    let counter = |page: &mut Page, name, help, value: fn(&Tally, Scope) -> u64| {
        page.family(name, "counter", help);
        for (cidr, counts) in &labelled {
            for scope in Scope::ALL {
                page.line("", &[("cidr", cidr), ("scope", scope.name())], float(value(&counts.tally, scope)));
            }
        }
    };
    let help = "[ALPHA] Number of Cluster IPs allocations";
    counter(page, "kube_apiserver_clusterip_allocator_allocation_total", help, Tally::given);
    let help = "[ALPHA] Number of errors trying to allocate Cluster IPs";
    counter(page, "kube_apiserver_clusterip_allocator_allocation_errors_total", help, Tally::refused);
    let help = "[ALPHA] Duration in seconds to allocate a Cluster IP by ServiceCIDR";
    page.family("kube_apiserver_clusterip_allocator_allocation_duration_seconds", "histogram", help);
    for (cidr, counts) in &labelled {
        let mut below = 0;
        for (end, count) in BUCKETS_MS.iter().zip(counts.tally.buckets) {
            below += count;
            let end = (f64::from(*end) / 1_000.0).to_string();
            page.line("_bucket", &[("cidr", cidr), ("le", &end)], float(below));
        }
        let all = float(Scope::ALL.into_iter().map(|scope| counts.tally.given(scope)).sum());
        page.line("_bucket", &[("cidr", cidr), ("le", "+Inf")], all);
        page.line("_sum", &[("cidr", cidr)], counts.tally.took.as_secs_f64());
        page.line("_count", &[("cidr", cidr)], all);
    }
}

fn ports(counts: &PortCounts, page: &mut Page) {
    let help = "[ALPHA] Gauge measuring the number of allocated NodePorts for Services";
    page.family("kube_apiserver_nodeport_allocator_allocated_ports", "gauge", help);
    page.line("", &[], float(counts.allocated));
    let help = "[ALPHA] Gauge measuring the number of available NodePorts for Services";
    page.family("kube_apiserver_nodeport_allocator_available_ports", "gauge", help);
    page.line("", &[], float(counts.available));
    let help = "[ALPHA] Number of NodePort allocations";
    page.family("kube_apiserver_nodeport_allocator_allocation_total", "counter", help);
    for scope in Scope::ALL {
        page.line("", &[("scope", scope.name())], float(counts.tally.given(scope)));
    }
    let help = "[ALPHA] Number of errors trying to allocate NodePort";
    page.family("kube_apiserver_nodeport_allocator_allocation_errors_total", "counter", help);
    for scope in Scope::ALL {
        page.line("", &[("scope", scope.name())], float(counts.tally.refused(scope)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Cluster, admin};

    const SERVICES: &str = "/api/v1/namespaces/default/services";

    fn service(name: &str, spec: &Value) -> Value {
        let mut whole = json!({"ports": [{"port": 80}]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        json!({"metadata": {"name": name}, "spec": whole})
    }

    #[tokio::test]
    async fn what_allocators_give_is_counted_under_upstreams_names() {
        let cluster = Cluster::start().await;
        let figures = async || {
            let metrics = cluster.get(admin(), "/metrics").await.unwrap();
            let lines = metrics.as_str().unwrap().lines().filter(|line| line.starts_with("kube_apiserver_"));
            let figures = lines.map(|line| line.trim_start_matches("kube_apiserver_").to_owned());
            figures.collect::<Vec<String>>()
        };
        let number = |figures: &[String], of: &str| -> u64 {
            let line = figures.iter().find_map(|line| line.strip_prefix(of)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{of} in {figures:?}")).parse().unwrap()
        };
        let before = figures().await;
        let posts = [
            (service("a", &json!({})), true),
            (service("b", &json!({"clusterIP": "10.96.0.50"})), true),
            (service("c", &json!({"clusterIP": "10.96.0.50"})), false),
            (service("d", &json!({"clusterIP": "192.0.2.1"})), false),
            (service("e", &json!({"type": "NodePort", "clusterIP": "10.96.0.51"})), true),
            (service("f", &json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]})), false),
        ];
        for (service, is_given) in posts {
            assert_eq!(cluster.post(admin(), SERVICES, service.clone()).await.is_ok(), is_given, "{service}");
        }
        // A dry run is nothing that counts.
        cluster.post(admin(), &format!("{SERVICES}?dryRun=All"), service("g", &json!({}))).await.unwrap();
        let after = figures().await;
        let cidr = "cidr=\"10.96.0.0/12\"";
        for (of, more) in [
            (format!("clusterip_allocator_allocated_ips{{{cidr}}}"), 3),
            (format!("clusterip_allocator_allocation_total{{{cidr},scope=\"dynamic\"}}"), 1),
            (format!("clusterip_allocator_allocation_total{{{cidr},scope=\"static\"}}"), 2),
            (format!("clusterip_allocator_allocation_errors_total{{{cidr},scope=\"static\"}}"), 1),
            (format!("clusterip_allocator_allocation_errors_total{{{cidr},scope=\"dynamic\"}}"), 0),
            (format!("clusterip_allocator_allocation_duration_seconds_count{{{cidr}}}"), 3),
            (format!("clusterip_allocator_allocation_duration_seconds_bucket{{{cidr},le=\"+Inf\"}}"), 3),
            ("nodeport_allocator_allocated_ports".to_owned(), 1),
            ("nodeport_allocator_allocation_total{scope=\"dynamic\"}".to_owned(), 1),
            ("nodeport_allocator_allocation_total{scope=\"static\"}".to_owned(), 0),
            ("nodeport_allocator_allocation_errors_total{scope=\"static\"}".to_owned(), 1),
        ] {
            // Before the first service there may be no range that anybody has looked at.
            let was = before.iter().any(|line| line.starts_with(&of)).then(|| number(&before, &of));
            assert_eq!(number(&after, &of), was.unwrap_or_default() + more, "{of}");
        }
        let left = number(&after, &format!("clusterip_allocator_available_ips{{{cidr}}}"));
        assert_eq!(left + number(&after, &format!("clusterip_allocator_allocated_ips{{{cidr}}}")), (1 << 20) - 2);
        let left = number(&after, "nodeport_allocator_available_ports");
        assert_eq!(left + number(&after, "nodeport_allocator_allocated_ports"), 2_768);
        cluster.stop().await;
    }
}
