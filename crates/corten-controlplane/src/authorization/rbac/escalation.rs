//! Nobody gives away more than they hold: checks of every write of a role or binding.
//!
//! An admission plugin, because it needs the object and who asks; not one that can be switched off.
//! Upstream: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased, pkg/registry/rbac/helpers.go,
//! pkg/registry/rbac/validation ConfirmNoEscalation (v1.35).

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use corten_apimachinery::{
    field::quote,
    gvk::GroupVersionResource,
    meta::ObjectMeta as _,
    status::Status,
    value::{Str, Value, semantically_equal},
};
use corten_apiserver::{
    RequestInfo,
    admission::{self, Operation},
    authorization::{Attributes, Authorizer, SYSTEM_MASTERS},
};
use corten_base::{TaskSet, blocking};

use super::{
    GROUP, Rbac,
    grants::RoleRef,
    missing::{compact, missing_at_once, missing_bounded},
    rule::{Rule, quote_all},
};

/// Checks writes of roles and bindings.
#[derive(Debug)]
pub struct Escalation {
    rbac: Arc<Rbac>,
    /// Where much is compared.
    tasks: TaskSet,
    /// Everybody who decides, filled in once they are all made.
    authorizer: Arc<OnceLock<Arc<dyn Authorizer>>>,
}

impl Escalation {
    /// Checks against what `rbac` says a user holds; `authorizer` decides about the verbs `escalate` and `bind`. What takes
    /// long is done in `tasks`.
    #[must_use]
    pub fn new(rbac: Arc<Rbac>, authorizer: Arc<OnceLock<Arc<dyn Authorizer>>>, tasks: TaskSet) -> Self {
        Self { rbac, tasks, authorizer }
    }

    async fn is_allowed(&self, attributes: &admission::Attributes<'_>, request: &RequestInfo) -> bool {
        let Some(authorizer) = self.authorizer.get() else { return false };
        authorizer.authorize(Attributes { user: attributes.user, request }).await.is_allowed()
    }

    async fn check_role(&self, attributes: &admission::Attributes<'_>) -> Result<(), Status> {
        let request = RequestInfo {
            is_resource: true,
            verb: "escalate".into(),
            group: GROUP.into(),
            version: "*".into(),
            namespace: attributes.namespace.into(),
            resource: attributes.resource.resource.clone(),
            name: if attributes.operation == Operation::Create { Str::default() } else { attributes.name.clone() },
            ..RequestInfo::default()
        };
        if self.is_allowed(attributes, &request).await {
            return Ok(());
        }
        let rules: Arc<[Rule]> = attributes.object.items_at(&["rules"]).iter().map(Rule::from_value).collect();
        let refused = |why: String| Status::forbidden(&attributes.resource.group_resource(), &attributes.name, why);
        self.confirm(attributes, rules).await.map_err(refused)?;
        let aggregates = |role: &Value| {
            role.at(&["aggregationRule"]).is_some_and(|rule| !rule.items_at(&["clusterRoleSelectors"]).is_empty())
        };
        if aggregates(&attributes.object) || aggregates(&attributes.old_object) {
            // An aggregated role can gather anything.
            let confirmed = self.confirm(attributes, Rule::full_authority().into()).await;
            confirmed
                .map_err(|_| refused("must have cluster-admin privileges to use an aggregationRule".to_owned()))?;
        }
        Ok(())
    }

    async fn check_binding(&self, attributes: &admission::Attributes<'_>) -> Result<(), Status> {
        let text = |key: &str| attributes.object.str_at(&["roleRef", key]).unwrap_or_default();
        let (role, plural) = match text("kind") {
            "Role" => (RoleRef::Namespaced(text("name").into()), "roles"),
            _ => (RoleRef::Cluster(text("name").into()), "clusterroles"),
        };
        let request = RequestInfo {
            is_resource: true,
            verb: "bind".into(),
            group: text("apiGroup").into(),
            version: "*".into(),
            namespace: attributes.namespace.into(),
            resource: plural.into(),
            name: text("name").into(),
            ..RequestInfo::default()
        };
        if self.is_allowed(attributes, &request).await {
            return Ok(());
        }
        let rules = self.rbac.index().await.role_rules(&role, attributes.namespace)?.into();
        let confirmed = self.confirm(attributes, rules).await;
        confirmed.map_err(|why| Status::forbidden(&attributes.resource.group_resource(), &attributes.name, why))
    }

    /// Errors: what of `rules` the user does not hold, in words.
    async fn confirm(&self, attributes: &admission::Attributes<'_>, rules: Arc<[Rule]>) -> Result<(), String> {
        let (at_once, errors) = {
            let index = self.rbac.index().await;
            let held = index.rules_for(attributes.user, attributes.namespace);
            (missing_at_once(&held.rules, &rules), held.errors)
        };
        let missing = match at_once {
            Some(missing) => missing,
            None => {
                let (user, namespace) = (attributes.user.clone(), attributes.namespace.to_owned());
                let index = self.rbac.index().await;
                let work = move || missing_bounded(&index.rules_for(&user, &namespace).rules, &rules);
                let found = blocking::run(&self.tasks, "escalation", work).await;
                found.map_err(|panic| panic.to_string())?
            }
        };
        if missing.rules.is_empty() && missing.is_all {
            return Ok(());
        }
        let mut lines: Vec<String> = compact(missing.rules).iter().map(Rule::describe).collect();
        lines.sort();
        lines.dedup();
        if !missing.is_all {
            lines.push("(the rules allow too much for all of it to be compared: grant less at once)".to_owned());
        }
        let mut why = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&attributes.user.name),
            quote_all(&attributes.user.groups),
            lines.join("\n")
        );
        if !errors.is_empty() {
            why.push_str(&format!("; resolution errors: [{}]", errors.join(" ")));
        }
        Err(why)
    }
}

/// Whether the change is only what garbage collection does: owners and finalizers.
pub fn is_only_garbage_collection(object: &Value, old: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            object.unset_meta(field);
        }
        object
    };
    semantically_equal(Some(&stripped(object)), Some(&stripped(old)))
}

#[async_trait]
impl admission::Plugin for Escalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        resource.group == GROUP && subresource.is_empty() && matches!(operation, Operation::Create | Operation::Update)
    }

    async fn validate(&self, attributes: &admission::Attributes<'_>) -> Result<(), Status> {
        if attributes.user.groups.iter().any(|group| group == SYSTEM_MASTERS) {
            return Ok(());
        }
        if attributes.operation == Operation::Update
            && is_only_garbage_collection(&attributes.object, &attributes.old_object)
        {
            return Ok(());
        }
        if attributes.resource.resource.ends_with("bindings") {
            self.check_binding(attributes).await
        } else {
            self.check_role(attributes).await
        }
    }
}
