//! Nothing is made in a namespace that does not exist or is going away; some namespaces stay for ever.
//!
//! Upstream: k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    field::quote,
    gvk::{GroupResource, GroupVersionResource},
    status::{Cause, Status},
    validation::is_path_segment_name,
};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::{catalog::Parts, forbidden, is_create};
use crate::caches::Caches;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

#[derive(Debug)]
struct NamespaceLifecycle {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(NamespaceLifecycle { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, _subresource: &str) -> bool {
        // Answers about a namespace would tell of it to those who may not know.
        let is_review = resource.group == "authorization.k8s.io";
        !is_review && operation != Operation::Connect
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let is_namespace = attributes.kind.group.is_empty() && attributes.kind.kind == "Namespace";
        let is_delete = attributes.operation == Operation::Delete;
        if is_namespace {
            if is_delete && IMMORTAL.contains(&attributes.name.as_str()) {
                return Err(forbidden(attributes, "this namespace may not be deleted"));
            }
            return Ok(());
        }
        if attributes.namespace.is_empty() || is_delete {
            return Ok(());
        }
        let name = attributes.namespace;
        // Upstream asks for it by its client, which asks for no such name.
        let complaints = is_path_segment_name(name);
        if !complaints.is_empty() {
            let name = quote(name);
            return Err(Status::internal(format_args!("invalid resource name {name}: [{}]", complaints.join(" "))));
        }
        // The newest state: nothing may slip into a namespace whose deletion was just answered.
        let Some(namespace) = self.caches.newest("", "namespaces", "", name).await? else {
            return Err(Status::not_found(&GroupResource::new("", "namespaces"), name));
        };
        if is_create(attributes.operation) && namespace.facts.is_deleting {
            let why = format!("unable to create new content in namespace {name} because it is being terminated");
            let mut status = forbidden(attributes, why);
            status.details.get_or_insert_default().causes.push(Cause {
                reason: "NamespaceTerminating".into(),
                message: format!("namespace {name} is being terminated"),
                field: "metadata.namespace".to_owned(),
            });
            return Err(status);
        }
        Ok(())
    }
}
