//! The result object of the specification, versions 0.3.0 to 1.1.0.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Version;

/// What an addition gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CniResult {
    /// Version of the specification.
    #[serde(default)]
    pub cni_version: String,
    /// Interfaces that were made, on both sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpConfig>,
    /// Routes inside the sandbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteConfig>,
    /// Name service.
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
}

/// An interface that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Hardware address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Largest packet in bytes (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Path of the namespace; absent for the node's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
}

/// An address that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpConfig {
    /// Position in the list of interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
    /// Address and prefix length.
    pub address: IpNet,
    /// The subnet's way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteConfig {
    /// Destination.
    pub dst: IpNet,
    /// Next hop; the gateway of the address of the same family if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// Largest packet in bytes (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Metric (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}

/// Name service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Local domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Search list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl CniResult {
    /// The addresses of one interface inside the sandbox (`eth0`), or all if the result does not say whose they are.
    pub fn ips_of(&self, interface: &str) -> impl Iterator<Item = &IpConfig> {
        let belongs = move |ip: &&IpConfig| {
            let Some(owner) = ip.interface.and_then(|i| self.interfaces.get(i)) else { return true };
            owner.name == interface && !owner.sandbox.is_empty()
        };
        self.ips.iter().filter(belongs)
    }

    /// The result as a plugin of this version writes and reads it.
    #[must_use]
    pub fn to_value(&self, version: Version) -> Value {
        let mut result = self.clone();
        result.cni_version = version.to_string();
        if version < Version::V1_1_0 {
            result.interfaces.iter_mut().for_each(|i| i.mtu = None);
            result.routes.iter_mut().for_each(|r| (r.mtu, r.priority) = (None, None));
        }
        let mut value = serde_json::to_value(&result).expect("a result has only strings as keys");
        if version < Version::V1_0_0 {
            // Before 1.0.0 each address carried its family.
            for (ip, written) in result.ips.iter().zip(value["ips"].as_array_mut().into_iter().flatten()) {
                written["version"] = json!(if ip.address.addr().is_ipv4() { "4" } else { "6" });
            }
        }
        value
    }
}
