//! Access to devices that others use is for namespaces that an administrator has marked.
//!
//! A check of the claim's rules upstream, and here a plugin that cannot be switched off, because it needs the namespace: what it
//! finds stands before what the rules find.
//! Upstream: `AuthorizedForAdmin`, `AuthorizedForAdminStatus` in pkg/registry/resource/utils.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    gvk::GroupVersionResource,
    meta::ObjectMeta as _,
    status::Status,
    value::Value,
};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::catalog::Parts;
use crate::caches::{Caches, tree};

/// The label of namespaces whose claims may have it.
const LABEL: &str = "resource.kubernetes.io/admin-access";

#[derive(Debug)]
struct AdminAccess {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(AdminAccess { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for AdminAccess {
    fn name(&self) -> &'static str {
        "ResourceClaimAdminAccess"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        resource.group == "resource.k8s.io"
            && matches!(
                (operation, resource.resource.as_str(), subresource),
                (Operation::Create, "resourceclaims" | "resourceclaimtemplates", "")
                    | (Operation::Update, "resourceclaims", "status")
            )
    }

    fn complains(&self) -> bool {
        true
    }

    async fn complaints(&self, attributes: &Attributes<'_>) -> Result<ErrorList, Status> {
        if wanted(attributes).is_none() {
            return Ok(ErrorList::new());
        }
        let namespace = self.caches.core("namespaces", "", attributes.namespace).await?;
        let Some(path) = wanted(attributes) else { return Ok(ErrorList::new()) };
        let error = match namespace {
            None => {
                let why = format!("namespaces {} not found", corten_apimachinery::field::quote(attributes.namespace));
                Error::internal(&path, format_args!("could not retrieve namespace to verify admin access: {why}"))
            }
            Some(namespace) => {
                let namespace = tree(&namespace)?;
                let label = namespace.labels().and_then(|labels| labels.get(LABEL)).and_then(Value::as_str);
                if label == Some("true") {
                    return Ok(ErrorList::new());
                }
                let why =
                    format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
                Error::forbidden(&path, why)
            }
        };
        Ok(error.into())
    }
}

/// Where the object asks for the access that it does not have yet.
fn wanted(attributes: &Attributes<'_>) -> Option<Path> {
    if attributes.subresource == "status" {
        const RESULTS: [&str; 4] = ["status", "allocation", "devices", "results"];
        let granted = |claim: &Value| first(claim.items_at(&RESULTS), &["adminAccess"]);
        // What was granted stays, because an allocation does.
        if granted(&attributes.old_object).is_some() {
            return None;
        }
        let at = granted(&attributes.object)?;
        let path = Path::new("status").child("allocation").child("devices").child("results");
        return Some(path.index(at).child("adminAccess"));
    }
    let requests: &[&str] = match attributes.resource.resource.as_str() {
        "resourceclaimtemplates" => &["spec", "spec", "devices", "requests"],
        _ => &["spec", "devices", "requests"],
    };
    let at = first(attributes.object.items_at(requests), &["exactly", "adminAccess"])?;
    // The path that upstream gives for claims and templates alike.
    Some(Path::new("spec").child("devices").child("requests").index(at).child("adminAccess"))
}

fn first(items: &[Value], truth: &[&str]) -> Option<usize> {
    items.iter().position(|item| item.bool_at(truth) == Some(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Cluster, admin};

    const CLAIMS: &str = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
    const WHY: &str = "admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the \
                       containing namespace";

    #[tokio::test]
    async fn only_a_namespace_that_is_marked_has_admin_access() {
        let cluster = Cluster::start().await;
        let devices = json!({"requests": [
            {"name": "a", "exactly": {"deviceClassName": "gpu"}},
            {"name": "b", "exactly": {"deviceClassName": "gpu", "adminAccess": true}},
        ]});
        let claim = |name: &str| json!({"metadata": {"name": name}, "spec": {"devices": devices}});
        let template = json!({"metadata": {"name": "t"}, "spec": {"spec": {"devices": devices}}});
        let templates = CLAIMS.replace("claims", "claimtemplates");
        let refused = cluster.post(admin(), CLAIMS, claim("c")).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message),
            (
                422,
                format!(
                    "ResourceClaim.resource.k8s.io \"c\" is invalid: spec.devices.requests[1].adminAccess: Forbidden: {WHY}"
                )
            )
        );
        // What else is wrong was not told: it was found before anybody looked at the namespace.
        let mut two = claim("c");
        two["spec"]["devices"]["requests"][0]["exactly"]["count"] = json!(-1);
        let refused = cluster.post(admin(), CLAIMS, two).await.unwrap_err();
        let begin = format!(
            "ResourceClaim.resource.k8s.io \"c\" is invalid: [spec.devices.requests[1].adminAccess: Forbidden: {WHY}, \
             spec.devices.requests[0].exactly.count: "
        );
        assert!(refused.message.starts_with(&begin), "{}", refused.message);
        let refused = cluster.post(admin(), &templates, template.clone()).await.unwrap_err();
        assert!(refused.message.contains("spec.devices.requests[1].adminAccess: Forbidden: "), "{}", refused.message);

        let plain = json!({"metadata": {"name": "p"}, "spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "gpu"}},
        ]}}});
        let mut allocated = cluster.post(admin(), CLAIMS, plain).await.unwrap();
        let result = json!({"request": "a", "driver": "d", "pool": "p", "device": "x", "adminAccess": true});
        let status = json!({"allocation": {"devices": {"results": [result]}}});
        allocated.set(&["status"], crate::testing::tree(status));
        let allocated: serde_json::Value =
            serde_json::from_slice(&corten_apimachinery::codec::json::encode(&allocated, None)).unwrap();
        let status = format!("{CLAIMS}/p/status");
        let refused = cluster.put(admin(), &status, allocated.clone()).await.unwrap_err();
        assert_eq!(
            refused.message,
            format!(
                "ResourceClaim.resource.k8s.io \"p\" is invalid: status.allocation.devices.results[0].adminAccess: \
                 Forbidden: {WHY}"
            )
        );

        let mut namespace = json!({"metadata": {"name": "default"}});
        namespace["metadata"]["labels"] = json!({"resource.kubernetes.io/admin-access": "true"});
        cluster.put(admin(), "/api/v1/namespaces/default", namespace).await.unwrap();
        cluster.post(admin(), CLAIMS, claim("c")).await.unwrap();
        cluster.post(admin(), &templates, template).await.unwrap();
        cluster.put(admin(), &status, allocated).await.unwrap();
        cluster.stop().await;
    }
}
