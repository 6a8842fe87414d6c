//! From endpoints to the slices that mirror them.

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};

use crate::{
    endpointslice::{
        desired::{EndpointKey, PortKey, endpoint_key, port_key},
        fill::fill,
        plan::{HEADLESS, MANAGED_BY, SERVICE_NAME},
    },
    service_pods::{TRIGGER_TIME, parse_ip},
};

/// Us.
pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// How many addresses of a subset are mirrored. Upstream: `--mirroring-max-endpoints-per-subset`.
pub(super) const PER_SUBSET_MAX: usize = 1_000;
/// The label of endpoints whose keeper writes slices, too.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a slice is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    /// `IPv4` or `IPv6`.
    pub(super) address_type: &'static str,
    /// All labels.
    pub(super) labels: BTreeMap<String, String>,
    /// All annotations.
    pub(super) annotations: BTreeMap<String, String>,
    /// The ports of all endpoints.
    pub(super) ports: Vec<EndpointPort>,
    /// The endpoints.
    pub(super) endpoints: Vec<Endpoint>,
}

/// One write. `at` is a place among the slices.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make a slice.
    Create(Draft),
    /// Change one.
    Update { at: usize, draft: Draft },
    /// Delete one.
    Delete { at: usize },
}

/// What is to be done, and what was left out.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// What is to be written.
    pub(super) actions: Vec<Action>,
    /// How many addresses were too many.
    pub(super) skipped: usize,
    /// How many addresses were none.
    pub(super) invalid: usize,
}

/// Whether a service's endpoints are kept by somebody else.
pub(super) fn has_no_selector(service: &Service) -> bool {
    service.spec.as_ref().is_none_or(|spec| spec.selector.as_ref().is_none_or(BTreeMap::is_empty))
}

/// Whether endpoints want to be mirrored.
pub(super) fn is_mirrored(endpoints: &Endpoints) -> bool {
    let label = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(SKIP));
    let annotations = endpoints.metadata.annotations.as_ref();
    label.is_none_or(|value| value != "true") && annotations.is_none_or(|all| !all.contains_key(LEADER))
}

type Groups = BTreeMap<(&'static str, PortKey), (Vec<EndpointPort>, BTreeMap<EndpointKey, Endpoint>)>;

/// Decides. Without endpoints all slices go.
pub(super) fn plan(endpoints: Option<&Endpoints>, slices: &[EndpointSlice]) -> Plan {
    let mut plan = Plan::default();
    let Some(endpoints) = endpoints else {
        plan.actions = (0..slices.len()).map(|at| Action::Delete { at }).collect();
        return plan;
    };
    let mut groups = Groups::new();
    for subset in endpoints.subsets.iter().flatten() {
        add_subset(subset, &mut groups, &mut plan);
    }
    let (labels, annotations) = (labels(endpoints), annotations(endpoints));
    let mut existing: BTreeMap<(&str, PortKey), Vec<usize>> = BTreeMap::new();
    for (at, slice) in slices.iter().enumerate() {
        let ports = port_key(slice.ports.as_deref().unwrap_or_default());
        existing.entry((slice.address_type.as_str(), ports)).or_default().push(at);
    }
    let (mut creates, mut updates, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    for ((address_type, key), (ports, wanted)) in groups {
        let places = existing.remove(&(address_type, key)).unwrap_or_default();
        let held: Vec<&[Endpoint]> = places.iter().map(|at| slices[*at].endpoints.as_slice()).collect();
        let is_dressed = |place: usize| {
            let metadata = &slices[places[place]].metadata;
            metadata.labels.as_ref() == Some(&labels)
                && metadata.annotations.as_ref().is_none_or(|all| *all == annotations)
                && (metadata.annotations.is_some() || annotations.is_empty())
        };
        let draft = |endpoints| Draft {
            address_type,
            labels: labels.clone(),
            annotations: annotations.clone(),
            ports: ports.clone(),
            endpoints,
        };
        let filled = fill(wanted, &held, PER_SUBSET_MAX, is_dressed);
        creates.extend(filled.new.into_iter().map(|endpoints| Action::Create(draft(endpoints))));
        let changed = filled.changed.into_iter();
        updates.extend(changed.map(|(place, endpoints)| Action::Update { at: places[place], draft: draft(endpoints) }));
        deletes.extend(filled.emptied.into_iter().map(|place| Action::Delete { at: places[place] }));
    }
    deletes.extend(existing.into_values().flatten().map(|at| Action::Delete { at }));
    plan.actions = creates.into_iter().chain(updates).chain(deletes).collect();
    plan
}

fn add_subset(subset: &EndpointSubset, groups: &mut Groups, plan: &mut Plan) {
    let ports: Vec<EndpointPort> = subset
        .ports
        .iter()
        .flatten()
        .map(|port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    // The key is made once, not for each address: a subset can have tens of thousands of ports.
    let key = port_key(&ports);
    let mut by_type: BTreeMap<&'static str, BTreeMap<EndpointKey, Endpoint>> = BTreeMap::new();
    let mut count = 0;
    for (addresses, is_ready) in [(&subset.addresses, true), (&subset.not_ready_addresses, false)] {
        for address in addresses.iter().flatten() {
            if count == PER_SUBSET_MAX {
                plan.skipped += 1;
                continue;
            }
            let Some(ip) = parse_ip(&address.ip) else {
                plan.invalid += 1;
                continue;
            };
            count += 1;
            let address_type = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
            let endpoint = endpoint(address, ip.to_string(), is_ready);
            by_type.entry(address_type).or_default().insert(endpoint_key(&endpoint), endpoint);
        }
    }
    for (address_type, new) in by_type {
        let (_, endpoints) =
            groups.entry((address_type, key.clone())).or_insert_with(|| (ports.clone(), BTreeMap::new()));
        endpoints.extend(new);
    }
}

fn endpoint(address: &EndpointAddress, ip: String, is_ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip],
        conditions: Some(EndpointConditions { ready: Some(is_ready), serving: None, terminating: None }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address
            .target_ref
            .clone()
            .map(|target| corten_api::core::v1::ObjectReference { resource_version: None, ..target }),
        ..Endpoint::default()
    }
}

fn labels(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    labels.insert(SERVICE_NAME.to_owned(), endpoints.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

fn annotations(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(TRIGGER_TIME);
    annotations.remove(LAST_APPLIED);
    annotations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoints(subsets: serde_json::Value) -> Endpoints {
        serde_json::from_value(json!({"metadata": {"name": "db"}, "subsets": subsets})).unwrap()
    }

    #[test]
    fn subsets_become_slices_by_family_and_ports() {
        let subsets = json!([{
            "addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
            "ports": [{"port": 5432}],
        }]);
        let plan = plan(Some(&endpoints(subsets)), &[]);
        let [Action::Create(v4), Action::Create(v6)] = &plan.actions[..] else { panic!("{plan:?}") };
        let ready = |draft: &Draft| -> Vec<(String, bool)> {
            let of = |endpoint: &Endpoint| endpoint.conditions.as_ref().and_then(|all| all.ready).unwrap();
            draft.endpoints.iter().map(|endpoint| (endpoint.addresses[0].clone(), of(endpoint))).collect()
        };
        assert_eq!(ready(v4), [("10.0.0.1".to_owned(), true), ("10.0.0.2".to_owned(), false)]);
        assert_eq!((v6.address_type, ready(v6)), ("IPv6", vec![("fd00::1".to_owned(), true)]));
        assert_eq!(v4.ports[0].port, Some(5432));
    }

    #[test]
    fn what_is_too_much_or_no_address_is_counted() {
        let mut addresses: Vec<_> =
            (0..1_002).map(|n| json!({"ip": format!("10.0.{}.{}", n / 250, n % 250)})).collect();
        addresses.insert(0, json!({"ip": "nonsense"}));
        let plan = plan(Some(&endpoints(json!([{"addresses": addresses, "ports": [{"port": 1}]}]))), &[]);
        assert_eq!((plan.actions.len(), plan.skipped, plan.invalid), (1, 2, 1));
    }

    #[test]
    fn slices_without_endpoints_go() {
        let slice = serde_json::from_value(json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}));
        let slice: EndpointSlice = slice.unwrap();
        assert_eq!(plan(None, std::slice::from_ref(&slice)).actions, [Action::Delete { at: 0 }]);
        assert_eq!(plan(Some(&endpoints(json!([]))), &[slice]).actions, [Action::Delete { at: 0 }]);
    }
}
