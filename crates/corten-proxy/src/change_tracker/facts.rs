//! What the proxy needs to know of Services and EndpointSlices, read from their JSON.
//!
//! Everything else of the objects is skipped while reading, so that nothing of it is kept. Upstream:
//! `pkg/proxy/serviceport.go`, `pkg/proxy/endpointslicecache.go` (v1.35).

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use corten_apimachinery::validation::{parse_cidr_sloppy, parse_ip_sloppy};
use ipnet::IpNet;
use serde::Deserialize;

use crate::names::{IpFamily, ObjectName, Protocol};

/// Names the service that a slice belongs to.
const LABEL_SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Hands a service to another proxy.
const LABEL_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Marks services and slices without a cluster address.
const LABEL_HEADLESS: &str = "service.kubernetes.io/headless";
/// The API's default for `sessionAffinityConfig.clientIP.timeoutSeconds`.
const DEFAULT_AFFINITY: Duration = Duration::from_secs(10_800);

/// An object that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("read {kind}")]
pub struct FactsError {
    /// `Service` or `EndpointSlice`.
    kind: &'static str,
    /// What the decoder said.
    #[source]
    source: serde_json::Error,
}

/// What is known of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Name.
    pub name: ObjectName,
    /// Cluster addresses, at most one per family; none if the service is not for this proxy (headless, `ExternalName`, or
    /// another proxy's).
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of the load balancer that are to be handled here (`ipMode: VIP`).
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges` of a load balancer; `None` lets everybody in. One that cannot be read is a range of
    /// nobody, so that a list of only such lets nobody in.
    pub source_ranges: Option<Vec<IpNet>>,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `externalTrafficPolicy: Local`.
    pub external_local: bool,
    /// How long a client stays with its endpoint (`sessionAffinity: ClientIP`).
    pub affinity: Option<Duration>,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// Ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty if it has none.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the cluster address.
    pub port: u16,
    /// Port of the nodes.
    pub node_port: Option<u16>,
}

/// What is known of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFacts {
    /// Name.
    pub name: ObjectName,
    /// The service that it belongs to; nothing if it is not for this proxy.
    pub service: Option<ObjectName>,
    /// Ports, each for all endpoints, sorted.
    pub ports: Vec<SlicePort>,
    /// Endpoints.
    pub endpoints: Vec<EndpointFacts>,
}

impl SliceFacts {
    /// The ports of this name and protocol.
    #[must_use]
    pub fn ports_named(&self, name: &str, protocol: Protocol) -> &[SlicePort] {
        let key = |port: &SlicePort| (port.name.as_str(), port.protocol).cmp(&(name, protocol));
        let start = self.ports.partition_point(|port| key(port).is_lt());
        let end = start + self.ports[start..].partition_point(|port| key(port).is_eq());
        &self.ports[start..end]
    }
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlicePort {
    /// Name of the service's port; empty if it has none.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the endpoints.
    pub port: u16,
}

/// An endpoint of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFacts {
    /// The first of its addresses, which stand for the same thing.
    pub ip: IpAddr,
    /// May get new connections. (With `publishNotReadyAddresses` the slice already says so.)
    pub ready: bool,
    /// Would be ready were it not terminating.
    pub serving: bool,
    /// Is being deleted.
    pub terminating: bool,
    /// The node it is on.
    pub node: Option<String>,
}

impl ServiceFacts {
    /// Reads a Service.
    pub fn from_json(json: &[u8]) -> Result<Self, FactsError> {
        let object: Service = serde_json::from_slice(json).map_err(|source| FactsError { kind: "Service", source })?;
        Ok(object.facts())
    }
}

impl SliceFacts {
    /// Reads an EndpointSlice.
    pub fn from_json(json: &[u8]) -> Result<Self, FactsError> {
        let object: EndpointSlice =
            serde_json::from_slice(json).map_err(|source| FactsError { kind: "EndpointSlice", source })?;
        Ok(object.facts())
    }
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Metadata {
    fn label(&self, key: &str) -> Option<&String> {
        self.labels.as_ref()?.get(key)
    }

    fn is_for_others(&self) -> bool {
        [LABEL_PROXY_NAME, LABEL_HEADLESS].iter().any(|key| self.label(key).is_some())
    }
}

#[derive(Deserialize)]
struct Service {
    metadata: Metadata,
    #[serde(default)]
    spec: ServiceSpec,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    r#type: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
    load_balancer_source_ranges: Vec<String>,
    internal_traffic_policy: Option<String>,
    external_traffic_policy: String,
    session_affinity: String,
    session_affinity_config: Option<AffinityConfig>,
    health_check_node_port: u16,
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AffinityConfig {
    #[serde(rename = "clientIP")]
    client_ip: Option<ClientIp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientIp {
    timeout_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    protocol: Option<Protocol>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    node_port: u16,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ingress {
    ip: String,
    ip_mode: Option<String>,
}

fn read_ips<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<IpAddr> {
    texts.into_iter().filter_map(|text| parse_ip_sloppy(text)).collect()
}

/// What the API server takes for a range, and how it reads it.
fn read_range(text: &str) -> Option<IpNet> {
    let (address, length) = parse_cidr_sloppy(text.trim())?;
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

impl Service {
    fn facts(self) -> ServiceFacts {
        let Self { metadata, spec, status } = self;
        let is_load_balancer = spec.r#type == "LoadBalancer";
        let is_ours = !metadata.is_for_others() && spec.r#type != "ExternalName";
        let cluster_ips = match &spec.cluster_ips[..] {
            _ if !is_ours => Vec::new(),
            // "None" of a headless service is not an address.
            [] => read_ips([&spec.cluster_ip]),
            many => read_ips(many),
        };
        let load_balancer_ips = if is_load_balancer {
            let here = status.load_balancer.ingress.iter().filter(|i| i.ip_mode.as_deref().unwrap_or("VIP") == "VIP");
            read_ips(here.map(|i| &i.ip))
        } else {
            Vec::new()
        };
        let is_restricted = is_load_balancer && !spec.load_balancer_source_ranges.is_empty();
        let source_ranges = is_restricted
            .then(|| spec.load_balancer_source_ranges.iter().filter_map(|range| read_range(range)).collect());
        let affinity = (spec.session_affinity == "ClientIP").then(|| {
            let seconds = spec.session_affinity_config.and_then(|c| c.client_ip).and_then(|c| c.timeout_seconds);
            seconds.map_or(DEFAULT_AFFINITY, Duration::from_secs)
        });
        let ports = spec.ports.into_iter().filter_map(|p| {
            Some(ServicePort {
                name: p.name.unwrap_or_default(),
                protocol: p.protocol.unwrap_or_default(),
                port: p.port?,
                node_port: (p.node_port != 0).then_some(p.node_port),
            })
        });
        ServiceFacts {
            name: ObjectName::new(metadata.namespace, metadata.name),
            cluster_ips,
            external_ips: read_ips(&spec.external_ips),
            load_balancer_ips,
            source_ranges,
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local: spec.external_traffic_policy == "Local",
            affinity,
            health_check_node_port: (spec.health_check_node_port != 0).then_some(spec.health_check_node_port),
            ports: ports.collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointSlice {
    metadata: Metadata,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    #[serde(default)]
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

impl EndpointSlice {
    fn facts(self) -> SliceFacts {
        let Self { metadata, endpoints, ports } = self;
        let service = metadata
            .label(LABEL_SERVICE_NAME)
            .filter(|_| !metadata.is_for_others())
            .map(|name| ObjectName::new(metadata.namespace.clone(), name.clone()));
        let mut ports: Vec<_> = ports
            .unwrap_or_default()
            .into_iter()
            .filter_map(|p| {
                // A port without a number means all ports, which is for other consumers than this one.
                Some(SlicePort {
                    name: p.name.unwrap_or_default(),
                    protocol: p.protocol.unwrap_or_default(),
                    port: p.port.filter(|port| *port != 0)?,
                })
            })
            .collect();
        ports.sort_unstable();
        let endpoints = endpoints.unwrap_or_default().into_iter().filter_map(|e| {
            Some(EndpointFacts {
                // Slices of the address type FQDN have none that can be read.
                ip: parse_ip_sloppy(e.addresses.first()?)?,
                ready: e.conditions.ready.unwrap_or(true),
                serving: e.conditions.serving.unwrap_or(true),
                terminating: e.conditions.terminating.unwrap_or(false),
                node: e.node_name,
            })
        });
        SliceFacts {
            name: ObjectName::new(metadata.namespace, metadata.name),
            service,
            ports,
            endpoints: endpoints.collect(),
        }
    }
}

impl ServiceFacts {
    /// The cluster address of a family.
    #[must_use]
    pub fn cluster_ip(&self, family: IpFamily) -> Option<IpAddr> {
        self.cluster_ips.iter().copied().find(|ip| IpFamily::of(*ip) == family)
    }
}
