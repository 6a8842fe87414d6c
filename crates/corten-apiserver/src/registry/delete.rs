//! Deletion: at once, gracefully, or after finalizers.
//!
//! Upstream: k8s.io/apiserver/pkg/registry/rest/delete.go and registry/generic/registry/store.go (v1.35).

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use corten_apimachinery::{
    gvk::GroupResource,
    meta::{ObjectMeta as _, format_time, parse_time},
    resource::{DeleteOptions, Deletion, GarbagePolicy},
    status::Status,
    stored::Stored,
    value::Value,
};
use corten_storage::{
    kv::{Change, Expected, Outcome, Revision},
    object::cache_key,
};
use futures::{FutureExt as _, future};
use jiff::Timestamp;

use super::{
    attempt::{Attempt, Attempts},
    reservation::{Ended, Settle},
    side_effect::Preconditions,
    store::{Store, WriteContext},
};
use crate::admission::Operation;

/// Dependents lose this owner before it goes.
const FINALIZER_ORPHAN: &str = "orphan";
/// Dependents go before this owner does.
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// What a delete led to.
#[derive(Debug)]
pub struct Deleted {
    /// The object's last state, or its state on the way out.
    pub object: Arc<Stored>,
    /// The revision at which it went; `None` if it is there still.
    pub gone_at: Option<Revision>,
}

impl Store {
    /// Deletes the object `name`, or begins to.
    ///
    /// Errors: `NotFound`, `Conflict` for a failed precondition, and what admission and the engine say.
    pub async fn delete(&self, cx: &WriteContext<'_>, name: &str, options: &DeleteOptions) -> Result<Deleted, Status> {
        super::names::check_name(name)?;
        self.check_key(cx.namespace, name)?;
        let key = cache_key(cx.namespace, name);
        // A deletion reads before it changes anything, and fails in the words of reads.
        let as_read = |failure| self.cacher.any().corrupt_at(&key).map_or(failure, |corrupt| self.unreadable(corrupt));
        let (mut attempts, mut found) = Attempts::begin(self, &key).await.map_err(as_read)?;
        loop {
            let Some((old, revision)) = found else {
                return Err(Status::not_found(&self.group_resource(), name));
            };
            let attempt = self.delete_once(cx, (&key, name), old, revision, options).await;
            match attempts.judge(revision, attempt).await? {
                ControlFlow::Break(deleted) => return Ok(deleted),
                ControlFlow::Continue(newer) => found = newer,
            }
        }
    }

    async fn delete_once(
        &self,
        cx: &WriteContext<'_>,
        (key, name): (&str, &str),
        mut old: Value,
        revision: Revision,
        options: &DeleteOptions,
    ) -> Result<Attempt<Deleted>, Status> {
        let preconditions = Preconditions {
            uid: options.precondition_uid.as_deref(),
            resource_version: options.precondition_resource_version.as_deref(),
        };
        self.check_delete_preconditions(preconditions, &old, name)?;
        let mut attributes = self.attributes(cx, Operation::Delete, name.into(), Value::Null, old.clone());
        self.settings.admission.admit(&mut attributes).await?;
        self.settings.admission.validate(&attributes).await?;
        drop(attributes);
        old.unset_meta("resourceVersion");
        let there = |object| Deleted { object, gone_at: None };
        let own = self.resource.strategy.own_deletion();
        if let Some(object) = own.and_then(|own| own(&self.strategy_context(cx), &old, options)) {
            if object == old {
                return Ok(Attempt::Answered(there(self.codec.stored(&old, revision))));
            }
            return self.put_going(cx, key, &object, revision).await;
        }
        let grace = self.grace(cx, &old, options);
        if matches!(grace, Grace::Runs) {
            // Finalizers are no longer this client's to choose, either.
            return Ok(Attempt::Answered(there(self.codec.stored(&old, revision))));
        }
        let mut object = old.clone();
        self.set_dependents_finalizers(&mut object, options);
        let has_finalizers = object.finalizers().next().is_some() || self.resource.strategy.holds_deletion(&object);
        if matches!(grace, Grace::Ends { seconds, .. } if seconds > 0) || has_finalizers {
            match grace {
                Grace::Ends { seconds, at } => mark_deleted(&mut object, &old, at, seconds),
                Grace::None | Grace::Runs => mark_held(&mut object, &old, cx.now),
            }
            if object == old && !self.is_outdated(key, revision).await? {
                return Ok(Attempt::Answered(there(self.codec.stored(&old, revision))));
            }
            return self.put_going(cx, key, &object, revision).await;
        }
        if cx.dry_run {
            let object = self.codec.stored(&old, revision);
            return Ok(Attempt::Answered(Deleted { object, gone_at: Some(revision) }));
        }
        let settle = self.hooks.as_ref().map(|hooks| -> Settle {
            let (hooks, old) = (Arc::clone(hooks), old.clone());
            Box::new(move |ended| match ended {
                Ended::Done => async move { hooks.after_delete(&old).await }.boxed(),
                Ended::NotDone | Ended::Unknown => future::ready(()).boxed(),
            })
        });
        // The answer is the object as it was, which is mostly at hand.
        let shown = self.cacher.get(key).filter(|shown| shown.revision == revision);
        Ok(match self.commit(key, Expected::ModRevision(revision), Change::Delete, settle).await {
            Ok(Outcome::Done { revision: at }) => {
                let object = shown.unwrap_or_else(|| self.codec.stored(&old, revision));
                Attempt::Wrote(Ok(Deleted { object, gone_at: Some(at) }))
            }
            Ok(Outcome::Conflict { current, .. }) => Attempt::Overtaken(current),
            Err(status) => Attempt::Wrote(Err(status)),
        })
    }

    /// Stores an object that is on its way out.
    async fn put_going(
        &self,
        cx: &WriteContext<'_>,
        key: &str,
        object: &Value,
        revision: Revision,
    ) -> Result<Attempt<Deleted>, Status> {
        let there = |object| Deleted { object, gone_at: None };
        if cx.dry_run {
            return Ok(Attempt::Answered(there(self.codec.stored(object, revision))));
        }
        let put = self.put(cx, key, Expected::ModRevision(revision), object, None).await?;
        Ok(Attempt::of(put, there))
    }

    /// Upstream: `BeforeDelete` in k8s.io/apiserver/pkg/registry/rest/delete.go, which names the kind where others name the
    /// resource; `Delete` of namespaces and of definitions, which do it in words of their own before that (v1.35).
    fn check_delete_preconditions(&self, wanted: Preconditions<'_>, old: &Value, name: &str) -> Result<(), Status> {
        let Some((what, wanted, actual)) = wanted.unmet(old) else { return Ok(()) };
        if self.resource.strategy.own_deletion().is_some() {
            let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}");
            return Err(Status::conflict(&self.group_resource(), name, why));
        }
        let happened = if what == "UID" { "deleted and then recreated" } else { "modified" };
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({actual}). The object might \
             have been {happened}"
        );
        let kind = GroupResource::new(self.kind.group.clone(), self.kind.kind.clone());
        Err(Status::conflict(&kind, name, why))
    }

    /// Notes in the finalizers what is to happen to dependents; the garbage collector acts on it.
    fn set_dependents_finalizers(&self, object: &mut Value, options: &DeleteOptions) {
        let policy = self.resource.strategy.garbage_policy();
        if policy == GarbagePolicy::Unsupported {
            return;
        }
        let already = |finalizer: &str| object.finalizers().any(|existing| existing == finalizer);
        let (orphan, foreground) = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
            (Some(orphan), _) => (orphan, false),
            (None, Some("Orphan")) => (true, false),
            (None, Some("Foreground")) => (false, true),
            (None, Some(_)) => (false, false),
            // What an earlier delete asked for stays.
            (None, None) if already(FINALIZER_ORPHAN) => (true, false),
            (None, None) if already(FINALIZER_FOREGROUND) => (false, true),
            (None, None) => (policy == GarbagePolicy::Orphan, false),
        };
        let mut finalizers: Vec<Value> = object
            .finalizers()
            .filter(|finalizer| !matches!(*finalizer, FINALIZER_ORPHAN | FINALIZER_FOREGROUND))
            .map(Value::from)
            .collect();
        if orphan {
            finalizers.push(FINALIZER_ORPHAN.into());
        }
        if foreground {
            finalizers.push(FINALIZER_FOREGROUND.into());
        }
        let unchanged = object.items_at(&["metadata", "finalizers"]) == finalizers;
        if unchanged {
            return;
        }
        if finalizers.is_empty() {
            object.unset_meta("finalizers");
        } else {
            object.set_meta("finalizers", finalizers);
        }
    }
}

/// What becomes of the time that an object has before it goes.
#[derive(Debug, Clone, Copy)]
enum Grace {
    /// It has none, or none any more.
    None,
    /// It runs already, and not for longer than is asked for.
    Runs,
    /// It is over at that time, so many seconds after the deletion was asked for first.
    Ends { seconds: i64, at: Timestamp },
}

impl Store {
    /// Upstream: `BeforeDelete` in k8s.io/apiserver/pkg/registry/rest/delete.go (v1.35).
    fn grace(&self, cx: &WriteContext<'_>, old: &Value, options: &DeleteOptions) -> Grace {
        // Below zero means "as fast as possible, but through whoever acts on it".
        let positive = |seconds: i64| if seconds < 0 { 1 } else { seconds };
        let after = |start: Timestamp, seconds: i64| {
            let grace = Duration::from_secs(seconds.unsigned_abs());
            // A grace period without an upper bound may lead beyond the calendar: the last day will do.
            start.saturating_add(grace).unwrap_or(Timestamp::MAX)
        };
        let Some(until) = old.deletion_timestamp() else {
            return match self.resource.strategy.begin_deletion(&self.strategy_context(cx), old, options) {
                Deletion::Immediate => Grace::None,
                Deletion::Graceful { grace_period_seconds } => {
                    let seconds = grace_period_seconds.max(0);
                    Grace::Ends { seconds, at: after(cx.now, seconds) }
                }
            };
        };
        let current = match old.deletion_grace_period_seconds() {
            None | Some(0) => return Grace::None,
            Some(current) => positive(current),
        };
        // Only who says so gets it sooner, whatever became of the object.
        match options.grace_period_seconds.map(positive) {
            Some(seconds) if seconds < current => {
                let sooner = Duration::from_secs((current - seconds).unsigned_abs());
                let until = parse_time(until).unwrap_or(cx.now);
                Grace::Ends { seconds, at: until.saturating_sub(sooner).unwrap_or(Timestamp::MIN) }
            }
            _ => Grace::Runs,
        }
    }
}

fn mark_deleted(object: &mut Value, old: &Value, at: Timestamp, grace_seconds: i64) {
    object.set_meta("deletionTimestamp", format_time(at));
    object.set_meta("deletionGracePeriodSeconds", grace_seconds);
    // Kinds that count generations count the deletion as a change of what is wanted.
    if old.deletion_timestamp().is_none() {
        count_deletion(object, old);
    }
}

/// Marks what would go at once if finalizers did not hold it.
///
/// Upstream: `markAsDeleting` in k8s.io/apiserver/pkg/registry/generic/registry/store.go (v1.35).
fn mark_held(object: &mut Value, old: &Value, now: Timestamp) {
    if old.deletion_timestamp().and_then(parse_time).is_none_or(|at| at > now) {
        object.set_meta("deletionTimestamp", format_time(now));
    }
    object.set_meta("deletionGracePeriodSeconds", 0_i64);
    if old.deletion_grace_period_seconds().is_none() {
        count_deletion(object, old);
    }
}

fn count_deletion(object: &mut Value, old: &Value) {
    if old.generation() > 0 {
        object.set_meta("generation", old.generation() + 1);
    }
}
