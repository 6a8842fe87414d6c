//! What DNS needs to know of a Service and an EndpointSlice, and nothing more.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Names a namespaced object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl ObjectKey {
    /// A key.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Its name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// What its name leads to.
    pub kind: ServiceKind,
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Endpoints count as ready whatever they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub publish_not_ready_addresses: bool,
}

/// What the name of a service leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceKind {
    /// Virtual addresses.
    ClusterIps(Vec<IpAddr>),
    /// The addresses of its ready endpoints.
    Headless,
    /// Another name.
    ExternalName(Box<str>),
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its name; empty for none.
    pub name: Box<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// The default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its label in a name, without the underscore.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// An EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSliceFacts {
    /// Its name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// The service it belongs to, in the same namespace.
    pub service: Box<str>,
    /// The ports of every endpoint of the slice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointFacts>,
}

/// A port of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPort {
    /// Its name; empty for none.
    pub name: Box<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number; `None` for every port.
    pub port: Option<u16>,
}

/// An endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointFacts {
    /// Its addresses: fungible, in practice one.
    pub addresses: Vec<IpAddr>,
    /// Its own name within the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Box<str>>,
    /// It takes traffic.
    pub ready: bool,
}

/// An object that is not what an API server would serve.
#[derive(Debug, thiserror::Error)]
#[error("read {kind} for DNS")]
pub struct FactsError {
    kind: &'static str,
    #[source]
    source: serde_json::Error,
}

impl ServiceFacts {
    /// Projects a `v1` Service from its JSON.
    pub fn from_json(object: &[u8]) -> Result<Self, FactsError> {
        let object: json::Service =
            serde_json::from_slice(object).map_err(|source| FactsError { kind: "Service", source })?;
        let spec = object.spec;
        let kind = if spec.kind.as_deref() == Some("ExternalName") {
            ServiceKind::ExternalName(spec.external_name.unwrap_or_default())
        } else if spec.cluster_ip.as_deref() == Some("None") {
            ServiceKind::Headless
        } else {
            let ips =
                if spec.cluster_ips.is_empty() { spec.cluster_ip.into_iter().collect() } else { spec.cluster_ips };
            // An address that was not allocated yet is the empty text.
            ServiceKind::ClusterIps(ips.iter().filter_map(|ip| ip.parse().ok()).collect())
        };
        let port = |port: json::Port| {
            Some(ServicePort {
                name: port.name.unwrap_or_default(),
                protocol: port.protocol.unwrap_or(Protocol::Tcp),
                port: port.port?,
            })
        };
        Ok(Self {
            key: object.metadata.key(),
            kind,
            ports: spec.ports.into_iter().filter_map(port).collect(),
            publish_not_ready_addresses: spec.publish_not_ready_addresses,
        })
    }
}

impl EndpointSliceFacts {
    /// Projects a `discovery.k8s.io/v1` EndpointSlice from its JSON. `None`: it belongs to no service.
    pub fn from_json(object: &[u8]) -> Result<Option<Self>, FactsError> {
        let object: json::EndpointSlice =
            serde_json::from_slice(object).map_err(|source| FactsError { kind: "EndpointSlice", source })?;
        let Some(service) = object.metadata.labels.service.clone() else { return Ok(None) };
        let port = |port: json::Port| EndpointPort {
            name: port.name.unwrap_or_default(),
            protocol: port.protocol.unwrap_or(Protocol::Tcp),
            port: port.port,
        };
        let endpoint = |endpoint: json::Endpoint| EndpointFacts {
            // Slices of names (addressType FQDN) hold no addresses.
            addresses: endpoint.addresses.iter().filter_map(|ip| ip.parse().ok()).collect(),
            hostname: endpoint.hostname.filter(|name| !name.is_empty()),
            ready: endpoint.conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
        };
        Ok(Some(Self {
            key: object.metadata.key(),
            service,
            ports: object.ports.unwrap_or_default().into_iter().map(port).collect(),
            endpoints: object.endpoints.unwrap_or_default().into_iter().map(endpoint).collect(),
        }))
    }
}

/// The parts of the objects that are read.
mod json {
    use serde::Deserialize;

    use super::{ObjectKey, Protocol};

    #[derive(Deserialize)]
    pub(super) struct Service {
        pub(super) metadata: Metadata,
        #[serde(default)]
        pub(super) spec: ServiceSpec,
    }

    #[derive(Deserialize)]
    pub(super) struct Metadata {
        namespace: Box<str>,
        name: Box<str>,
        #[serde(default)]
        pub(super) labels: Labels,
    }

    impl Metadata {
        pub(super) fn key(self) -> ObjectKey {
            ObjectKey { namespace: self.namespace, name: self.name }
        }
    }

    #[derive(Deserialize, Default)]
    pub(super) struct Labels {
        #[serde(rename = "kubernetes.io/service-name")]
        pub(super) service: Option<Box<str>>,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct ServiceSpec {
        #[serde(rename = "type")]
        pub(super) kind: Option<Box<str>>,
        pub(super) external_name: Option<Box<str>>,
        #[serde(rename = "clusterIP")]
        pub(super) cluster_ip: Option<Box<str>>,
        #[serde(default, rename = "clusterIPs")]
        pub(super) cluster_ips: Vec<Box<str>>,
        #[serde(default)]
        pub(super) ports: Vec<Port>,
        #[serde(default)]
        pub(super) publish_not_ready_addresses: bool,
    }

    #[derive(Deserialize)]
    pub(super) struct Port {
        pub(super) name: Option<Box<str>>,
        pub(super) protocol: Option<Protocol>,
        pub(super) port: Option<u16>,
    }

    #[derive(Deserialize)]
    pub(super) struct EndpointSlice {
        pub(super) metadata: Metadata,
        pub(super) ports: Option<Vec<Port>>,
        pub(super) endpoints: Option<Vec<Endpoint>>,
    }

    #[derive(Deserialize)]
    pub(super) struct Endpoint {
        #[serde(default)]
        pub(super) addresses: Vec<Box<str>>,
        pub(super) hostname: Option<Box<str>>,
        pub(super) conditions: Option<Conditions>,
    }

    #[derive(Deserialize)]
    pub(super) struct Conditions {
        pub(super) ready: Option<bool>,
    }
}
