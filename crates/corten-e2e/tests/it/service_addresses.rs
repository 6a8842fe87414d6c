//! Addresses of services and the ranges that they come from, as kubectl shows them.

use anyhow::ensure;
use corten_e2e::{Cluster, Kubectl, eventually};

const MORE: &str = r"
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: more}
spec: {cidrs: [10.200.0.0/29]}
";

fn service(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]{spec}}}\n")
}

/// Lines of a table without its header, each with one space between cells.
fn rows(table: &str) -> Vec<String> {
    table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn condition(kubectl: &Kubectl, range: &str, field: &str) -> String {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"Ready\")].{field}}}");
    kubectl.ok(&["get", "servicecidr", range, "-o", &path])
}

#[test]
fn services_have_addresses_of_ranges() {
    let mut cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    addresses_come_and_go_with_services(&kubectl).unwrap();
    a_range_stays_while_services_need_it(&kubectl).unwrap();
    // What is stored is right: nothing is found to repair at the next start.
    let before = kubectl.ok(&["get", "ipaddresses", "-o", "jsonpath={.items[*].metadata.uid}"]);
    cluster.stop().unwrap();
    cluster.restart().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    eventually("the start's repair", || {
        let check = kubectl.ok(&["get", "--raw", "/readyz/poststarthook/start-service-ip-repair-controllers"]);
        ensure!(check == "ok", "{check}");
        Ok(())
    })
    .unwrap();
    assert_eq!(kubectl.ok(&["get", "ipaddresses", "-o", "jsonpath={.items[*].metadata.uid}"]), before);
    cluster.stop().unwrap();
}

fn addresses_come_and_go_with_services(kubectl: &Kubectl) -> anyhow::Result<()> {
    eventually("the first address", || {
        let rows = rows(&kubectl.ok(&["get", "ipaddresses"]));
        ensure!(rows.contains(&"10.96.0.1 services/default/kubernetes".to_owned()), "{rows:?}");
        Ok(())
    })?;
    let ranges = rows(&kubectl.ok(&["get", "servicecidrs"]));
    ensure!(ranges.len() == 1 && ranges[0].starts_with("kubernetes 10.96.0.0/12 "), "{ranges:?}");
    eventually("the default range is kept", || {
        let message = condition(kubectl, "kubernetes", "message");
        ensure!(message == "Kubernetes Service CIDR is ready", "{message}");
        let finalizers = kubectl.ok(&["get", "servicecidr", "kubernetes", "-o", "jsonpath={.metadata.finalizers}"]);
        ensure!(finalizers == "[\"networking.k8s.io/service-cidr-finalizer\"]", "{finalizers}");
        Ok(())
    })?;
    kubectl.apply(&service("web", ", clusterIP: 10.96.7.7"))?;
    let found = rows(&kubectl.ok(&["get", "ip", "10.96.7.7"]));
    ensure!(found == ["10.96.7.7 services/default/web"], "{found:?}");
    let refused = kubectl.run_with(&["create", "-f", "-"], &service("web2", ", clusterIP: 10.96.7.7"))?;
    let refused = refused.err;
    ensure!(refused.contains("failed to allocate IP 10.96.7.7: provided IP is already allocated"), "{refused}");
    // Deleted by hand it comes back, and its service says so.
    kubectl.ok(&["delete", "ipaddress", "10.96.7.7"]);
    eventually("the repair", || {
        let rows = rows(&kubectl.ok(&["get", "ip", "--ignore-not-found", "10.96.7.7"]));
        ensure!(rows == ["10.96.7.7 services/default/web"], "{rows:?}");
        let events = kubectl.ok(&["describe", "service", "web"]);
        ensure!(events.contains("Cluster IP [IPv4]: 10.96.7.7 is not allocated; repairing"), "{events}");
        Ok(())
    })?;
    kubectl.ok(&["delete", "service", "web"]);
    let gone = kubectl.fails(&["get", "ip", "10.96.7.7"]);
    ensure!(gone.contains("ipaddresses.networking.k8s.io \"10.96.7.7\" not found"), "{gone}");
    Ok(())
}

fn a_range_stays_while_services_need_it(kubectl: &Kubectl) -> anyhow::Result<()> {
    let outside = kubectl.run_with(&["create", "-f", "-"], &service("far", ", clusterIP: 10.200.0.3"))?;
    let outside = outside.err;
    ensure!(outside.contains("the provided network does not match the current range"), "{outside}");
    kubectl.apply(MORE)?;
    eventually("the range is ready", || {
        let status = condition(kubectl, "more", "status");
        ensure!(status == "True", "{status}");
        Ok(())
    })?;
    kubectl.apply(&service("far", ", clusterIP: 10.200.0.3"))?;
    kubectl.ok(&["delete", "servicecidr", "more", "--wait=false"]);
    eventually("the range waits", || {
        let reason = condition(kubectl, "more", "reason");
        ensure!(reason == "Terminating", "{reason}");
        Ok(())
    })?;
    let refused = kubectl.run_with(&["create", "-f", "-"], &service("late", ", clusterIP: 10.200.0.4"))?;
    ensure!(!refused.success, "a range on its way out gave an address");
    kubectl.ok(&["delete", "service", "far"]);
    // Ten seconds after the deletion at the earliest.
    kubectl.ok(&["wait", "--for=delete", "servicecidr/more", "--timeout=60s"]);
    let ranges = rows(&kubectl.ok(&["get", "servicecidrs"]));
    ensure!(ranges.len() == 1, "{ranges:?}");
    Ok(())
}
