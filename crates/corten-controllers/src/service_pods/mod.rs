//! What services need to know of their pods: shared by the controllers that write endpoints.
//!
//! Flow: pod informer -> `PodFacts`, once per process -> `Membership` finds the services -> queue.
//! Upstream: k8s.io/endpointslice/util (v1.35).

mod facts;
mod membership;
mod trigger_time;

use std::{net::IpAddr, sync::Arc};

use corten_api::{
    core::v1::{Pod, Service, ServicePort},
    intstr::IntOrString,
};
use corten_apimachinery::value::Str;
use corten_client::api::resource_of;
use corten_informer::{InformerFactory, InformerId, Projected, Projection};

pub(crate) use facts::PodFacts;
pub(crate) use membership::{Membership, ServiceSelector};
pub(crate) use trigger_time::{ANNOTATION as TRIGGER_TIME, TriggerTimes};

/// Pods as services see them.
pub(crate) fn pods(informers: &InformerFactory) -> Arc<Projected<PodFacts>> {
    informers.projected(&InformerId::all(&resource_of::<Pod>()), PodFacts::of)
}

/// The selectors of all services.
pub(crate) fn selectors(informers: &InformerFactory) -> Arc<Projected<ServiceSelector>> {
    informers.projected(&InformerId::all(&resource_of::<Service>()), ServiceSelector::of)
}

/// A pod as a service sees it.
pub(crate) type ServicePod = Arc<Projection<PodFacts>>;

/// Whether a pod belongs into endpoints at all: it has an address and may still run. Pods that are being deleted count
/// only with `terminating_too`.
pub(crate) fn is_endpoint(pod: &PodFacts, terminating_too: bool) -> bool {
    !pod.is_terminal && !pod.ips.is_empty() && (terminating_too || !pod.is_terminating)
}

/// The pod's host name, if the service gives it a name of its own in the DNS.
pub(crate) fn host_name<'p>(pod: &'p PodFacts, service: &str) -> Option<&'p str> {
    (!pod.hostname.is_empty() && pod.subdomain == service).then_some(pod.hostname.as_str())
}

/// The number that a service's port has in one pod: a named target port is looked up among the pod's ports.
pub(crate) fn target_port(pod: &PodFacts, port: &ServicePort) -> Option<i32> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    match &port.target_port {
        Some(IntOrString::String(name)) => {
            let named = pod.ports.iter().find(|named| named.name == name.as_str() && named.protocol == protocol);
            named.map(|named| named.port)
        }
        Some(IntOrString::Int(0)) | None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
    }
}

/// Reads an address leniently, as upstream does: IPv4 parts may have leading zeros.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    corten_apimachinery::validation::parse_ip_sloppy(text)
}

/// A service's selector, if it has one that selects.
pub(crate) fn selects_pods(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    // Services that are only a name elsewhere have no endpoints, whatever their selector says.
    spec.is_some_and(|spec| spec.selector.is_some() && spec.type_.as_deref() != Some("ExternalName"))
}

/// A text for a tree or a struct.
pub(crate) fn owned(text: &Str) -> String {
    text.as_str().to_owned()
}
