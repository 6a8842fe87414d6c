//! Rules of a job's status, which controllers other than upstream's may write (`managedBy`).
//!
//! A rule about a field is asked when that field has changed, so that a status that was wrong before can still be improved.
//! Upstream: `getStatusValidationOptions` in pkg/registry/batch/job/strategy.go (v1.35).

use corten_api::batch::v1::{Job, JobStatus};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::parse_time,
    value::semantically_equal,
};

use super::{super::is_true, INDEXED, indexes, invalid_unshown};
use crate::{
    report::{Report, with_view},
    view::{Seen, each, or_default, text},
};

pub(in crate::batch::job) fn status(job: &Value, old: &Value) -> ErrorList {
    with_view(job, |view: &Job, errors| {
        let change = Change { job, old };
        let (spec, status) = (or_default(&view.spec), or_default(&view.status));
        let path = Path::new("status");
        counts(&status, &path, errors);
        uncounted(&status, &path.child("uncountedTerminatedPods"), errors);
        change.ends(&path, errors);
        change.finished(&status, &path, errors);
        change.indexes(&status, spec.completions, spec.backoff_limit_per_index.is_some(), &path, errors);
        change.pods(&status, &path, errors);
        change.success(&path, errors);
        change.undone(&path, errors);
    })
}

fn counts(status: &JobStatus, path: &Path, errors: &mut ErrorList) {
    for (field, number) in [
        ("active", status.active),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
        ("ready", status.ready),
        ("terminating", status.terminating),
    ] {
        errors.non_negative(&path.child(field), number.unwrap_or_default().into());
    }
}

/// Each pod that is to be counted is there once.
fn uncounted(status: &JobStatus, path: &Path, errors: &mut ErrorList) {
    let pods = or_default(&status.uncounted_terminated_pods);
    let mut seen = Seen::default();
    for (field, uids) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        for (at, uid) in each(uids, &path.child(field)) {
            if uid.is_empty() {
                errors.invalid(&at, "", "must not be empty");
            } else if !seen.is_new(uid) {
                errors.push_with(|| Error::duplicate(&at, uid.as_str()));
            }
        }
    }
}

/// What a status was and is to be.
#[derive(Clone, Copy)]
struct Change<'a> {
    job: &'a Value,
    old: &'a Value,
}

impl Change<'_> {
    fn is(&self, condition: &str) -> bool {
        is_true(self.job, condition)
    }

    fn was(&self, condition: &str) -> bool {
        is_true(self.old, condition)
    }

    fn switched(&self, condition: &str) -> bool {
        self.is(condition) != self.was(condition)
    }

    fn is_finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn switched_finished(&self) -> bool {
        self.is_finished() != (self.was("Complete") || self.was("Failed"))
    }

    fn field(&self, field: &str) -> Option<&Value> {
        self.job.at(&["status", field]).filter(|value| !value.is_null())
    }

    fn changed(&self, field: &str) -> bool {
        let at = ["status", field];
        !semantically_equal(self.job.at(&at), self.old.at(&at))
    }

    fn number(object: &Value, field: &str) -> i64 {
        object.i64_at(&["status", field]).unwrap_or_default()
    }

    /// Conditions and times that speak of the end agree.
    fn ends(&self, path: &Path, errors: &mut ErrorList) {
        let conditions = path.child("conditions");
        let mut refuse = |detail: &str| errors.push_with(|| invalid_unshown(&conditions, detail));
        if (self.switched("Complete") || self.switched("Failed")) && self.is("Complete") && self.is("Failed") {
            refuse("cannot set Complete=True and Failed=true conditions");
        }
        if (self.switched("Complete") || self.switched("FailureTarget"))
            && self.is("Complete")
            && self.is("FailureTarget")
        {
            refuse("cannot set Complete=True and FailureTarget=true conditions");
        }
        let (completed_at, completed) = (path.child("completionTime"), self.field("completionTime"));
        if self.switched("Complete") || self.changed("completionTime") {
            match completed {
                Some(time) if !self.is("Complete") => {
                    let detail = "cannot set completionTime when there is no Complete=True condition";
                    errors.invalid(&completed_at, time.clone(), detail);
                }
                None if self.is("Complete") => {
                    errors.required(&completed_at, "completionTime is required for Complete jobs");
                }
                _ => {}
            }
        }
        let time = |value: Option<&Value>| parse_time(value?.as_str()?);
        if (self.changed("startTime") || self.changed("completionTime"))
            && let (Some(start), Some(end), Some(shown)) = (time(self.field("startTime")), time(completed), completed)
            && end < start
        {
            errors.invalid(&completed_at, shown.clone(), "must be equal to or after `startTime`");
        }
        let mut refuse = |detail: &str| errors.push_with(|| invalid_unshown(&conditions, detail));
        if (self.switched("Failed") || self.changed("failedIndexes")) && self.is("Failed") && !self.is("FailureTarget")
        {
            refuse("cannot set Failed=True condition without the FailureTarget=true condition");
        }
        if (self.switched("Complete") || self.switched("SuccessCriteriaMet"))
            && self.is("Complete")
            && !self.is("SuccessCriteriaMet")
        {
            refuse("cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
        }
    }

    /// A finished job has no pods left to look after.
    fn finished(&self, status: &JobStatus, path: &Path, errors: &mut ErrorList) {
        let (finished, switched) = (self.is_finished(), self.switched_finished());
        let active = status.active.unwrap_or_default();
        if (switched || self.changed("active")) && finished && active > 0 {
            errors.invalid(&path.child("active"), active, "active>0 is invalid for finished job");
        }
        if (switched || self.changed("startTime")) && finished && status.start_time.is_none() {
            errors.required(&path.child("startTime"), "startTime is required for finished job");
        }
        let is_some = |uids: &Option<Vec<String>>| uids.as_ref().is_some_and(|uids| !uids.is_empty());
        let left =
            status.uncounted_terminated_pods.as_ref().filter(|pods| is_some(&pods.failed) || is_some(&pods.succeeded));
        if (switched || self.changed("uncountedTerminatedPods")) && finished && left.is_some() {
            let (field, name) = ("uncountedTerminatedPods", "io.k8s.api.batch.v1.UncountedTerminatedPods");
            errors.invalid_struct(&path.child(field), name, self.field(field), "must be empty for finished job");
        }
    }

    /// The texts that name indexes are well-formed, below the number of completions, and have no index in common.
    fn indexes(
        &self,
        status: &JobStatus,
        completions: Option<i32>,
        limited_per_index: bool,
        path: &Path,
        errors: &mut ErrorList,
    ) {
        let (completed_at, failed_at) = (path.child("completedIndexes"), path.child("failedIndexes"));
        let (completed_changed, failed_changed) = (self.changed("completedIndexes"), self.changed("failedIndexes"));
        let completed = text(&status.completed_indexes);
        let failed = status.failed_indexes.as_deref();
        if let Some(completions) = completions {
            if completed_changed && let Err(why) = indexes::count(completed, completions) {
                errors.invalid(&completed_at, completed, format!("error parsing completedIndexes: {why}"));
            }
            if failed_changed
                && limited_per_index
                && let Some(failed) = failed
                && let Err(why) = indexes::count(failed, completions)
            {
                errors.invalid(&failed_at, failed, format!("error parsing failedIndexes: {why}"));
            }
        }
        let is_indexed = self.job.str_at(&["spec", "completionMode"]) == Some(INDEXED);
        if completed_changed && !completed.is_empty() && !is_indexed {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.invalid(&completed_at, completed, detail);
        }
        let Some(failed) = failed else { return };
        if failed_changed && !limited_per_index {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.invalid(&failed_at, failed, detail);
        }
        if (failed_changed || completed_changed)
            && let Some(index) = completions.and_then(|completions| indexes::overlap(completed, failed, completions))
        {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            errors.invalid(&failed_at, failed, detail);
        }
    }

    fn pods(&self, status: &JobStatus, path: &Path, errors: &mut ErrorList) {
        let (terminating, ready) = (status.terminating.unwrap_or_default(), status.ready.unwrap_or_default());
        if (self.switched_finished() || self.changed("terminating")) && self.is_finished() && terminating > 0 {
            errors.invalid(&path.child("terminating"), terminating, "terminating>0 is invalid for finished job");
        }
        if (self.changed("ready") || self.changed("active")) && ready > status.active.unwrap_or_default() {
            errors.invalid(&path.child("ready"), ready, "cannot set more ready pods than active");
        }
    }

    /// What has succeeded does not fail.
    fn success(&self, path: &Path, errors: &mut ErrorList) {
        let conditions = path.child("conditions");
        let mut refuse = |detail: &str| errors.push_with(|| invalid_unshown(&conditions, detail));
        let met = self.is("SuccessCriteriaMet");
        if met && self.is("Failed") {
            refuse("cannot set SuccessCriteriaMet=True and Failed=true conditions");
        }
        if met && self.is("FailureTarget") {
            refuse("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
        }
        let has_policy = self.job.at(&["spec", "successPolicy"]).is_some_and(|policy| !policy.is_null());
        if has_policy && !met && self.is("Complete") {
            refuse("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
        }
    }

    /// What has happened is not undone.
    fn undone(&self, path: &Path, errors: &mut ErrorList) {
        let conditions = path.child("conditions");
        for condition in ["Failed", "Complete", "FailureTarget"] {
            if self.was(condition) && !self.is(condition) {
                let detail = format!("cannot disable the terminal {condition}=True condition");
                errors.push_with(|| invalid_unshown(&conditions, detail));
            }
        }
        let failed = Self::number(self.job, "failed");
        if failed < Self::number(self.old, "failed") {
            errors.invalid(&path.child("failed"), failed, "cannot decrease the failed counter");
        }
        // An indexed job that runs all its indexes at once can be made smaller.
        let spec = |field: &str| self.job.i64_at(&["spec", field]);
        let elastic =
            self.job.str_at(&["spec", "completionMode"]) == Some(INDEXED) && spec("completions") == spec("parallelism");
        let succeeded = Self::number(self.job, "succeeded");
        if !elastic && succeeded < Self::number(self.old, "succeeded") {
            errors.invalid(&path.child("succeeded"), succeeded, "cannot decrease the succeeded counter");
        }
        let was_set = |field: &str| self.old.at(&["status", field]).is_some_and(|value| !value.is_null());
        if let Some(completed) = self.field("completionTime")
            && was_set("completionTime")
            && self.changed("completionTime")
        {
            errors.invalid(&path.child("completionTime"), completed.clone(), "field is immutable");
        }
        let suspended = self.job.bool_at(&["spec", "suspend"]).unwrap_or_default();
        if was_set("startTime") && self.changed("startTime") && !suspended {
            errors.required(&path.child("startTime"), "startTime cannot be removed for unsuspended job");
        }
        let mut refuse = |detail: &str| errors.push_with(|| invalid_unshown(&conditions, detail));
        let (met, was_met) = (self.is("SuccessCriteriaMet"), self.was("SuccessCriteriaMet"));
        if was_met && !met {
            refuse("cannot disable the SuccessCriteriaMet=True condition");
        }
        if self.was("Complete") && !was_met && met {
            refuse("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
        }
    }
}
