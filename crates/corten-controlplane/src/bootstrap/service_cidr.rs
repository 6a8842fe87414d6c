//! The object that tells of the ranges which services get their addresses from: `--service-cluster-ip-range`.
//!
//! What it says stays as it is, but for a second family that came: a range that is not the configured one is announced by an
//! event, and somebody has to decide.
//! Upstream: pkg/controlplane/controller/defaultservicecidr (v1.35). Its finalizer is a controller's to set, not the
//! server's: pkg/controller/servicecidrs.

use std::sync::atomic::{AtomicBool, Ordering};

use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::{ObjectMeta as _, format_time},
    status::Status,
    value::Value,
};
use corten_base::SharedClock;
use corten_client::{
    Client, Target, WatchOptions,
    events::{ObjectRef, Recorder},
};
use futures::{StreamExt as _, future};
use ipnet::IpNet;

use super::served;
use crate::caches::tree;

const NAME: &str = "kubernetes";
const MANAGER: &str = "kubernetes-service-cidr-controller";

/// Tells of what does not fit: each trouble once while this server runs.
#[derive(Debug)]
pub(crate) struct Reports {
    recorder: Recorder,
    mismatch: AtomicBool,
    not_ready: AtomicBool,
}

impl Reports {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        let recorder = recorder.for_component(MANAGER);
        Self { recorder, mismatch: AtomicBool::new(false), not_ready: AtomicBool::new(false) }
    }

    fn tell(&self, object: &Value, reason: &str, message: &str) {
        let about = ObjectRef {
            api_version: "networking.k8s.io/v1".into(),
            kind: "ServiceCIDR".into(),
            name: NAME.into(),
            uid: object.uid().into(),
            resource_version: object.resource_version().into(),
            ..ObjectRef::default()
        };
        tracing::warn!(servicecidr = NAME, reason, message, "Left the default range of services as it is");
        self.recorder.warning(&about, reason, message);
    }

    fn complain(&self, object: &Value, complaint: &Complaint) {
        let (told, reason, message) = match complaint {
            Complaint::Mismatch { message } => (&self.mismatch, "KubernetesDefaultServiceCIDRInconsistent", message),
            Complaint::NotReady { reason, message } => (&self.not_ready, reason.as_str(), message),
        };
        if !told.swap(true, Ordering::Relaxed) {
            self.tell(object, reason, message);
        }
    }
}

fn resource() -> GroupVersionResource {
    GroupVersionResource::new("networking.k8s.io", "v1", "servicecidrs")
}

/// Puts the object right until a watch ends: then it is to be called again. Upstream looks every ten seconds.
///
/// Cancel-safe: every step is repeated at the next call.
pub(super) async fn keep(
    client: &Client,
    clock: &SharedClock,
    ranges: &[IpNet],
    reports: &Reports,
) -> Result<(), Status> {
    if !served::has(client, &resource()).await? {
        return future::pending().await;
    }
    let of_name = WatchOptions { field_selector: format!("metadata.name={NAME}"), ..WatchOptions::default() };
    let mut changes = client.watch(Target::collection(&resource(), ""), &of_name).await?;
    ensure(client, clock, ranges, reports).await?;
    while let Some(change) = changes.next().await {
        change?;
        ensure(client, clock, ranges, reports).await?;
    }
    Ok(())
}

/// Makes the object if it is missing, and says that it is ready; nothing if the kind is switched off: then the configured
/// ranges count without an object.
pub(super) async fn ensure(
    client: &Client,
    clock: &SharedClock,
    ranges: &[IpNet],
    reports: &Reports,
) -> Result<(), Status> {
    if !served::has(client, &resource()).await? {
        return Ok(());
    }
    let ranges: Vec<String> = ranges.iter().map(|range| range.trunc().to_string()).collect();
    let client = client.with_field_manager(MANAGER);
    let current = match client.get(Target::object(&resource(), "", NAME)).await {
        Err(status) if status.is_not_found() => match create(&client, &ranges).await? {
            Some(made) => made,
            // Another server was faster; the watch tells what it made.
            None => return Ok(()),
        },
        other => tree(&*other?)?,
    };
    match plan(&current, &ranges) {
        Plan::Nothing => Ok(()),
        Plan::SecondFamily => {
            let mut grown = current.clone();
            grown.set(&["spec", "cidrs"], texts(&ranges));
            if let Err(status) = client.update(Target::object(&resource(), "", NAME), grown).await {
                let message = format!(
                    "The default ServiceCIDR can not be upgraded from {} to dual stack {} : {}",
                    ranges[0],
                    listed(&ranges),
                    status.message
                );
                reports.tell(&current, "KubernetesDefaultServiceCIDRError", &message);
            }
            Ok(())
        }
        Plan::Ready => {
            let now = format_time(clock.now());
            let status = Target::object(&resource(), "", NAME).subresource("status");
            if let Err(status) = client.apply(status, ready(&now), true).await {
                let message = "The default ServiceCIDR Status can not be set to Ready=True";
                reports.tell(&current, "KubernetesDefaultServiceCIDRError", message);
                return Err(status);
            }
            Ok(())
        }
        Plan::Complain(complaint) => {
            reports.complain(&current, &complaint);
            Ok(())
        }
    }
}

/// As Go prints a list.
fn listed(ranges: &[impl AsRef<str>]) -> String {
    let ranges: Vec<&str> = ranges.iter().map(AsRef::as_ref).collect();
    format!("[{}]", ranges.join(" "))
}

fn texts(ranges: &[String]) -> Value {
    Value::array(ranges.iter().map(|range| range.as_str().into()))
}

async fn create(client: &Client, ranges: &[String]) -> Result<Option<Value>, Status> {
    let object = Value::object_of([
        ("apiVersion", Value::from("networking.k8s.io/v1")),
        ("kind", "ServiceCIDR".into()),
        ("metadata", Value::object_of([("name", Value::from(NAME))])),
        ("spec", Value::object_of([("cidrs", texts(ranges))])),
    ]);
    match client.create(Target::collection(&resource(), ""), object).await {
        Err(status) if status.is_already_exists() => Ok(None),
        made => Ok(Some(tree(&*made?)?)),
    }
}

/// That services get addresses of the range, as a configuration to apply.
fn ready(now: &str) -> Value {
    let condition = Value::object_of([
        ("type", Value::from("Ready")),
        ("status", "True".into()),
        ("message", "Kubernetes default Service CIDR is ready".into()),
        ("lastTransitionTime", now.into()),
    ]);
    Value::object_of([
        ("apiVersion", Value::from("networking.k8s.io/v1")),
        ("kind", "ServiceCIDR".into()),
        ("metadata", Value::object_of([("name", Value::from(NAME))])),
        ("status", Value::object_of([("conditions", Value::array([condition]))])),
    ])
}

/// What is to be done about the object that is there.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    /// The cluster has become one of two families.
    SecondFamily,
    /// It is not said yet whether the range is ready.
    Ready,
    /// Somebody else has said something that does not fit, and knows why.
    Complain(Complaint),
}

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
enum Complaint {
    /// The object has other ranges than the configured ones.
    Mismatch { message: String },
    /// The object has the ranges, and is not ready, for this reason.
    NotReady { reason: String, message: String },
}

fn plan(current: &Value, ranges: &[String]) -> Plan {
    let has: Vec<&str> = current.items_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str).collect();
    if let ([first], [wanted, _]) = (&has[..], ranges)
        && first == wanted
    {
        return Plan::SecondFamily;
    }
    if current.deletion_timestamp().is_some() {
        return Plan::Nothing;
    }
    if has != ranges {
        let message = format!(
            "The default ServiceCIDR {} does not match the controller flag configurations {}",
            listed(&has),
            listed(ranges)
        );
        return Plan::Complain(Complaint::Mismatch { message });
    }
    let conditions = current.items_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
    let text = |field: &str| ready.and_then(|ready| ready.str_at(&[field])).unwrap_or_default();
    match text("status") {
        "True" => Plan::Nothing,
        "False" => Plan::Complain(Complaint::NotReady {
            reason: text("reason").to_owned(),
            message: format!("Configuration matches, but {}", text("message")),
        }),
        _ => Plan::Ready,
    }
}

#[cfg(test)]
mod tests;
