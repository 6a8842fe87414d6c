use serde_json::json;

use super::*;
use crate::testing::tree;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn service(ips: &[&str]) -> Value {
    tree(json!({"metadata": {"namespace": "default", "name": "web"}, "spec": {"clusterIP": ips[0], "clusterIPs": ips}}))
}

/// The object of 10.0.0.1, of this service.
fn object_of(name: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": "10.0.0.1", "labels": {
            "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": name}},
    })
}

/// There are `web`, and `twin` with the same address, and `other` with another one. The ranges are 10.0.0.0/24 and fd00::/112.
fn owned(service: ServiceName<'_>) -> Result<Option<Vec<IpAddr>>, Status> {
    assert_eq!(service.namespace, "default");
    Ok(match service.name {
        "web" | "twin" => Some(vec![address("10.0.0.1")]),
        "other" => Some(vec![address("10.0.0.9")]),
        _ => None,
    })
}

#[track_caller]
fn check_service(ips: &[&str], object: Option<serde_json::Value>, want: &[ServiceFinding]) {
    let object = object.map(tree);
    let is_in_range =
        |address: IpAddr| address.is_ipv6() || matches!(address, IpAddr::V4(v4) if v4.octets()[..3] == [10, 0, 0]);
    let find = |at: IpAddr| Ok(object.clone().filter(|_| at == address("10.0.0.1")));
    let found = of_service(&service(ips), &is_in_range, &find, &owned).unwrap();
    assert_eq!(found, want, "{ips:?} {object:?}");
}

#[test]
fn an_address_of_a_service_has_an_object_that_names_it() {
    use ServiceFinding as F;
    let ip = address("10.0.0.1");
    check_service(&["10.0.0.1"], Some(object_of("web")), &[]);
    check_service(&["10.0.0.1"], None, &[F::NotAllocated(ip)]);
    check_service(&["10.1.0.1"], None, &[F::OutOfRange(address("10.1.0.1"))]);
    check_service(&["ten"], None, &[F::NotValid]);
    check_service(&["10.0.0.1", "fd00::1"], Some(object_of("web")), &[F::NotAllocated(address("fd00::1"))]);
    // Of nobody, of somebody who has another address, of somebody who has this one, too.
    check_service(&["10.0.0.1"], Some(object_of("gone")), &[F::WrongReference(ip)]);
    check_service(&["10.0.0.1"], Some(object_of("other")), &[F::WrongReference(ip)]);
    check_service(&["10.0.0.1"], Some(object_of("twin")), &[F::Duplicate(ip)]);
    let mut gateway = object_of("web");
    gateway["spec"]["parentRef"]["group"] = json!("gateway.networking.k8s.io");
    check_service(&["10.0.0.1"], Some(gateway), &[F::WrongReference(ip)]);
    for (label, text) in [(LABEL_FAMILY, "IPv6"), (LABEL_MANAGED_BY, "me")] {
        let mut labelled = object_of("web");
        labelled["metadata"]["labels"][label] = json!(text);
        check_service(&["10.0.0.1"], Some(labelled), &[F::WrongLabels(ip)]);
    }
}

#[test]
fn findings_are_told_in_upstreams_words_and_repaired_where_that_is_possible() {
    let service = ServiceName { namespace: "default", name: "web" };
    let check = |finding: ServiceFinding, want: Option<(&str, &str)>, is_remade: bool| {
        let event = finding.event(service);
        assert_eq!(event.as_ref().map(|(reason, _, note)| (*reason, note.as_str())), want);
        assert_eq!(finding.remade().is_some(), is_remade, "{finding:?}");
    };
    let (v4, v6) = (address("10.0.0.1"), address("fd00::1"));
    check(
        ServiceFinding::NotAllocated(v4),
        Some(("ClusterIPNotAllocated", "Cluster IP [IPv4]: 10.0.0.1 is not allocated; repairing")),
        true,
    );
    check(
        ServiceFinding::OutOfRange(v6),
        Some((
            "ClusterIPOutOfRange",
            "Cluster IP [IPv6]: fd00::1 is not within any configured Service CIDR; please recreate service",
        )),
        false,
    );
    check(
        ServiceFinding::WrongReference(v4),
        Some((
            "ClusterIPNotAllocated",
            "the ClusterIP [IPv4]: 10.0.0.1 for Service default/web has a wrong reference; repairing",
        )),
        true,
    );
    check(
        ServiceFinding::Duplicate(v4),
        Some((
            "ClusterIPAlreadyAllocated",
            "Cluster IP [IPv4]:10.0.0.1 was assigned to multiple services; please recreate service",
        )),
        false,
    );
    check(
        ServiceFinding::NotValid,
        Some(("ClusterIPNotValid", "Cluster IP <nil> is not a valid IP; please recreate Service")),
        false,
    );
    check(ServiceFinding::WrongLabels(v4), None, true);
}

#[test]
fn an_object_names_a_service_that_has_its_address() {
    let check = |object: serde_json::Value, want: Option<(AddressFinding, &str, &str)>| {
        let object = tree(object);
        let found = of_address("10.0.0.1", &object, &owned).unwrap();
        let told = found.map(|found| (found, found.event("10.0.0.1", &object)));
        let told = told.as_ref().map(|(found, (reason, note))| (*found, *reason, note.as_str()));
        assert_eq!(told, want);
    };
    check(object_of("web"), None);
    check(object_of("twin"), None);
    check(
        object_of("gone"),
        Some((
            AddressFinding::Leaked,
            "IPAddressNotAllocated",
            "IPAddress: 10.0.0.1 for Service default/gone appears to have leaked: cleaning up",
        )),
    );
    check(
        object_of("other"),
        Some((
            AddressFinding::WrongReference,
            "IPAddressWrongReference",
            "IPAddress: 10.0.0.1 for Service default/other has a wrong reference; cleaning up",
        )),
    );
    let mut gateway = object_of("web");
    gateway["spec"]["parentRef"] = json!({"group": "g.io", "resource": "gateways", "name": "g"});
    check(
        gateway,
        Some((
            AddressFinding::NotOfAService,
            "IPAddressNotAllocated",
            "IPAddress 10.0.0.1 appears to have been modified, not referencing a Service \
             &ParentReference{Group:g.io,Resource:gateways,Namespace:,Name:g,}: cleaning up",
        )),
    );
}

#[test]
fn an_object_waits_a_minute_for_its_service() {
    let check = |age_seconds: i64, want: Option<u64>| {
        assert_eq!(
            left_of_grace(SignedDuration::from_secs(age_seconds)),
            want.map(Duration::from_secs),
            "{age_seconds}"
        );
    };
    check(-5, Some(60));
    check(0, Some(60));
    check(59, Some(1));
    check(61, None);
    assert_eq!(left_of_grace(GRACE), Some(Duration::from_millis(1)));
}
