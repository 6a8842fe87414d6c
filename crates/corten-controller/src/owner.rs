//! Ownership: which objects a controller may count as its own, which it takes over, and which it lets go.
//!
//! The decision is pure; `ControllerRefManager` acts on it. An object that somebody else controls is never touched.
//! Upstream: pkg/controller/controller_ref_manager.go (v1.35).

use std::{future::Future, sync::Arc};

use corten_apimachinery::{
    gvk::GroupVersionResource,
    selector::label::Selector,
    status::{Reason, Status},
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{Client, PatchKind, Target};
use corten_informer::Key;
use tracing::debug;

/// The object that owns others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `apiVersion`.
    pub api_version: Str,
    /// `kind`.
    pub kind: Str,
    /// The namespace; empty for cluster-scoped owners.
    pub namespace: Str,
    /// The name.
    pub name: Str,
    /// The UID.
    pub uid: Str,
    /// Whether its deletion has begun: then it neither adopts nor releases.
    pub is_deleting: bool,
}

impl Owner {
    /// The owner that `object` is, of this kind.
    pub fn of(api_version: impl Into<Str>, kind: impl Into<Str>, object: &Stored) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            is_deleting: object.facts.is_deleting,
        }
    }

    /// The entry of `metadata.ownerReferences` by which this owner controls an object.
    #[must_use]
    pub fn controller_reference(&self) -> Value {
        Value::object_of([
            ("apiVersion", Value::String(self.api_version.clone())),
            ("kind", Value::String(self.kind.clone())),
            ("name", Value::String(self.name.clone())),
            ("uid", Value::String(self.uid.clone())),
            ("controller", true.into()),
            ("blockOwnerDeletion", true.into()),
        ])
    }
}

/// What an owner does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is its own already.
    Owned,
    /// It becomes its own.
    Adopt,
    /// It was its own and no longer matches.
    Release,
    /// It is none of its business.
    Ignore,
}

/// Decides about one object. `matches`: the owner's selector and any further conditions hold for it.
#[must_use]
pub fn claim(owner: &Owner, object: &Stored, matches: bool) -> Claim {
    let controller = &object.facts.controller_uid;
    if *controller == owner.uid {
        return match (matches, owner.is_deleting) {
            (true, _) => Claim::Owned,
            (false, true) => Claim::Ignore,
            (false, false) => Claim::Release,
        };
    }
    let is_in_reach = owner.namespace.is_empty() || owner.namespace == object.namespace;
    let may_adopt = controller.is_empty() && matches && is_in_reach;
    if may_adopt && !owner.is_deleting && !object.facts.is_deleting { Claim::Adopt } else { Claim::Ignore }
}

/// Claims objects of one resource for one owner.
#[derive(Debug, Clone)]
pub struct ControllerRefManager {
    /// Under which identity.
    pub client: Client,
    /// The resource of the objects.
    pub resource: GroupVersionResource,
    /// For whom.
    pub owner: Owner,
    /// Which objects.
    pub selector: Selector,
}

impl ControllerRefManager {
    /// Adopts and releases what has to be, and returns the objects that are the owner's then. An adopted object is
    /// returned as the server answered.
    ///
    /// `can_adopt` runs once, before the first adoption: it reads the owner from the API server, not from a cache, and
    /// refuses if that is being deleted or is another object of the same name.
    ///
    /// Errors: the first failure; the other objects were claimed nevertheless. Cancellation: some of the objects are
    /// claimed; claiming again completes it.
    pub async fn claim<F>(
        &self,
        objects: Vec<Arc<Stored>>,
        can_adopt: impl FnOnce() -> F,
    ) -> Result<Vec<Arc<Stored>>, Status>
    where
        F: Future<Output = Result<(), Status>>,
    {
        let (mut claimed, mut failure) = (Vec::with_capacity(objects.len()), None);
        let (mut can_adopt, mut permission) = (Some(can_adopt), Ok(()));
        for object in objects {
            match claim(&self.owner, &object, self.selector.matches(&object.facts.labels)) {
                Claim::Owned => claimed.push(object),
                Claim::Ignore => {}
                Claim::Release => {
                    if let Err(status) = self.release(&object).await {
                        failure.get_or_insert(status);
                    }
                }
                Claim::Adopt => {
                    if let Some(ask) = can_adopt.take() {
                        permission = ask().await;
                    }
                    let adopted = match &permission {
                        Ok(()) => self.adopt(&object).await,
                        Err(status) => Err(status.clone()),
                    };
                    match adopted {
                        Ok(object) => claimed.extend(object),
                        Err(status) => _ = failure.get_or_insert(status),
                    }
                }
            }
        }
        failure.map_or(Ok(claimed), Err)
    }

    /// Makes the owner the controller of `object`; `None` if it is gone meanwhile.
    async fn adopt(&self, object: &Stored) -> Result<Option<Arc<Stored>>, Status> {
        let patch = adopt_patch(&self.owner, object);
        match self.client.patch(self.target(object), PatchKind::Strategic, patch).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Takes the owner's reference out of `object`.
    async fn release(&self, object: &Stored) -> Result<(), Status> {
        debug!(owner = %self.owner.name, kind = %self.owner.kind, object = %Key::of(object), "Released object");
        let patch = release_patch(&self.owner, object);
        match self.client.patch(self.target(object), PatchKind::Strategic, patch).await {
            // Gone, or made again under its name, or without the reference already: nothing is left to release.
            Err(status) if status.is_not_found() || status.reason == Reason::Invalid => Ok(()),
            other => other.map(drop),
        }
    }

    fn target(&self, object: &Stored) -> Target {
        Target::object(&self.resource, object.namespace.clone(), object.name.clone())
    }
}

/// The strategic merge patch by which `owner` takes `object` over. The UID in it makes the server refuse the patch if
/// another object has the name by now.
#[must_use]
pub fn adopt_patch(owner: &Owner, object: &Stored) -> Value {
    let mut patch = Value::object();
    patch.set(&["metadata", "uid"], object.uid.clone());
    patch.set(&["metadata", "ownerReferences"], Value::array([owner.controller_reference()]));
    patch
}

/// The strategic merge patch by which `owner` lets `object` go.
#[must_use]
pub fn release_patch(owner: &Owner, object: &Stored) -> Value {
    let reference = Value::object_of([("$patch", Value::from("delete")), ("uid", Value::String(owner.uid.clone()))]);
    let mut patch = Value::object();
    patch.set(&["metadata", "uid"], object.uid.clone());
    patch.set(&["metadata", "ownerReferences"], Value::array([reference]));
    patch
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::codec::json;
    use corten_client::{Body, Verb};
    use corten_informer::testutil::{ObjectBuilder, ScriptedServer, object};

    use super::*;

    fn owner() -> Owner {
        Owner::of("apps/v1", "ReplicaSet", &object("ns/rs", 1).uid("owner").build())
    }

    #[test]
    fn an_object_is_claimed_by_owner_selector_and_deletion() {
        #[track_caller]
        fn check(owner_deleting: bool, object: ObjectBuilder, matches: bool, want: Claim) {
            let owner = Owner { is_deleting: owner_deleting, ..owner() };
            assert_eq!(claim(&owner, &object.build(), matches), want);
        }
        let pod = || object("ns/pod", 1);
        let owned = || pod().controller("owner");
        check(false, owned(), true, Claim::Owned);
        check(true, owned(), true, Claim::Owned);
        check(false, owned().deleting(), true, Claim::Owned);
        check(false, owned(), false, Claim::Release);
        check(true, owned(), false, Claim::Ignore);
        check(false, pod().controller("other"), true, Claim::Ignore);
        check(false, pod(), true, Claim::Adopt);
        check(false, pod(), false, Claim::Ignore);
        check(true, pod(), true, Claim::Ignore);
        check(false, pod().deleting(), true, Claim::Ignore);
        check(false, object("elsewhere/pod", 1), true, Claim::Ignore);
    }

    fn manager(client: Client) -> ControllerRefManager {
        let resource = GroupVersionResource::new("", "v1", "pods");
        ControllerRefManager { client, resource, owner: owner(), selector: Selector::parse("app=web").unwrap() }
    }

    fn patch_text(call: &corten_client::Call) -> String {
        let Body::Tree(patch) = &call.body else { panic!("a patch has a tree") };
        String::from_utf8(json::encode(patch, None).to_vec()).unwrap()
    }

    #[tokio::test]
    async fn claiming_patches_what_has_to_change_hands() {
        let (mut server, client) = ScriptedServer::new();
        let objects = vec![
            object("ns/mine", 1).controller("owner").label("app", "web").build(),
            object("ns/orphan", 2).label("app", "web").build(),
            object("ns/gone", 3).label("app", "web").build(),
            object("ns/strayed", 4).controller("owner").build(),
        ];
        let serve = async {
            let call = server.next().await;
            assert_eq!((call.call.verb, &*call.call.name), (Verb::Patch(PatchKind::Strategic), "orphan"));
            assert_eq!(
                patch_text(&call.call),
                concat!(
                    r#"{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"#,
                    r#""kind":"ReplicaSet","name":"rs","uid":"owner"}],"uid":"uid-orphan"}}"#
                )
            );
            call.object(object("ns/orphan", 9).build());
            let call = server.next().await;
            let gone = Status::not_found(&call.call.resource.group_resource(), "gone");
            call.fail(gone);
            let call = server.next().await;
            assert_eq!(
                patch_text(&call.call),
                r#"{"metadata":{"ownerReferences":[{"$patch":"delete","uid":"owner"}],"uid":"uid-strayed"}}"#
            );
            call.fail(Status::new(Reason::Invalid, "no such reference"));
        };
        let manager = manager(client);
        let (claimed, ()) = futures::join!(manager.claim(objects, || async { Ok(()) }), serve);
        let names: Vec<_> = claimed.unwrap().iter().map(|object| (object.name.to_string(), object.revision)).collect();
        assert_eq!(names, [("mine".to_owned(), 1), ("orphan".to_owned(), 9)]);
    }

    #[tokio::test]
    async fn nothing_is_adopted_when_the_owner_turns_out_to_be_gone() {
        let (mut server, client) = ScriptedServer::new();
        let orphan = object("ns/orphan", 2).label("app", "web").build();
        let refused = || async { Err(Status::internal("original ReplicaSet ns/rs is gone")) };
        assert!(manager(client).claim(vec![orphan], refused).await.is_err());
        assert!(server.try_next().is_none());
    }
}
