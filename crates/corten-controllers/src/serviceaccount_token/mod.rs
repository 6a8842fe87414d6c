//! Fills in secrets of type `kubernetes.io/service-account-token`, and deletes them with the account they are for.
//!
//! Flow: such secrets and service accounts -> queue of secrets -> token from the API server -> update, or delete.
//! Invariant: a secret is deleted only after a live read confirms that its account is gone.
//! The token is asked for as kubelets ask for those of pods, bound to the secret and for the longest time that the API
//! server gives (136 years), so that the key that signs stays with the API server. Upstream's controller holds the key
//! and makes a token of the older form, without an end; both end with the secret and with the account.
//! Upstream: pkg/controller/serviceaccount/tokens_controller.go (v1.35).

mod plan;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_api::core::v1::{Secret, ServiceAccount};
use corten_apimachinery::{
    meta::ObjectMeta as _,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{Client, Target, api::resource_of};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::{InformerId, Lister, Projected};

use self::plan::{ACCOUNT_NAME, ACCOUNT_UID, Missing};
use crate::{
    Config,
    objects::{from_json, gone_is_fine, part, tree},
    queue_controller::{QueueController, queue_of},
};

/// The longest time for which the API server gives tokens, in seconds. Upstream: validation of TokenRequest.
const VALID_SECONDS: i64 = 1 << 32;

/// The controller. It acts as the controller manager itself, as upstream: no role of the bootstrap policy is made for it.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "serviceaccount-token-controller",
    aliases: &["serviceaccount-token"],
    identity: "tokens-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let of_type = InformerId::all(&resource_of::<Secret>()).fields("type=kubernetes.io/service-account-token");
        let secrets = context.informers.informer_of(&of_type);
        secrets.add_handler(Enqueue::object(&queue).handler());
        let accounts = context.informers.informer(&resource_of::<ServiceAccount>());
        let of_account = {
            let secrets = context.informers.projected(&of_type, |secret, _| AccountOf::of(secret));
            move |account: &Stored, add: &mut dyn FnMut(Key)| {
                let of_namespace = secrets.in_namespace(&account.namespace);
                let its = of_namespace.iter().filter(|secret| secret.value.0 == account.name);
                its.for_each(|secret| add(secret.key()));
            }
        };
        let references = context
            .informers
            .projected(&InformerId::all(&resource_of::<ServiceAccount>()), |account, _| References::of(account));
        accounts.add_handler(Enqueue::mapped(&queue, of_account).handler());
        let reconciler = Tokens {
            client: context.manager.clone(),
            config: Arc::clone(&context.config),
            secrets: secrets.lister(),
            accounts: accounts.lister(),
            references,
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

/// The name of the account that a secret is for; empty if it does not say. Read once per version: a secret can have a
/// megabyte, and an account asks all of its namespace.
struct AccountOf(Str);

impl AccountOf {
    fn of(secret: &Stored) -> Self {
        let secret = part(secret, &[&["metadata", "annotations"]]);
        Self(secret.annotation(ACCOUNT_NAME).unwrap_or_default().into())
    }
}

/// The secrets that an account lists, by name. Read once per version: a secret that goes asks all accounts of its namespace.
struct References(BTreeSet<Str>);

impl References {
    fn of(account: &Stored) -> Self {
        let account = part(account, &[&["secrets"]]);
        let names = account.items_at(&["secrets"]).iter().filter_map(|reference| reference.str_at(&["name"]));
        Self(names.map(Str::from).collect())
    }
}

struct Tokens {
    client: Client,
    config: Arc<Config>,
    secrets: Lister,
    accounts: Lister,
    references: Arc<Projected<References>>,
}

#[async_trait]
impl Reconciler for Tokens {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.secrets.get(key) else {
            self.forget_references(key).await?;
            return Ok(Requeue::Never);
        };
        let secret = tree(&stored)?;
        let name = secret.annotation(ACCOUNT_NAME).unwrap_or_default();
        if name.is_empty() || stored.facts.is_deleting {
            return Ok(Requeue::Never);
        }
        let uid = secret.annotation(ACCOUNT_UID).unwrap_or_default();
        let account = self.account(&key.namespace, name, uid).await?;
        let target = Target::object(&resource_of::<Secret>(), key.namespace.clone(), key.name.clone());
        let Some(account) = account else {
            let options = from_json(&serde_json::json!({"preconditions": {"uid": stored.uid.as_str()}}));
            return match gone_is_fine(self.client.delete(target, options).await) {
                Err(status) if !status.is_conflict() => Err(status.into()),
                _ => Ok(Requeue::Never),
            };
        };
        let missing = Missing::of(&secret, &self.config.root_ca);
        if !missing.any() {
            return Ok(Requeue::Never);
        }
        let mut filled = secret.clone();
        if missing.authority {
            filled.set(&["data", "ca.crt"], BASE64_STANDARD.encode(&self.config.root_ca));
        }
        if missing.namespace {
            filled.set(&["data", "namespace"], BASE64_STANDARD.encode(key.namespace.as_str()));
        }
        if missing.token {
            let token = match self.token(&account, &stored).await {
                // One of them has just gone; its event brings the secret back.
                Err(status) if status.is_not_found() || status.is_conflict() => return Ok(Requeue::Never),
                token => token?,
            };
            filled.set(&["data", "token"], BASE64_STANDARD.encode(token));
        }
        filled.set(&["metadata", "annotations", ACCOUNT_UID], account.uid.clone());
        match self.client.update(target, filled).await {
            // Changed by somebody else, or gone: either way an event follows.
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status.into()),
            _ => Ok(Requeue::Never),
        }
    }
}

impl Tokens {
    /// The account of this name and, if it is not empty, UID; asked for at the API server if the cache has none.
    async fn account(&self, namespace: &str, name: &str, uid: &str) -> Result<Option<Arc<Stored>>, Status> {
        let is_meant = |account: &Arc<Stored>| uid.is_empty() || account.uid == uid;
        let cached = self.accounts.get(&Key::new(namespace, name)).filter(is_meant);
        if cached.is_some() {
            return Ok(cached);
        }
        match self.client.get(Target::object(&resource_of::<ServiceAccount>(), namespace, name)).await {
            Ok(account) => Ok(Some(account).filter(is_meant)),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    async fn token(&self, account: &Stored, secret: &Stored) -> Result<String, Status> {
        let request = from_json(&serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "expirationSeconds": VALID_SECONDS,
                "boundObjectRef": {
                    "apiVersion": "v1", "kind": "Secret", "name": secret.name.as_str(), "uid": secret.uid.as_str(),
                },
            },
        }));
        let resource = resource_of::<ServiceAccount>();
        let target = Target::object(&resource, account.namespace.clone(), account.name.clone()).subresource("token");
        let answer = self.client.post(target, request).await?;
        let token = answer.str_at(&["status", "token"]).filter(|token| !token.is_empty());
        token.map(str::to_owned).ok_or_else(|| Status::internal("the API server answered without a token"))
    }

    /// Takes a secret that is gone off the accounts that list it.
    async fn forget_references(&self, secret: &Key) -> Result<(), ReconcileError> {
        let of_namespace = self.references.in_namespace(&secret.namespace);
        for account in of_namespace.iter().filter(|account| account.value.0.contains(secret.name.as_str())) {
            let Some(account) = self.accounts.get(&account.key()) else { continue };
            let mut changed = tree(&account)?;
            let listed = changed.items_at(&["secrets"]);
            let is_it = |reference: &Value| reference.str_at(&["name"]) == Some(secret.name.as_str());
            if !listed.iter().any(is_it) {
                continue;
            }
            let kept: Vec<Value> = listed.iter().filter(|reference| !is_it(reference)).cloned().collect();
            changed.set(&["secrets"], kept);
            let resource = resource_of::<ServiceAccount>();
            let target = Target::object(&resource, account.namespace.clone(), account.name.clone());
            match self.client.update(target, changed).await {
                Err(status) if !status.is_not_found() => return Err(status.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use corten_informer::testutil::object;

    use super::*;

    #[test]
    fn what_is_kept_of_secrets_and_accounts_names_the_other_side() {
        let json = r#"{"metadata":{"annotations":{"kubernetes.io/service-account.name":"sa"}},"data":{}}"#;
        assert_eq!(AccountOf::of(&object("ns/s", 1).json(json).build()).0, "sa");
        assert_eq!(AccountOf::of(&object("ns/s", 1).build()).0, "");
        let json = r#"{"secrets":[{"name":"b"},{"name":"a"},{},{"name":"a"}]}"#;
        let listed = References::of(&object("ns/sa", 1).json(json).build()).0;
        assert_eq!(listed.iter().map(Str::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }
}
