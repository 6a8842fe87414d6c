//! Binds claims to persistent volumes that exist, and lets volumes go with their claims.
//!
//! Flow: claims, volumes and classes -> one queue and one worker -> `plan` -> the volume is kept for the claim, then the
//! claim is bound to it. Each write names the version it has seen, so that of two that want a volume one loses and
//! looks again.
//! Volumes are neither made nor deleted here, and classes that wait for a first consumer are bound only to a volume that
//! is kept for the claim.
//! Upstream: pkg/controller/volume/persistentvolume (v1.35), which looks again every 15 seconds; here every volume that
//! comes free has all waiting claims looked at.

mod plan;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use corten_apimachinery::{
    meta::ObjectMeta as _,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{
    Client, Target,
    api::resource_of,
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, InformerId, Lister, Projected};

use self::plan::{ClaimPlan, Class, Level, Report, VolumePlan};
use crate::{
    Config,
    objects::{part, tree},
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "persistentvolume-binder-controller",
    aliases: &["persistentvolume-binder"],
    identity: "persistent-volume-binder",
    feature_gate: None,
    // One decision at a time: two would choose the same volume.
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let claims = context.informers.informer(&resource_of::<PersistentVolumeClaim>());
        let volumes = context.informers.informer(&resource_of::<PersistentVolume>());
        let classes = context.informers.informer(&resource_of::<StorageClass>());
        // Before the handlers that queue work, so that they are never older than what the work is about.
        let offers = context
            .informers
            .projected(&InformerId::all(&resource_of::<PersistentVolume>()), |volume, _| Offer::of(volume));
        let open = context
            .informers
            .projected(&InformerId::all(&resource_of::<PersistentVolumeClaim>()), |claim, _| Open::of(claim));
        let of = |kind| {
            let queue = Arc::clone(&queue);
            Arc::new(Changes { kind, queue })
        };
        claims.add_handler(of(Kind::Claim));
        volumes.add_handler(of(Kind::Volume));
        classes.add_handler(of(Kind::Class));
        let binder = Binder {
            client: context.client(),
            recorder: context.recorder.for_component("persistentvolume-controller"),
            queue: Arc::clone(&queue),
            claims: claims.lister(),
            volumes: volumes.lister(),
            classes: classes.lister(),
            offers,
            open,
        };
        QueueController::boxed(&context, queue, binder)
    },
};

/// What there may be to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// A claim may be bound or lost.
    Claim(Key),
    /// A volume may be free or not any more.
    Volume(Str),
    /// Volumes that are kept for a claim may be free or not any more.
    VolumesOf(Key),
    /// All claims that are not bound may be.
    Waiting,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(key) => write!(f, "claim {key}"),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::VolumesOf(key) => write!(f, "volumes of claim {key}"),
            Self::Waiting => f.write_str("waiting claims"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Claim,
    Volume,
    Class,
}

/// Hears of changes. What takes a look at all claims or volumes is left to the worker, and done once for many changes.
struct Changes {
    kind: Kind,
    queue: Arc<WorkQueue<Work>>,
}

impl Changes {
    fn changed(&self, object: &Stored) {
        match self.kind {
            Kind::Claim => {
                let key = Key::of(object);
                self.queue.add(Work::Claim(key.clone()));
                let named = Str::from(plan::volume_of(&part(object, &[&["spec", "volumeName"]])));
                self.queue.add(if named.is_empty() { Work::VolumesOf(key) } else { Work::Volume(named) });
            }
            Kind::Volume => {
                self.queue.add(Work::Volume(object.name.clone()));
                self.claim_of(object);
                self.queue.add(Work::Waiting);
            }
            Kind::Class => self.queue.add(Work::Waiting),
        }
    }

    /// The claim that a volume is kept for, if there is one.
    fn claim_of(&self, volume: &Stored) {
        if let Some(claim) = plan::kept_for(&part(volume, &[&["spec", "claimRef"]])) {
            self.queue.add(Work::Claim(claim));
        }
    }
}

impl Handler for Changes {
    fn on_add(&self, object: &Arc<Stored>) {
        self.changed(object);
    }

    fn on_update(&self, old: &Arc<Stored>, object: &Arc<Stored>) {
        // The claim of a volume that is not kept for it any more.
        if matches!(self.kind, Kind::Volume) {
            self.claim_of(old);
        }
        self.changed(object);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.changed(object);
    }
}

struct Binder {
    client: Client,
    recorder: Recorder,
    queue: Arc<WorkQueue<Work>>,
    claims: Lister,
    volumes: Lister,
    classes: Lister,
    offers: Arc<Projected<Offer>>,
    open: Arc<Projected<Open>>,
}

/// The part of a volume that decides which claim gets it. Read once per version: every claim that waits looks at all.
struct Offer(Value);

impl Offer {
    fn of(volume: &Stored) -> Self {
        Self(plan::offer(&tree(volume).unwrap_or_default()))
    }
}

/// Whether a claim is not bound. Read once per version: every volume that changes has all claims asked.
struct Open(bool);

impl Open {
    fn of(claim: &Stored) -> Self {
        Self(plan::is_waiting(&part(claim, &[&["status", "phase"]])))
    }
}

#[async_trait]
impl Reconciler<Work> for Binder {
    async fn reconcile(&self, work: &Work) -> Result<Requeue, ReconcileError> {
        let done = match work {
            Work::Claim(key) => self.claim(key).await,
            Work::Volume(name) => self.volume(name).await,
            Work::VolumesOf(claim) => {
                self.volumes_of(claim);
                Ok(())
            }
            Work::Waiting => {
                self.waiting();
                Ok(())
            }
        };
        match done {
            // Changed by somebody else, or gone: either way an event follows.
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status.into()),
            _ => Ok(Requeue::Never),
        }
    }
}

impl Binder {
    /// Looks at the volumes that are kept for a claim, which may be gone.
    fn volumes_of(&self, claim: &Key) {
        for volume in self.offers.list() {
            if plan::kept_for(&volume.value.0).as_ref() == Some(claim) {
                self.queue.add(Work::Volume(volume.object.name.clone()));
            }
        }
    }

    /// Looks at all claims that are not bound.
    fn waiting(&self) {
        for claim in self.open.list().iter().filter(|claim| claim.value.0) {
            self.queue.add(Work::Claim(claim.key()));
        }
    }

    async fn claim(&self, key: &Key) -> Result<(), Status> {
        let Some(stored) = self.claims.get(key) else { return Ok(()) };
        let claim = tree(&stored)?;
        let offers: Vec<Value> = self.offers.list().iter().map(|volume| volume.value.0.clone()).collect();
        let class = plan::class_of(&claim);
        let known = self.classes.get(&Key::new("", class)).map(|class| tree(&class)).transpose()?;
        let class = (!class.is_empty()).then(|| {
            known.as_ref().map_or(Class::Missing, |class| Class::Provisioned {
                by: class.str_at(&["provisioner"]).unwrap_or_default(),
                late: class.str_at(&["volumeBindingMode"]) == Some("WaitForFirstConsumer"),
            })
        });
        let (phase, report) = match plan::plan_claim(&claim, &offers, class) {
            ClaimPlan::Bind(offer) => {
                let volume = self.volumes.get(&Key::new("", offer.name())).map(|volume| tree(&volume)).transpose()?;
                return match volume.filter(|volume| volume.resource_version() == offer.resource_version()) {
                    Some(volume) => self.bind(&claim, volume).await,
                    // Changed or gone meanwhile, which is told after this.
                    None => Ok(()),
                };
            }
            ClaimPlan::Wait(report) => ("Pending", report),
            ClaimPlan::Lose(report) => ("Lost", report),
        };
        let changed = plan::claim_in_phase(&claim, phase, None);
        // A loss is told once.
        if phase == "Pending" || changed.is_some() {
            self.report("PersistentVolumeClaim", &stored, report);
        }
        if let Some(changed) = changed {
            self.client.update(of_claim(&claim).subresource("status"), changed).await?;
        }
        Ok(())
    }

    /// Keeps the volume for the claim, and binds the claim to it.
    async fn bind(&self, claim: &Value, mut volume: Value) -> Result<(), Status> {
        if let Some(kept) = plan::volume_for(&volume, claim) {
            volume = tree(&*self.client.update(of_volume(&volume), kept).await?)?;
        }
        if let Some(bound) = plan::volume_in_phase(&volume, "Bound", "") {
            volume = tree(&*self.client.update(of_volume(&volume).subresource("status"), bound).await?)?;
        }
        let mut claim = claim.clone();
        if let Some(bound) = plan::claim_with(&claim, volume.name()) {
            claim = tree(&*self.client.update(of_claim(&claim), bound).await?)?;
        }
        if let Some(bound) = plan::claim_in_phase(&claim, "Bound", Some(&volume)) {
            self.client.update(of_claim(&claim).subresource("status"), bound).await?;
        }
        Ok(())
    }

    async fn volume(&self, name: &Str) -> Result<(), Status> {
        let Some(stored) = self.volumes.get(&Key::new("", name.clone())) else { return Ok(()) };
        let volume = tree(&stored)?;
        let claim = self.claim_of(&volume).await?;
        match plan::plan_volume(&volume, claim.as_ref()) {
            VolumePlan::Nothing => {
                if let Some(claim) = &claim {
                    self.queue.add(Work::Claim(Key::new(claim.namespace(), claim.name())));
                }
            }
            VolumePlan::Phase(phase, report) => {
                let message = report.as_ref().map(|(_, _, text)| text.as_str()).unwrap_or_default();
                if let Some(changed) = plan::volume_in_phase(&volume, phase, message) {
                    self.client.update(of_volume(&volume).subresource("status"), changed).await?;
                    self.report("PersistentVolume", &stored, report);
                }
            }
            VolumePlan::Release(free) => drop(self.client.update(of_volume(&volume), *free).await?),
        }
        Ok(())
    }

    /// The claim that the volume is kept for; asked for at the API server if the cache has none, because a volume must
    /// not be let go for a claim that has just not been seen yet.
    async fn claim_of(&self, volume: &Value) -> Result<Option<Value>, Status> {
        let text = |field: &str| volume.str_at(&["spec", "claimRef", field]).unwrap_or_default();
        let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
        if uid.is_empty() {
            return Ok(None);
        }
        if let Some(claim) = self.claims.get(&Key::new(namespace, name)).filter(|claim| claim.uid == uid) {
            return tree(&claim).map(Some);
        }
        match self.client.get(Target::object(&resource_of::<PersistentVolumeClaim>(), namespace, name)).await {
            Ok(claim) => tree(&claim).map(Some),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    fn report(&self, kind: &'static str, object: &Stored, report: Report) {
        let Some((level, reason, text)) = report else { return };
        let reference = ObjectRef::of("v1", kind, object);
        match level {
            Level::Normal => self.recorder.normal(&reference, reason, text),
            Level::Warning => self.recorder.warning(&reference, reason, text),
        }
    }
}

fn of_claim(claim: &Value) -> Target {
    Target::object(&resource_of::<PersistentVolumeClaim>(), claim.namespace(), claim.name())
}

fn of_volume(volume: &Value) -> Target {
    Target::object(&resource_of::<PersistentVolume>(), "", volume.name())
}
