//! Columns of cron jobs.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Schedule", "When jobs are made."),
        Column::text("Timezone", "The time zone of the schedule."),
        Column::new("Suspend", "boolean", "", "Whether no more jobs are made."),
        Column::integer("Active", "How many of its jobs are running."),
        Column::text("Last Schedule", "Time since a job was made."),
        Column::AGE,
        Column::text("Containers", "The containers of its jobs' template.").wide(),
        Column::text("Images", "Their images.").wide(),
        Column::text("Selector", "The labels of its jobs' pods.").wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(cron_job: &Value, cx: &RowContext) -> Vec<Cell> {
    let job = ["spec", "jobTemplate", "spec"];
    let (names, images) = show::containers_and_images(cron_job.at(&job).and_then(|job| job.get("template")));
    let suspended = match cron_job.bool_at(&["spec", "suspend"]) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let last = cron_job.str_at(&["status", "lastScheduleTime"]);
    vec![
        show::name(cron_job),
        show::text(cron_job, &["spec", "schedule"]),
        cron_job.str_at(&["spec", "timeZone"]).unwrap_or(show::NONE).into(),
        suspended.into(),
        show::count(cron_job, &["status", "active"]).into(),
        last.map_or_else(|| show::NONE.to_owned(), |last| cx.age(Some(last))).into(),
        show::age(cron_job, cx),
        names.into(),
        images.into(),
        show::label_selector(cron_job.at(&job).and_then(|job| job.get("selector"))).into(),
    ]
}
