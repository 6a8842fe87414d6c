//! The Container Network Interface: its data, executing the plugins of a configuration, and the usual plugins built in.
//!
//! Flow: a sandbox's namespace exists -> `Invoker::add` runs the plugins of a `NetworkConfigList` in order, each given
//! the result of the one before -> the last result has the pod's addresses. `Invoker::delete` goes the other way. A
//! plugin that lies in a plugin directory is executed; otherwise one from `catalog` runs inside this process, without a
//! `fork`.
//!
//! Source: CNI specification 1.1.0.

pub mod bridge;
pub mod catalog;
mod config;
mod error;
mod host;
pub mod host_local;
pub mod invoke;
pub mod loopback;
pub mod portmap;
mod result;

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::netns::{Netns, NetnsError};

pub use self::{
    config::{ConfigError, NetworkConfigList, PluginConfig, Version},
    error::{CniError, code},
    host::Host,
    result::{CniResult, Dns, Interface, IpConfig, RouteConfig},
};

/// What a plugin is asked to work on: the `CNI_*` variables and the configuration on standard input of the
/// specification.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Version of the specification that the configuration is written for.
    pub version: Version,
    /// Name of the network.
    pub network: &'a str,
    /// Id of the container (of the pod's sandbox).
    pub container_id: &'a str,
    /// Path of the sandbox's network namespace; may be absent or gone when deleting.
    pub netns: Option<&'a PathBuf>,
    /// Name of the interface inside the sandbox.
    pub interface: &'a str,
    /// The plugin's configuration, with `runtimeConfig`.
    pub config: &'a Map<String, Value>,
    /// Result of the plugin before (when adding) or of the whole addition (when deleting).
    pub previous: Option<&'a CniResult>,
    /// The node's own namespace, where bridges and packet rules live.
    pub host: &'a Host,
}

impl Request<'_> {
    /// The plugin's configuration as its own type.
    fn parse<T: DeserializeOwned>(&self) -> Result<T, CniError> {
        serde_json::from_value(Value::Object(self.config.clone()))
            .map_err(|e| CniError::new(code::DECODE, "cannot read the configuration").details(&e))
    }

    /// The sandbox's namespace, for operations that cannot do without.
    fn sandbox(&self) -> Result<Netns, CniError> {
        let path = self.netns.ok_or_else(|| CniError::new(code::INVALID_ENVIRONMENT, "CNI_NETNS is required"))?;
        Netns::open(path).map_err(|e| CniError::new(code::IO, "cannot open the network namespace").details(&e))
    }

    /// The sandbox's namespace, if it is still there.
    fn remaining_sandbox(&self) -> Result<Option<Netns>, CniError> {
        let Some(path) = self.netns else { return Ok(None) };
        match Netns::open(path) {
            Ok(netns) => Ok(Some(netns)),
            // A file without a namespace is what a restart of the machine leaves.
            Err(NetnsError::NotANamespace { .. }) => Ok(None),
            Err(NetnsError::File(e)) if e.is_not_found() => Ok(None),
            Err(e) => Err(CniError::new(code::IO, "cannot open the network namespace").details(&e)),
        }
    }

    /// Marks what belongs to this attachment in packet rules.
    fn owner(&self) -> String {
        format!("{}/{}", self.container_id, self.interface)
    }
}

/// A plugin that is part of this process. All operations block and may be repeated: a second addition returns what the
/// first one did, a second deletion changes nothing.
pub trait Plugin: Sync {
    /// Attaches the sandbox. On error the caller deletes.
    fn add(&self, request: &Request<'_>) -> Result<CniResult, CniError>;
    /// Detaches the sandbox; fine if there is nothing to detach.
    fn delete(&self, request: &Request<'_>) -> Result<(), CniError>;
    /// Looks whether the attachment is as `request.previous` says.
    fn check(&self, request: &Request<'_>) -> Result<(), CniError>;
}
