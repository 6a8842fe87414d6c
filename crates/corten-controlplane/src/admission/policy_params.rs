//! Who makes a policy, or binds one to its parameters, has to be able to read what the parameters are.
//!
//! The last check of a write upstream, made by the strategies, and here a plugin that cannot be switched off, because it asks
//! the authorizers.
//! Upstream: authz.go in pkg/registry/admissionregistration/{validating,mutating}admissionpolicy{,binding} (v1.35).

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use corten_apimachinery::{
    field::{Error, Path},
    gvk::{GroupVersion, GroupVersionResource},
    resource::UserInfo,
    status::Status,
    value::{Str, Value, semantically_equal},
};
use corten_apiserver::{
    RequestInfo,
    admission::{Attributes, Operation, Plugin},
    authorization::{self, Authorizer, SYSTEM_MASTERS},
    customresources::DEFINITIONS,
    registry::read_failure,
};
use corten_resources::catalog::RESOURCES;

use super::catalog::Parts;
use crate::caches::{Caches, tree};

const GROUP: &str = "admissionregistration.k8s.io";
/// Everything of a kind.
const ALL: &str = "*";

/// Asks for the right to read parameters.
struct PolicyParams {
    caches: Arc<Caches>,
    authorizer: Arc<OnceLock<Arc<dyn Authorizer>>>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(PolicyParams { caches: Arc::clone(&parts.caches), authorizer: Arc::clone(&parts.authorizer) })
}

impl std::fmt::Debug for PolicyParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PolicyParams")
    }
}

#[async_trait]
impl Plugin for PolicyParams {
    fn name(&self) -> &'static str {
        "PolicyParams"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
            && resource.group == GROUP
            && subresource.is_empty()
            && (is_policy(&resource.resource) || policies_of(&resource.resource).is_some())
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if attributes.user.groups.iter().any(|group| group == SYSTEM_MASTERS) {
            return Ok(());
        }
        let error = match policies_of(&attributes.resource.resource) {
            None => self.policy(attributes).await?,
            Some(policies) => self.binding(attributes, policies).await?,
        };
        match error {
            None => Ok(()),
            Some(error) => Err(Status::invalid(attributes.kind, &attributes.name, &[error])),
        }
    }
}

fn is_policy(plural: &str) -> bool {
    matches!(plural, "validatingadmissionpolicies" | "mutatingadmissionpolicies")
}

/// The policies that such bindings bind.
fn policies_of(plural: &str) -> Option<&'static str> {
    match plural {
        "validatingadmissionpolicybindings" => Some("validatingadmissionpolicies"),
        "mutatingadmissionpolicybindings" => Some("mutatingadmissionpolicies"),
        _ => None,
    }
}

impl PolicyParams {
    /// All objects of the kind have to be readable: any of them can be bound.
    async fn policy(&self, attributes: &Attributes<'_>) -> Result<Option<Error>, Status> {
        const PATH: [&str; 2] = ["spec", "paramKind"];
        let Some(kind) = set(&attributes.object, &PATH) else { return Ok(None) };
        if semantically_equal(Some(kind), attributes.old_object.at(&PATH)) {
            return Ok(None);
        }
        let what = self.resource_of(kind).await?;
        if self.may(attributes.user, "get", &what, ALL, ALL).await {
            return Ok(None);
        }
        let text = |field: &str| kind.str_at(&[field]).unwrap_or_default();
        let why = format!(
            "user {} must have \"get\" permission on all objects of the referenced paramKind (kind={}, apiVersion={})",
            shown(attributes.user),
            text("kind"),
            text("apiVersion")
        );
        Ok(Some(Error::forbidden(&Path::new("spec").child("paramKind"), why)))
    }

    /// The object that is bound has to be readable; where a selector stands for it, all of its namespace.
    async fn binding(&self, attributes: &Attributes<'_>, policies: &str) -> Result<Option<Error>, Status> {
        const PATH: [&str; 2] = ["spec", "paramRef"];
        const POLICY: [&str; 2] = ["spec", "policyName"];
        let (object, old) = (&attributes.object, &attributes.old_object);
        let Some(reference) = set(object, &PATH) else { return Ok(None) };
        if set(old, &PATH).is_some_and(|old| semantically_equal(Some(reference), Some(old)))
            && object.str_at(&POLICY) == old.str_at(&POLICY)
        {
            return Ok(None);
        }
        let policy = self.caches.find(GROUP, policies, "", object.str_at(&POLICY).unwrap_or_default()).await?;
        let policy = policy.map(|policy| tree(&policy)).transpose()?;
        let what = match policy.as_ref().and_then(|policy| set(policy, &["spec", "paramKind"])) {
            Some(kind) => self.resource_of(kind).await?,
            None => Resource::any(),
        };
        let text = |field: &str| reference.str_at(&[field]).unwrap_or_default();
        let verb = if text("name").is_empty() { "list" } else { "get" };
        if self.may(attributes.user, verb, &what, text("namespace"), text("name")).await {
            return Ok(None);
        }
        // Upstream has the two in the wrong order.
        let user = shown(attributes.user);
        let why = format!("user {verb} does not have \"{user}\" permission on the object referenced by paramRef");
        Ok(Some(Error::forbidden(&Path::new("spec").child("paramRef"), why)))
    }

    async fn may(&self, user: &UserInfo, verb: &str, what: &Resource, namespace: &str, name: &str) -> bool {
        let Some(authorizer) = self.authorizer.get() else { return false };
        let request = RequestInfo {
            is_resource: true,
            verb: verb.into(),
            group: what.group.clone(),
            version: what.version.clone(),
            namespace: namespace.into(),
            resource: what.resource.clone(),
            name: name.into(),
            ..RequestInfo::default()
        };
        authorizer.authorize(authorization::Attributes { user, request: &request }).await.is_allowed()
    }

    /// The resource of a kind; of a kind that nobody knows, all of its group and version.
    async fn resource_of(&self, kind: &Value) -> Result<Resource, Status> {
        let text = |field: &str| kind.str_at(&[field]).unwrap_or_default();
        let Some(version) = GroupVersion::parse(text("apiVersion")) else { return Ok(Resource::any()) };
        let (group, kind) = (version.group.as_str(), text("kind"));
        let built_in = RESOURCES.iter().find(|resource| {
            let has_version = resource.versions.iter().any(|served| served.name == version.version);
            resource.group == group && resource.kind == kind && has_version
        });
        let plural = match built_in {
            Some(resource) => Some(resource.plural.into()),
            None => self.custom(group, &version.version, kind).await?,
        };
        let resource = plural.unwrap_or_else(|| ALL.into());
        Ok(Resource { group: version.group, version: version.version, resource })
    }

    /// The resource of a kind that a definition serves.
    async fn custom(&self, group: &str, version: &str, kind: &str) -> Result<Option<Str>, Status> {
        let Some(cacher) = self.caches.get(DEFINITIONS.0, DEFINITIONS.1) else { return Ok(None) };
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        // A definition's name is that of its resource in its group.
        let suffix = format!(".{group}");
        for (_, stored) in snapshot.range("", "").filter(|(_, stored)| stored.name.ends_with(&suffix)) {
            let definition = tree(stored)?;
            let is_served = definition
                .items_at(&["spec", "versions"])
                .iter()
                .any(|served| served.str_at(&["name"]) == Some(version) && served.bool_at(&["served"]) == Some(true));
            if is_served && definition.str_at(&["spec", "names", "kind"]) == Some(kind) {
                return Ok(definition.str_at(&["spec", "names", "plural"]).map(Str::from));
            }
        }
        Ok(None)
    }
}

/// What is asked for.
struct Resource {
    group: Str,
    version: Str,
    resource: Str,
}

impl Resource {
    fn any() -> Self {
        Self { group: ALL.into(), version: ALL.into(), resource: ALL.into() }
    }
}

fn set<'v>(object: &'v Value, path: &[&str]) -> Option<&'v Value> {
    object.at(path).filter(|value| !value.is_null())
}

/// A user as Go prints a pointer to its struct: name, UID, groups, and what else is known.
fn shown(user: &UserInfo) -> String {
    let extra: Vec<String> = user.extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" "))).collect();
    format!("&{{{} {} [{}] map[{}]}}", user.name, user.uid, user.groups.join(" "), extra.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Cluster, admin, user};

    const BASE: &str = "/apis/admissionregistration.k8s.io/v1";

    fn policy(name: &str, kind: &str) -> serde_json::Value {
        json!({"metadata": {"name": name}, "spec": {
            "paramKind": {"apiVersion": "v1", "kind": kind},
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
            ]},
            "validations": [{"expression": "true"}],
        }})
    }

    fn binding(name: &str, param: &str) -> serde_json::Value {
        json!({"metadata": {"name": name}, "spec": {
            "policyName": "known", "validationActions": ["Deny"],
            "paramRef": {"name": param, "namespace": "default", "parameterNotFoundAction": "Deny"},
        }})
    }

    #[tokio::test]
    async fn who_makes_a_policy_can_read_its_parameters() {
        let cluster = Cluster::start().await;
        let rules = json!([
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["mine"]},
        ]);
        let role = json!({"metadata": {"name": "author"}, "rules": rules});
        let roles = "/apis/rbac.authorization.k8s.io/v1";
        cluster.post(admin(), format!("{roles}/clusterroles"), role).await.unwrap();
        let grant = json!({
            "metadata": {"name": "ann"}, "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "author"},
        });
        cluster.post(admin(), format!("{roles}/clusterrolebindings"), grant).await.unwrap();
        let (policies, bindings) =
            (format!("{BASE}/validatingadmissionpolicies"), format!("{BASE}/validatingadmissionpolicybindings"));

        cluster.post(user("ann", &[]), &policies, policy("known", "ConfigMap")).await.unwrap();
        let refused = cluster.post(user("ann", &[]), &policies, policy("p", "Secret")).await.unwrap_err();
        assert_eq!(refused.code, 422);
        let want = "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: spec.paramKind: Forbidden: user \
                    &{ann  [";
        assert!(refused.message.starts_with(want), "{}", refused.message);
        let want = "] map[]} must have \"get\" permission on all objects of the referenced paramKind (kind=Secret, \
                    apiVersion=v1)";
        assert!(refused.message.ends_with(want), "{}", refused.message);
        let unknown = cluster.post(user("ann", &[]), &policies, policy("p", "Nothing")).await.unwrap_err();
        assert!(unknown.message.contains("(kind=Nothing, apiVersion=v1)"), "{}", unknown.message);
        // What stays as it is was decided when it came.
        let secret = cluster.post(admin(), &policies, policy("secret", "Secret")).await.unwrap();
        let mut secret: serde_json::Value =
            serde_json::from_slice(&corten_apimachinery::codec::json::encode(&secret, None)).unwrap();
        secret["metadata"]["labels"] = json!({"a": "b"});
        cluster.put(user("ann", &[]), &format!("{policies}/secret"), secret).await.unwrap();

        cluster.post(user("ann", &[]), &bindings, binding("b", "any")).await.unwrap();
        let mut of_secret = binding("c", "other");
        of_secret["spec"]["policyName"] = json!("secret");
        let refused = cluster.post(user("ann", &[]), &bindings, of_secret.clone()).await.unwrap_err();
        assert!(
            refused.message.contains("spec.paramRef: Forbidden: user get does not have \"&{ann"),
            "{}",
            refused.message
        );
        assert!(refused.message.ends_with("permission on the object referenced by paramRef"), "{}", refused.message);
        of_secret["spec"]["paramRef"]["name"] = json!("mine");
        cluster.post(user("ann", &[]), &bindings, of_secret).await.unwrap();
        let mut without_policy = binding("d", "any");
        without_policy["spec"]["policyName"] = json!("nobodys");
        let refused = cluster.post(user("ann", &[]), &bindings, without_policy).await.unwrap_err();
        assert!(refused.message.contains("spec.paramRef: Forbidden: "), "{}", refused.message);
        cluster.stop().await;
    }
}
