//! A pod's priority is that of its class.
//!
//! Upstream: plugin/pkg/admission/priority (v1.35).

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, meta::ObjectMeta as _, status::Status, value::Value};
use corten_apiserver::{
    admission::{Attributes, Operation, Plugin},
    registry::read_failure,
};
use memchr::memmem::Finder;

use super::{catalog::Parts, forbidden, is_create, is_pod};
use crate::caches::{Caches, tree};

const GROUP: &str = "scheduling.k8s.io";
const PLURAL: &str = "priorityclasses";

/// The classes that every cluster has.
const SYSTEM: [&str; 2] = ["system-node-critical", "system-cluster-critical"];

/// Looks for the field in the text of a class.
static GLOBAL_DEFAULT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("globalDefault"));

#[derive(Debug)]
struct Priority {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(Priority { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        let is_class = resource.group == GROUP && resource.resource == PLURAL && subresource.is_empty();
        (is_class || is_pod(resource, subresource)) && matches!(operation, Operation::Create | Operation::Update)
            || is_class && operation == Operation::Delete
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if attributes.resource.resource != "pods" {
            return Ok(());
        }
        if !is_create(attributes.operation) {
            // Clients of old do not know the fields; they cannot change anyway.
            for field in ["priority", "preemptionPolicy"] {
                let kept = attributes.old_object.at(&["spec", field]).cloned();
                if let Some(kept) = kept.filter(|_| attributes.object.at(&["spec", field]).is_none()) {
                    attributes.object.set(&["spec", field], kept);
                }
            }
            return Ok(());
        }
        let name = attributes.object.str_at(&["spec", "priorityClassName"]).unwrap_or_default().to_owned();
        let class = if name.is_empty() {
            self.global_default().await?
        } else {
            let Some(class) = self.caches.find(GROUP, PLURAL, "", &name).await? else {
                return Err(forbidden(attributes, format_args!("no PriorityClass with name {name} was found")));
            };
            Some(tree(&class)?)
        };
        resolve(&mut attributes.object, class.as_ref()).map_err(|why| forbidden(attributes, why))
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if attributes.operation == Operation::Delete {
            // Upstream has this rule in its storage: pkg/registry/scheduling/priorityclass/storage.
            return match SYSTEM.contains(&attributes.name.as_str()) {
                true => Err(forbidden(attributes, "this is a system priority class and cannot be deleted")),
                false => Ok(()),
            };
        }
        if attributes.resource.resource != PLURAL || attributes.object.bool_at(&["globalDefault"]) != Some(true) {
            return Ok(());
        }
        match self.global_default().await? {
            Some(other) if other.name() != attributes.object.name() => {
                let why =
                    format!("PriorityClass {} is already marked as default. Only one default can exist", other.name());
                Err(forbidden(attributes, why))
            }
            _ => Ok(()),
        }
    }
}

impl Priority {
    /// The class of pods that name none: the lowest of those that say they are it.
    async fn global_default(&self) -> Result<Option<Value>, Status> {
        let Some(cacher) = self.caches.get(GROUP, PLURAL) else { return Ok(None) };
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        let mut lowest: Option<Value> = None;
        for (_, class) in snapshot.range("", "") {
            // Every pod asks, and hardly any class says it: reading those that do not would be most of the work.
            if GLOBAL_DEFAULT.find(&class.json).is_none()
                || class.json.fields(&[], ["globalDefault"]) != [Some(&b"true"[..])]
            {
                continue;
            }
            let class = tree(class)?;
            let value = |class: &Value| class.i64_at(&["value"]).unwrap_or_default();
            if class.bool_at(&["globalDefault"]) == Some(true)
                && lowest.as_ref().is_none_or(|lowest| value(&class) < value(lowest))
            {
                lowest = Some(class);
            }
        }
        Ok(lowest)
    }
}

/// Writes the priority of `class` (none: the lowest a user can have by default) into `pod`.
///
/// Errors: the pod says something else.
pub(super) fn resolve(pod: &mut Value, class: Option<&Value>) -> Result<(), String> {
    let priority = class.and_then(|class| class.i64_at(&["value"])).unwrap_or_default();
    let policy = class.and_then(|class| class.str_at(&["preemptionPolicy"])).unwrap_or("PreemptLowerPriority");
    if let Some(given) = pod.i64_at(&["spec", "priority"]).filter(|&given| given != priority) {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        ));
    }
    if let Some(given) = pod.str_at(&["spec", "preemptionPolicy"]).filter(|&given| given != policy) {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        ));
    }
    if let Some(class) = class {
        pod.set(&["spec", "priorityClassName"], class.name());
    }
    pod.set(&["spec", "priority"], priority);
    pod.set(&["spec", "preemptionPolicy"], policy);
    Ok(())
}
