//! Rules that the spec of a job has wherever it stands: in a job, or in the template of a cron job.

use corten_api::batch::v1::JobSpec;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::Context,
    validation::{is_dns1123_subdomain, regex_message},
};

use super::{INDEXED, failure_policy, success_policy};
use crate::{
    core::pod_spec::template,
    report::Report,
    view::{or_default, text},
};

/// How many pods of an indexed job run at a time: bounds the text that lists the indexes that are done.
const PARALLELISM_MAX: i32 = 100_000;
/// How many indexes may fail: bounds the same texts.
const FAILED_MAX: i32 = 100_000;
/// With more completions than this, the limits are narrower.
const MANY_COMPLETIONS: i32 = 100_000;
const PARALLELISM_OF_MANY_MAX: i32 = 10_000;
const FAILED_OF_MANY_MAX: i32 = 10_000;
/// The longest name of a controller.
const MANAGED_BY_BYTES_MAX: usize = 63;

/// The rules of `spec` at `path`; `raw` is the same as a tree, for showing parts of it, and `old` the stored one.
pub(in crate::batch) fn common(
    cx: &Context<'_>,
    spec: &JobSpec,
    (raw, old): (&Value, Option<&Value>),
    path: &Path,
    errors: &mut ErrorList,
) {
    counts(spec, path, errors);
    if let Some(controller) = &spec.managed_by {
        managed_by(controller, &path.child("managedBy"), errors);
    }
    completion_mode(spec, path, errors);
    if spec.pod_failure_policy.is_some() {
        failure_policy::check(spec, raw, &path.child("podFailurePolicy"), errors);
    }
    if let Some(policy) = &spec.success_policy {
        let at = path.child("successPolicy");
        if is_indexed(spec) {
            success_policy::check(policy, spec.completions, &at, errors);
        } else {
            let name = "io.k8s.api.batch.v1.SuccessPolicy";
            errors.invalid_struct(&at, name, raw.get("successPolicy"), "requires indexed completion mode");
        }
    }
    if let Some(policy) = &spec.pod_replacement_policy {
        let supported: &[&str] =
            if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        errors.one_of(&path.child("podReplacementPolicy"), policy, supported);
    }
    let stored = old.and_then(|old| old.get("template"));
    template::validate(cx, &spec.template, stored, &path.child("template"), errors);
    restart_policy(spec, &path.child("template").child("spec").child("restartPolicy"), errors);
}

fn is_indexed(spec: &JobSpec) -> bool {
    text(&spec.completion_mode) == INDEXED
}

fn counts(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    for (field, number) in [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ] {
        errors.non_negative(&path.child(field), number.unwrap_or_default());
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
}

/// The name of a controller is a path below a domain: `acme.io/foo`.
fn managed_by(controller: &str, path: &Path, errors: &mut ErrorList) {
    match controller.split_once('/') {
        _ if controller.is_empty() => errors.required(path, ""),
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            errors.invalids(path, host, is_dns1123_subdomain(host));
            let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
            if !rest.bytes().all(in_path) {
                errors.invalid(path, rest, regex_message("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]));
            }
        }
        _ => errors.invalid(path, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
    if controller.len() > MANAGED_BY_BYTES_MAX {
        errors.push_with(|| Error::too_long(path, MANAGED_BY_BYTES_MAX));
    }
}

fn completion_mode(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = &spec.completion_mode {
        errors.one_of(&path.child("completionMode"), mode, &["NonIndexed", INDEXED]);
    }
    if is_indexed(spec) {
        indexed(spec, path, errors);
    }
    if spec.completion_mode.as_deref().is_none_or(|mode| mode == "NonIndexed") {
        for (field, number) in
            [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)]
        {
            if let Some(number) = number {
                errors.invalid(&path.child(field), number, "requires indexed completion mode");
            }
        }
    }
}

fn indexed(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let (parallelism, failed) = (spec.parallelism.unwrap_or_default(), spec.max_failed_indexes);
    let (parallelism_at, failed_at) = (path.child("parallelism"), path.child("maxFailedIndexes"));
    if spec.completions.is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    if parallelism > PARALLELISM_MAX {
        let detail = format!("must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed");
        errors.invalid(&parallelism_at, parallelism, detail);
    }
    if let (Some(failed), Some(completions)) = (failed, spec.completions)
        && failed > completions
    {
        errors.invalid(&failed_at, failed, "must be less than or equal to completions");
    }
    if let Some(failed) = failed.filter(|&failed| failed > FAILED_MAX) {
        errors.invalid(&failed_at, failed, format!("must be less than or equal to {FAILED_MAX}"));
    }
    if spec.completions.unwrap_or_default() <= MANY_COMPLETIONS || spec.backoff_limit_per_index.is_none() {
        return;
    }
    let of_many = |limit: i32| {
        format!(
            "must be less than or equal to {limit} when completions are above {MANY_COMPLETIONS} and used with backoff \
             limit per index"
        )
    };
    if failed.is_none() {
        errors.required(&failed_at, &format!("must be specified when completions is above {MANY_COMPLETIONS}"));
    }
    if parallelism > PARALLELISM_OF_MANY_MAX {
        errors.invalid(&parallelism_at, parallelism, of_many(PARALLELISM_OF_MANY_MAX));
    }
    if let Some(failed) = failed.filter(|&failed| failed > FAILED_OF_MANY_MAX) {
        errors.invalid(&failed_at, failed, of_many(FAILED_OF_MANY_MAX));
    }
}

/// The pods of a job come to an end.
fn restart_policy(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let pod = or_default(&spec.template.spec);
    match text(&pod.restart_policy) {
        // The default, if the client has said nothing.
        "" | "Always" => errors.required(path, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_none() => {}
        policy @ "OnFailure" => {
            errors.invalid(path, policy, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        policy => errors.one_of(path, policy, &["OnFailure", "Never"]),
    }
}
