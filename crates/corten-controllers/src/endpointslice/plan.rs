//! From a service, its pods and its slices to what has to be written: as little as possible.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
};
use corten_apimachinery::{validation, value::Str};

use super::{
    desired::{self, Group, PortKey},
    fill::fill,
};
use crate::service_pods::ServicePod;

/// How many endpoints a slice takes. Upstream: `--max-endpoints-per-slice`.
const PER_SLICE_MAX: usize = 100;
/// The label with the service's name.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says who keeps a slice.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Us.
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
/// The label of slices whose service has no address.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// What is there.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// The service.
    pub(super) service: &'a Service,
    /// The pods that it selects.
    pub(super) pods: &'a [ServicePod],
    /// The nodes that exist, with their zones.
    pub(super) zones: &'a BTreeMap<Str, Str>,
    /// The slices that we keep for it.
    pub(super) slices: &'a [EndpointSlice],
}

/// What a slice is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    /// `IPv4` or `IPv6`.
    pub(super) address_type: String,
    /// All labels.
    pub(super) labels: BTreeMap<String, String>,
    /// The ports of all endpoints.
    pub(super) ports: Vec<EndpointPort>,
    /// The endpoints.
    pub(super) endpoints: Vec<Endpoint>,
}

/// One write. `at` is a place in `Observed::slices`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make a slice.
    Create(Draft),
    /// Change one.
    Update { at: usize, draft: Draft },
    /// Delete one.
    Delete { at: usize },
}

/// Decides for all address families of a service. Creations come first and deletions last, so that no endpoint is
/// missing in between.
pub(super) fn plan(observed: &Observed<'_>) -> Vec<Action> {
    let families = desired::families(observed.service);
    let (mut creates, mut updates, mut deletes) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for (at, slice) in observed.slices.iter().enumerate() {
        if !families.contains(slice.address_type.as_str()) {
            deletes.insert(at);
        }
    }
    for family in families {
        plan_family(observed, family, &mut creates, &mut updates, &mut deletes);
    }
    // A service that is being deleted gets no new slices: the garbage collector takes the old ones away meanwhile.
    if observed.service.metadata.deletion_timestamp.is_some() {
        creates.clear();
    }
    let creates = creates.into_iter().map(Action::Create);
    let updates = updates.into_iter().map(|(at, draft)| Action::Update { at, draft });
    creates.chain(updates).chain(deletes.into_iter().map(|at| Action::Delete { at })).collect()
}

fn plan_family(
    observed: &Observed<'_>,
    family: &'static str,
    creates: &mut Vec<Draft>,
    updates: &mut BTreeMap<usize, Draft>,
    deletes: &mut BTreeSet<usize>,
) {
    let mut existing: BTreeMap<PortKey, Vec<usize>> = BTreeMap::new();
    let (mut present, mut to_delete, mut to_create) = (0, Vec::new(), Vec::new());
    for (at, slice) in observed.slices.iter().enumerate().filter(|(_, slice)| slice.address_type == family) {
        present += 1;
        if is_owned(slice, observed.service) {
            let ports = slice.ports.as_deref().unwrap_or_default();
            existing.entry(desired::port_key(ports)).or_default().push(at);
        } else {
            to_delete.push(at);
        }
    }
    for (key, group) in desired::groups(observed, family) {
        let slices = existing.remove(&key).unwrap_or_default();
        fill_group(observed, family, group, &slices, &mut to_create, updates, &mut to_delete);
    }
    to_delete.extend(existing.into_values().flatten());
    if to_create.is_empty() && present == to_delete.len() {
        let placeholder = Draft {
            address_type: family.to_owned(),
            labels: labels(observed.service),
            ports: Vec::new(),
            endpoints: Vec::new(),
        };
        match to_delete[..] {
            [at] if is_placeholder(&observed.slices[at], &placeholder, observed.service) => to_delete.clear(),
            _ => to_create.push(placeholder),
        }
    }
    // What would be deleted is written over by what would be made: one write instead of two.
    for at in to_delete {
        if is_owned(&observed.slices[at], observed.service)
            && let Some(draft) = to_create.pop()
        {
            updates.insert(at, draft);
        } else {
            deletes.insert(at);
        }
    }
    creates.append(&mut to_create);
}

fn fill_group(
    observed: &Observed<'_>,
    family: &str,
    group: Group,
    slices: &[usize],
    creates: &mut Vec<Draft>,
    updates: &mut BTreeMap<usize, Draft>,
    deletes: &mut Vec<usize>,
) {
    let labels = labels(observed.service);
    let draft = |endpoints| Draft {
        address_type: family.to_owned(),
        labels: labels.clone(),
        ports: group.ports.clone(),
        endpoints,
    };
    let held: Vec<&[Endpoint]> = slices.iter().map(|at| observed.slices[*at].endpoints.as_slice()).collect();
    let has_labels = |at: usize| same_labels(&observed.slices[at], &labels);
    let filled = fill(group.endpoints, &held, PER_SLICE_MAX, |place| has_labels(slices[place]));
    for (place, endpoints) in filled.changed {
        updates.insert(slices[place], draft(endpoints));
    }
    deletes.extend(filled.emptied.into_iter().map(|place| slices[place]));
    creates.extend(filled.new.into_iter().map(draft));
}

/// The labels of a service's slices: the service's own, but for those that say what a slice is.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if !has_address(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// Whether the slice has the labels it should have; those that say what a slice is are not worth a write alone.
fn same_labels(slice: &EndpointSlice, labels: &BTreeMap<String, String>) -> bool {
    let is_plain = |key: &str| ![SERVICE_NAME, MANAGED_BY, HEADLESS].contains(&key);
    let plain = |labels: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        labels.iter().filter(|(key, _)| is_plain(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    plain(&slice.metadata.labels.clone().unwrap_or_default()) == plain(labels)
}

fn is_placeholder(slice: &EndpointSlice, placeholder: &Draft, service: &Service) -> bool {
    is_owned(slice, service)
        && slice.endpoints.is_empty()
        && slice.ports.as_deref().unwrap_or_default().is_empty()
        && slice.metadata.labels.as_ref() == Some(&placeholder.labels)
}

fn is_owned(slice: &EndpointSlice, service: &Service) -> bool {
    let owners = slice.metadata.owner_references.as_deref().unwrap_or_default();
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    owners.iter().any(|owner| owner.uid == uid && owner.kind == "Service" && owner.api_version == "v1")
}

fn has_address(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default();
    !address.is_empty() && address != "None"
}

/// What the names of a service's slices begin with.
pub(crate) fn name_prefix(service: &str) -> String {
    let prefix = format!("{service}-");
    if validation::is_dns1123_subdomain_prefixed(&prefix, true).is_empty() { prefix } else { service.to_owned() }
}
