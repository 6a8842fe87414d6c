//! Rules of cron jobs.

use corten_api::batch::v1::{CronJob, CronJobSpec};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    resource::Context,
};

use super::{schedule::Schedule, time_zone};
use crate::{
    batch::job::validate_common,
    report::{LABEL_SELECTOR, Report, with_view},
    view::{or_default, text},
};

/// The longest name: that of a label, less a dash and the time that its jobs' names end with.
const NAME_BYTES_MAX: usize = 63 - 11;

pub(super) fn create(cx: &Context<'_>, cron_job: &Value) -> ErrorList {
    let mut errors = check(cx, cron_job, None);
    // Not asked of updates, so that longer ones of earlier times can be changed and deleted.
    if cron_job.name().len() > NAME_BYTES_MAX {
        let path = Path::new("metadata").child("name");
        errors.invalid(&path, cron_job.name(), format!("must be no more than {NAME_BYTES_MAX} characters"));
    }
    errors
}

pub(super) fn update(cx: &Context<'_>, cron_job: &Value, old: &Value) -> ErrorList {
    check(cx, cron_job, Some(old))
}

fn check(cx: &Context<'_>, cron_job: &Value, old: Option<&Value>) -> ErrorList {
    with_view(cron_job, |view: &CronJob, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        schedule(&spec, old, &path.child("schedule"), errors);
        let deadline = spec.starting_deadline_seconds.unwrap_or_default();
        errors.non_negative(&path.child("startingDeadlineSeconds"), deadline);
        let zone = spec.time_zone.as_deref();
        // A name that was known once stays.
        if let Some(zone) = zone.filter(|_| old.is_none_or(|old| old.str_at(&["spec", "timeZone"]) != zone)) {
            time_zone::validate(zone, &path.child("timeZone"), errors);
        }
        let policy = text(&spec.concurrency_policy);
        errors.require_one_of(&path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
        job_template(cx, (cron_job, old), &spec, &path.child("jobTemplate").child("spec"), errors);
        for (field, limit) in [
            ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
            ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
        ] {
            errors.non_negative(&path.child(field), limit.unwrap_or_default().into());
        }
    })
}

fn schedule(spec: &CronJobSpec, old: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    let schedule = spec.schedule.as_str();
    if !errors.require(path, schedule) {
        return;
    }
    if let Err(why) = schedule.parse::<Schedule>() {
        errors.invalid(path, schedule, why);
    }
    if !schedule.contains("TZ") {
        return;
    }
    let had_zone = old.is_some_and(|old| old.str_at(&["spec", "schedule"]).unwrap_or_default().contains("TZ"));
    if !had_zone {
        errors.invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    } else if spec.time_zone.is_some() {
        errors.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
    }
}

fn job_template(
    cx: &Context<'_>,
    (cron_job, old): (&Value, Option<&Value>),
    spec: &CronJobSpec,
    path: &Path,
    errors: &mut ErrorList,
) {
    const JOB: [&str; 3] = ["spec", "jobTemplate", "spec"];
    let job = or_default(&spec.job_template.spec);
    let raw = cron_job.at(&JOB).unwrap_or(&Value::Null);
    validate_common(cx, &job, (raw, old.and_then(|old| old.at(&JOB))), path, errors);
    // Selectors are generated for each job.
    if job.selector.is_some() {
        let detail = "`selector` will be auto-generated";
        errors.invalid_struct(&path.child("selector"), LABEL_SELECTOR, raw.get("selector"), detail);
    }
    if job.manual_selector == Some(true) {
        errors.push_with(|| Error::not_supported(&path.child("manualSelector"), true, &["nil", "false"]));
    }
}
