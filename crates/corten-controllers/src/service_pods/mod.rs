//! What services need to know of their pods: shared by the controllers that write endpoints.
//!
//! Flow: pod informer -> `PodState`, once per process -> `Membership` finds the services -> queue.
//! Upstream: k8s.io/endpointslice/util (v1.35).

mod membership;
mod trigger_time;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use corten_api::{
    core::v1::{Service, ServicePort},
    intstr::IntOrString,
};
use corten_apimachinery::value::Str;
use corten_client::api::resource_of;
use corten_informer::{InformerFactory, InformerId, Projected, Projection};

pub(crate) use membership::{Membership, ServiceSelector};
pub(crate) use trigger_time::{ANNOTATION as TRIGGER_TIME, TriggerTimes};

use crate::pods::PodState;

/// The selectors of all services.
pub(crate) fn selectors(informers: &InformerFactory) -> Arc<Projected<ServiceSelector>> {
    informers.projected(&InformerId::all(&resource_of::<Service>()), ServiceSelector::of)
}

/// A pod as a service sees it.
pub(crate) type ServicePod = Arc<Projection<PodState>>;

/// Whether a pod belongs into endpoints at all: it has an address and may still run. Pods that are being deleted count
/// only with `terminating_too`.
pub(crate) fn is_endpoint(pod: &PodState, terminating_too: bool) -> bool {
    !pod.is_terminal() && !pod.ips.is_empty() && (terminating_too || pod.deletion.is_none())
}

/// The pod's host name, if the service gives it a name of its own in the DNS.
pub(crate) fn host_name<'p>(pod: &'p PodState, service: &str) -> Option<&'p str> {
    let rare = pod.rare();
    (!rare.hostname.is_empty() && rare.subdomain == service).then_some(rare.hostname.as_str())
}

/// The numbers that the ports of a service have in its pods. Those of named target ports are looked up in each pod; pods with
/// the same answers have the same ports, which are made once for all of them.
pub(crate) struct TargetPorts<'s> {
    ports: &'s [ServicePort],
    /// The named target ports, by name and protocol, each once.
    named: BTreeMap<(&'s str, &'s str), usize>,
}

/// What one pod answers, in the order of the named target ports.
pub(crate) type Answers = Vec<Option<i32>>;

impl<'s> TargetPorts<'s> {
    /// Those of `ports`.
    pub(crate) fn of(ports: &'s [ServicePort]) -> Self {
        let mut named: BTreeMap<(&str, &str), usize> =
            ports.iter().filter_map(|port| Some((named(port)?, 0))).collect();
        named.values_mut().enumerate().for_each(|(at, place)| *place = at);
        Self { ports, named }
    }

    /// What a pod answers.
    pub(crate) fn answers(&self, pod: &PodState) -> Answers {
        let mut answers = vec![None; self.named.len()];
        if !answers.is_empty() {
            for port in &pod.rare().ports {
                if let Some(at) = self.named.get(&(port.name.as_str(), port.protocol.as_str())) {
                    // The first of a name counts.
                    answers[*at].get_or_insert(port.port);
                }
            }
        }
        answers
    }

    /// The ports that pods with these answers have, with their numbers.
    pub(crate) fn resolve(&self, answers: &Answers) -> impl Iterator<Item = (&'s ServicePort, i32)> {
        self.ports.iter().filter_map(|port| {
            let number = match (&port.target_port, named(port)) {
                (_, Some(name)) => answers[self.named[&name]]?,
                (Some(IntOrString::Int(number)), _) if *number != 0 => *number,
                _ => port.port,
            };
            Some((port, number))
        })
    }
}

/// Name and protocol of a port's target, if that has a name.
fn named(port: &ServicePort) -> Option<(&str, &str)> {
    match &port.target_port {
        Some(IntOrString::String(name)) => Some((name, port.protocol.as_deref().unwrap_or("TCP"))),
        _ => None,
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
