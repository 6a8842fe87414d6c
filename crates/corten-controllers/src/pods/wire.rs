//! The few fields of a pod that are read.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::Phase;

/// All of them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod<'a> {
    #[serde(borrow)]
    pub(super) metadata: Meta<'a>,
    #[serde(borrow)]
    pub(super) spec: Spec<'a>,
    #[serde(borrow)]
    pub(super) status: Status<'a>,
}

/// Those that change while it runs.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub(super) metadata: Meta<'a>,
    #[serde(borrow)]
    pub(super) status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    pub(super) creation_timestamp: Option<Timestamp>,
    pub(super) deletion_timestamp: Option<Timestamp>,
    #[serde(default, borrow)]
    pub(super) annotations: Annotations<'a>,
}

#[derive(Default, Deserialize)]
pub(super) struct Annotations<'a> {
    /// Named as `DELETION_COST` says.
    #[serde(default, borrow, rename = "controller.kubernetes.io/pod-deletion-cost")]
    pub(super) deletion_cost: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    #[serde(borrow)]
    pub(super) node_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) hostname: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) subdomain: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) containers: Vec<Container<'a>>,
    #[serde(borrow)]
    pub(super) init_containers: Vec<Container<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) restart_policy: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) ports: Vec<Port<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port<'a> {
    #[serde(default, borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) protocol: Cow<'a, str>,
    pub(super) container_port: i32,
}

impl Container<'_> {
    pub(super) fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status<'a> {
    #[serde(default)]
    pub(super) phase: Phase,
    #[serde(default, borrow, rename = "podIP")]
    pub(super) pod_ip: Cow<'a, str>,
    #[serde(default, borrow, rename = "podIPs")]
    pub(super) pod_ips: Vec<Ip<'a>>,
    #[serde(default, borrow)]
    pub(super) conditions: Vec<Condition<'a>>,
    #[serde(default, borrow)]
    pub(super) container_statuses: Vec<ContainerStatus<'a>>,
    #[serde(default, borrow)]
    pub(super) init_container_statuses: Vec<ContainerStatus<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Ip<'a> {
    #[serde(default, borrow)]
    pub(super) ip: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) status: Cow<'a, str>,
    pub(super) last_transition_time: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(default)]
    pub(super) restart_count: i32,
}
