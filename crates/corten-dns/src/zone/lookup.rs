//! From a question to an answer.

use std::{net::IpAddr, sync::atomic::Ordering};

use smallvec::SmallVec;

use super::{
    facts::{EndpointSliceFacts, Protocol, ServiceFacts, ServiceKind, ServicePort},
    records::{Service, Zone},
    reverse::{self, address_of, dashed, from_dashed},
};
use crate::message::{Name, Query, Response, Section, code, name::Labels, response::Owner};

/// How long clients may keep an answer, in seconds: what `CoreDNS` gives.
const TTL: u32 = 5;
/// The version of the schema changes with an upgrade only.
const VERSION_TTL: u32 = 28_800;
const SCHEMA_VERSION: &str = "1.1.0";
/// Longer chains of aliases inside the cluster are loops, or as bad.
const MAX_ALIASES: usize = 8;
/// No message holds more records: 65,535 bytes, of which an address takes 16. What a service has beyond it is not gathered.
pub(super) const RECORDS_MAX: usize = 4_096;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack between two calls; a box would allocate")]
pub enum Outcome {
    /// The response holds the answer; it ends with this code.
    Answered(u16),
    /// The question is not the cluster's: ask upstream. Nothing was written.
    Forward,
    /// The response holds an alias that leads out of the cluster: ask upstream for this name and add what it says.
    Chase(Name),
}

/// A name of the zone, taken apart.
enum Place<'q> {
    /// The zone's own names that exist without records.
    Branch,
    Version,
    NameServer,
    Namespace(&'q [u8]),
    Pod {
        namespace: &'q [u8],
        label: &'q [u8],
    },
    Service(ServicePlace<'q>),
    Nowhere,
}

#[derive(Clone, Copy)]
pub(super) struct ServicePlace<'q> {
    pub(super) namespace: &'q [u8],
    pub(super) service: &'q [u8],
    pub(super) endpoint: Option<&'q [u8]>,
    pub(super) port: Option<PortLabels<'q>>,
}

/// `_port._protocol`, without the underscores; an empty one means any.
#[derive(Clone, Copy)]
pub(super) struct PortLabels<'q> {
    pub(super) name: &'q [u8],
    pub(super) protocol: &'q [u8],
}

/// What a name has. `Nothing`: it exists, without records of the kinds that differ by type.
enum Found<'z> {
    NoName,
    Nothing,
    Version,
    Addresses(SmallVec<[IpAddr; 4]>),
    Headless(&'z Service),
    External(&'z str),
}

impl Zone {
    /// Writes the answer to `query` into `response`, as far as the cluster knows it.
    pub fn answer(&self, query: &Query<'_>, response: &mut Response) -> Outcome {
        let in_zone = query.name.in_front_of(&self.domain);
        if query.class != code::IN {
            return if in_zone.is_some() { Outcome::Answered(code::REFUSED) } else { Outcome::Forward };
        }
        let Some(front) = in_zone else { return self.answer_reverse(query, response) };
        if matches!(query.record_type, code::AXFR | code::IXFR) {
            return Outcome::Answered(code::REFUSED);
        }
        let outcome = self.answer_in_zone(query, front, response);
        if outcome == Outcome::Answered(code::NAME_ERROR) && !self.synced {
            return Outcome::Answered(code::SERVER_FAILURE);
        }
        if matches!(outcome, Outcome::Answered(_)) && response.answers() == 0 {
            response.soa(Section::Authority, front.len(), TTL, self.serial);
        }
        outcome
    }

    fn answer_in_zone(&self, query: &Query<'_>, front: &[u8], response: &mut Response) -> Outcome {
        let place = take_apart(front);
        let found = self.find(&place);
        if matches!(found, Found::NoName) {
            return Outcome::Answered(code::NAME_ERROR);
        }
        let apex = front.is_empty();
        match (query.record_type, &found) {
            (code::SOA, _) if apex => drop(response.soa(Section::Answer, 0, TTL, self.serial)),
            (code::NS, _) if apex => self.name_server(response),
            (code::TXT, Found::Version) => drop(response.text(Owner::QUESTION, VERSION_TTL, SCHEMA_VERSION)),
            (code::CNAME, Found::External(target)) => {
                if let Some(target) = Name::from_text(target) {
                    response.cname(Owner::QUESTION, TTL, target.wire());
                }
            }
            (code::SRV, _) => {
                if let Place::Service(place) = &place {
                    self.locate(place, response);
                }
            }
            (code::A | code::AAAA, _) => return self.addresses(query, found, response),
            _ => {}
        }
        Outcome::Answered(code::NO_ERROR)
    }

    fn find(&self, place: &Place<'_>) -> Found<'_> {
        match place {
            Place::Nowhere => Found::NoName,
            Place::Branch => Found::Nothing,
            Place::Version => Found::Version,
            Place::NameServer => self.find_name_server(),
            Place::Namespace(namespace) if self.namespaces.contains_key(*namespace) => Found::Nothing,
            Place::Pod { namespace, label } if self.namespaces.contains_key(*namespace) => {
                from_dashed(label).map_or(Found::NoName, |ip| Found::Addresses([ip].into_iter().collect()))
            }
            Place::Namespace(_) | Place::Pod { .. } => Found::NoName,
            Place::Service(place) => self.find_service(place),
        }
    }

    fn service_at(&self, place: &ServicePlace<'_>) -> Option<(&Service, &ServiceFacts)> {
        let service = self.namespaces.get(place.namespace)?.services.get(place.service)?;
        Some((service, service.facts()?))
    }

    fn find_service(&self, place: &ServicePlace<'_>) -> Found<'_> {
        let Some((service, facts)) = self.service_at(place) else { return Found::NoName };
        match &facts.kind {
            ServiceKind::ExternalName(target) => {
                // An address is not a name: such a service has no records.
                let alone = place.endpoint.is_none() && place.port.is_none();
                if alone && target.parse::<IpAddr>().is_err() { Found::External(target) } else { Found::NoName }
            }
            ServiceKind::ClusterIps(ips) if place.endpoint.is_none() => match place.port {
                Some(_) if !facts.ports.iter().any(|port| place.wants(&port.name, port.protocol)) => Found::NoName,
                _ => Found::Addresses(ips.iter().copied().collect()),
            },
            ServiceKind::Headless if place.endpoint.is_none() && place.port.is_none() => {
                if service.v4.is_empty() && service.v6.is_empty() { Found::NoName } else { Found::Headless(service) }
            }
            ServiceKind::Headless | ServiceKind::ClusterIps(_) => {
                let mut ips: SmallVec<[IpAddr; 4]> = matching_slices(service, place)
                    .flat_map(|s| matching_endpoints(service, s, place))
                    .map(|(_, ip)| ip)
                    .take(RECORDS_MAX)
                    .collect();
                ips.sort_unstable();
                ips.dedup();
                if ips.is_empty() { Found::NoName } else { Found::Addresses(ips) }
            }
        }
    }

    /// The addresses of what was found, or where its alias leads.
    fn addresses<'z>(&'z self, query: &Query<'_>, mut found: Found<'z>, response: &mut Response) -> Outcome {
        let start = response.mark();
        let mut owner = Owner::QUESTION;
        let mut own_name = query.name;
        for _ in 0..MAX_ALIASES {
            match found {
                Found::External(target) => {
                    let Some(target) = Name::from_text(target).filter(|target| *target != own_name) else { break };
                    let Some(next) = response.cname(owner, TTL, target.wire()) else { break };
                    let Some(front) = target.in_front_of(&self.domain) else { return Outcome::Chase(target) };
                    (owner, own_name) = (next, target);
                    found = self.find(&take_apart(front));
                }
                Found::Addresses(ips) => {
                    self.put_addresses(query, response, owner, &ips);
                    break;
                }
                Found::Headless(service) if query.record_type == code::A => {
                    self.put_all(response, owner, &service.v4);
                    break;
                }
                Found::Headless(service) => {
                    self.put_all(response, owner, &service.v6);
                    break;
                }
                Found::NoName | Found::Nothing | Found::Version => break,
            }
        }
        // An alias without an address behind it says nothing.
        if owner != Owner::QUESTION && response.only_aliases_since(&start) {
            response.go_back(start);
        }
        Outcome::Answered(code::NO_ERROR)
    }

    fn put_addresses(&self, query: &Query<'_>, response: &mut Response, owner: Owner, ips: &[IpAddr]) {
        let v4 = query.record_type == code::A;
        let wanted: SmallVec<[IpAddr; 4]> = ips.iter().copied().filter(|ip| ip.is_ipv4() == v4).collect();
        self.put_all(response, owner, &wanted);
    }

    fn put_all<T: Copy + Into<IpAddr>>(&self, response: &mut Response, owner: Owner, ips: &[T]) {
        let first = if ips.len() > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % ips.len() } else { 0 };
        for ip in ips[first..].iter().chain(&ips[..first]) {
            if !response.address(Section::Answer, owner, TTL, (*ip).into()) {
                return;
            }
        }
    }

    /// The `SRV` records of a service, and the addresses of their targets.
    fn locate(&self, place: &ServicePlace<'_>, response: &mut Response) {
        let Some((service, facts)) = self.service_at(place) else { return };
        let targets: SmallVec<[Target; 4]> = match &facts.kind {
            ServiceKind::ExternalName(_) => return,
            ServiceKind::ClusterIps(ips) if place.endpoint.is_none() => {
                let wanted = |port: &&ServicePort| place.wants(&port.name, port.protocol);
                let targets = facts.ports.iter().filter(wanted).flat_map(|port| ips.iter().map(move |ip| (port, *ip)));
                targets.take(RECORDS_MAX).map(|(port, ip)| Target { label: None, port: port.port, ip }).collect()
            }
            ServiceKind::ClusterIps(_) | ServiceKind::Headless => endpoint_targets(service, place),
        };
        self.put_targets(place, targets, response);
    }

    fn put_targets(&self, place: &ServicePlace<'_>, mut targets: SmallVec<[Target; 4]>, response: &mut Response) {
        targets.sort_unstable();
        targets.dedup();
        // All have the same weight; it is a share of a hundred, as far as that goes.
        let weight = (100 / targets.len().max(1)).max(1) as u16;
        let mut owners: SmallVec<[(Owner, IpAddr); 4]> = SmallVec::new();
        let mut last: Option<(usize, Option<Owner>)> = None;
        for (at, target) in targets.iter().enumerate() {
            let same_name = |(earlier, _): &(usize, Option<Owner>)| targets[*earlier].label == target.label;
            let same_record = last.as_ref().is_some_and(|l| same_name(l) && targets[l.0].port == target.port);
            let owner = if same_record {
                last.and_then(|(_, owner)| owner)
            } else {
                let name = self.name_in_service(place, target.label.as_deref());
                let owner =
                    response.named(Section::Answer, Owner::QUESTION, code::SRV, TTL, &[0, weight, target.port], &name);
                if response.is_cut() {
                    break;
                }
                last = Some((at, owner));
                owner
            };
            if let Some(owner) = owner
                && !targets[..at].iter().rev().take(MAX_SAME).any(|e| e.label == target.label && e.ip == target.ip)
            {
                owners.push((owner, target.ip));
            }
        }
        for (owner, ip) in owners {
            if !response.address(Section::Additional, owner, TTL, ip) {
                return;
            }
        }
    }

    /// A name below a service's, or its own, on the wire.
    fn name_in_service(&self, place: &ServicePlace<'_>, label: Option<&[u8]>) -> SmallVec<[u8; 128]> {
        let mut name = SmallVec::new();
        for label in label.into_iter().chain([place.service, place.namespace, b"svc"]) {
            // Labels come from questions or from names of objects, both of at most 63 bytes.
            name.push(label.len() as u8);
            name.extend_from_slice(label);
        }
        name.extend_from_slice(self.domain.wire());
        name
    }

    fn answer_reverse(&self, query: &Query<'_>, response: &mut Response) -> Outcome {
        let ip = (query.record_type == code::PTR).then(|| address_of(&query.name)).flatten();
        let Some(ip) = ip else { return Outcome::Forward };
        let key = self.service_ips.get(&ip).and_then(|keys| keys.first());
        if let Some(key) = key {
            let place = ServicePlace::of(&key.namespace, &key.name);
            let name = self.name_in_service(&place, None);
            response.named(Section::Answer, Owner::QUESTION, code::PTR, TTL, &[], &name);
            return Outcome::Answered(code::NO_ERROR);
        }
        let slices = self.endpoint_ips.get(&ip).into_iter().flatten().filter_map(|key| self.slice(key));
        let mut found = false;
        for slice in slices {
            let place = ServicePlace::of(&slice.key.namespace, &slice.service);
            let all = self.service_at(&place).is_some_and(|(_, facts)| facts.publish_not_ready_addresses);
            for endpoint in slice.endpoints.iter().filter(|e| (all || e.ready) && e.addresses.contains(&ip)) {
                let label = endpoint.hostname.as_deref().map_or_else(|| dashed(ip), |name| name.as_bytes().into());
                let name = self.name_in_service(&place, Some(&label));
                response.named(Section::Answer, Owner::QUESTION, code::PTR, TTL, &[], &name);
                if response.is_cut() {
                    return Outcome::Answered(code::NO_ERROR);
                }
                found = true;
            }
        }
        // What the cluster does not know may be known where the node's own network is.
        if found { Outcome::Answered(code::NO_ERROR) } else { Outcome::Forward }
    }

    fn find_name_server(&self) -> Found<'_> {
        let place = ServicePlace::of("kube-system", "kube-dns");
        match self.service_at(&place).map(|(_, facts)| &facts.kind) {
            Some(ServiceKind::ClusterIps(ips)) => Found::Addresses(ips.iter().copied().collect()),
            _ => Found::Nothing,
        }
    }

    fn name_server(&self, response: &mut Response) {
        let Found::Addresses(ips) = self.find_name_server() else { return };
        let place = ServicePlace::of("kube-system", "kube-dns");
        let name = self.name_in_service(&place, None);
        if let Some(owner) = response.named(Section::Answer, Owner::QUESTION, code::NS, TTL, &[], &name) {
            for ip in ips {
                response.address(Section::Additional, owner, TTL, ip);
            }
        }
    }
}

/// Endpoints of one name lie together after sorting; further apart a second address of the same name is only said twice.
const MAX_SAME: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    label: Option<reverse::Label>,
    port: u16,
    ip: IpAddr,
}

impl<'q> ServicePlace<'q> {
    pub(super) fn of(namespace: &'q str, service: &'q str) -> Self {
        Self { namespace: namespace.as_bytes(), service: service.as_bytes(), endpoint: None, port: None }
    }

    /// Whether the name asks for this port, or for none.
    fn wants(&self, name: &str, protocol: Protocol) -> bool {
        let fits = |wanted: &[u8], has: &str| wanted.is_empty() || wanted == has.as_bytes();
        self.port.is_none_or(|wanted| fits(wanted.name, name) && fits(wanted.protocol, protocol.label()))
    }
}

/// The slices of a service that have the port that a name asks for, if it asks for one.
fn matching_slices<'z>(service: &'z Service, place: &ServicePlace<'_>) -> impl Iterator<Item = &'z EndpointSliceFacts> {
    let place = *place;
    service.slices().filter(move |slice| {
        place.port.is_none() || slice.ports.iter().any(|port| place.wants(&port.name, port.protocol))
    })
}

/// The ready endpoints of a slice that a name means, with their own name and one address each time.
fn matching_endpoints<'z>(
    service: &'z Service,
    slice: &'z EndpointSliceFacts,
    place: &ServicePlace<'_>,
) -> impl Iterator<Item = (Option<&'z str>, IpAddr)> {
    let endpoint = place.endpoint;
    let spelled = endpoint.and_then(from_dashed).filter(|ip| Some(&*dashed(*ip)) == endpoint);
    service
        .endpoints_of(slice)
        .flat_map(|facts| facts.addresses.iter().map(|ip| (facts.hostname.as_deref(), *ip)))
        .filter(move |(hostname, ip)| match (endpoint, hostname) {
            (None, _) => true,
            (Some(wanted), Some(hostname)) => wanted == hostname.as_bytes(),
            (Some(_), None) => spelled == Some(*ip),
        })
}

/// Each endpoint that a name means, with each port that it asks for, as far as a message reaches.
pub(super) fn endpoint_targets(service: &Service, place: &ServicePlace<'_>) -> SmallVec<[Target; 4]> {
    let mut targets = SmallVec::new();
    for slice in matching_slices(service, place) {
        let wanted = slice.ports.iter().filter(|port| place.wants(&port.name, port.protocol));
        let ports: SmallVec<[u16; 4]> = wanted.filter_map(|port| port.port).collect();
        for (hostname, ip) in matching_endpoints(service, slice, place) {
            for port in &ports {
                if targets.len() == RECORDS_MAX {
                    return targets;
                }
                let label = hostname.map_or_else(|| dashed(ip), |name| name.as_bytes().into());
                targets.push(Target { label: Some(label), port: *port, ip });
            }
        }
    }
    targets
}

/// Takes apart what stands in front of the zone, from the right.
fn take_apart(front: &[u8]) -> Place<'_> {
    let labels: SmallVec<[&[u8]; 6]> = Labels(front).take(7).collect();
    match *labels {
        [] | [b"svc" | b"pod" | b"dns"] => Place::Branch,
        [b"dns-version"] => Place::Version,
        [b"ns", b"dns"] => Place::NameServer,
        [namespace, b"svc" | b"pod"] => Place::Namespace(namespace),
        [label, namespace, b"pod"] => Place::Pod { namespace, label },
        [service, namespace, b"svc"] => Place::Service(ServicePlace { namespace, service, endpoint: None, port: None }),
        [endpoint, service, namespace, b"svc"] => {
            Place::Service(ServicePlace { namespace, service, endpoint: Some(endpoint), port: None })
        }
        [port, protocol, service, namespace, b"svc"] => {
            let bare = |label: &'_ [u8]| label.strip_prefix(b"_").map_or(0, |_| 1);
            let port = PortLabels { name: &port[bare(port)..], protocol: &protocol[bare(protocol)..] };
            Place::Service(ServicePlace { namespace, service, endpoint: None, port: Some(port) })
        }
        _ => Place::Nowhere,
    }
}
