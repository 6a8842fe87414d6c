//! Columns of jobs.

use std::time::Duration;

use corten_apimachinery::{
    Value,
    meta::{ObjectMeta, parse_time},
    resource::{Cell, Column, RowContext, TableDefinition, human_age},
};

use super::is_true;
use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Status", "How far the job is."),
        Column::text("Completions", "How many pods have succeeded, of how many there should be."),
        Column::text("Duration", "How long the job has run, or ran."),
        Column::AGE,
        Column::text("Containers", "The containers of its template.").wide(),
        Column::text("Images", "Their images.").wide(),
        Column::text("Selector", "The labels of its pods.").wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(job: &Value, cx: &RowContext) -> Vec<Cell> {
    let (names, images) = show::containers_and_images(job.at(&["spec", "template"]));
    vec![
        show::name(job),
        status(job).into(),
        completions(job).into(),
        duration(job, cx).into(),
        show::age(job, cx),
        names.into(),
        images.into(),
        show::label_selector(job.at(&["spec", "selector"])).into(),
    ]
}

fn status(job: &Value) -> &'static str {
    match () {
        () if is_true(job, "Complete") => "Complete",
        () if is_true(job, "Failed") => "Failed",
        () if job.deletion_timestamp().is_some() => "Terminating",
        () if is_true(job, "Suspended") => "Suspended",
        () if is_true(job, "FailureTarget") => "FailureTarget",
        () if is_true(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = job.i64_at(&["status", "succeeded"]).unwrap_or_default();
    if let Some(completions) = job.i64_at(&["spec", "completions"]) {
        return format!("{succeeded}/{completions}");
    }
    // Without a number, one that succeeds is enough.
    match job.i64_at(&["spec", "parallelism"]).unwrap_or_default() {
        parallelism if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, cx: &RowContext) -> String {
    let time = |field: &str| job.str_at(&["status", field]);
    let Some(start) = time("startTime") else { return String::new() };
    let Some(end) = time("completionTime") else { return cx.age(Some(start)) };
    let (Some(start), Some(end)) = (parse_time(start), parse_time(end)) else { return "<unknown>".to_owned() };
    let seconds = end.as_second() - start.as_second();
    if seconds < -1 { "<invalid>".to_owned() } else { human_age(Duration::from_secs(seconds.max(0).unsigned_abs())) }
}
