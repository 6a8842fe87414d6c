//! Columns of pods, with the one word that sums up what a pod is doing.

use std::collections::HashSet;

use corten_apimachinery::{
    Value,
    meta::{ObjectMeta, parse_time},
    resource::{Cell, Column, RowCondition, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many of its containers are ready, of how many."),
        Column::text("Status", "What its containers are doing, summed up."),
        Column::text("Restarts", "How often its containers were restarted, and when last."),
        Column::AGE,
        Column::text("IP", "Its address.").wide(),
        Column::text("Node", "The node it runs on.").wide(),
        Column::text("Nominated Node", "The node where room is being made for it.").wide(),
        Column::text("Readiness Gates", "How many of its readiness gates are passed, of how many.").wide(),
    ],
    row,
    conditions: Some(conditions),
    rank: None,
};

fn conditions(pod: &Value) -> Vec<RowCondition> {
    let (reason, message) = match pod.str_at(&["status", "phase"]) {
        Some("Succeeded") => ("Succeeded", "The pod has completed successfully."),
        Some("Failed") => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![RowCondition { ty: "Completed", reason, message }]
}

/// Restarts with the time of the last end before one.
#[derive(Default, Clone)]
struct Restarts {
    count: i64,
    last: Option<String>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += status.i64_at(&["restartCount"]).unwrap_or_default();
        let Some(end) = status.str_at(&["lastState", "terminated", "finishedAt"]) else { return };
        if self.last.as_deref().and_then(parse_time) < parse_time(end) {
            self.last = Some(end.to_owned());
        }
    }

    fn show(&self, cx: &RowContext) -> String {
        match &self.last {
            Some(last) if self.count != 0 => format!("{} ({} ago)", self.count, cx.age(Some(last))),
            _ => self.count.to_string(),
        }
    }
}

fn row(pod: &Value, cx: &RowContext) -> Vec<Cell> {
    let summary = summarize(pod);
    let or_none = |text: &str| if text.is_empty() { show::NONE.into() } else { text.into() };
    let text = |path: &[&str]| pod.str_at(path).unwrap_or_default();
    let gates = pod.items_at(&["spec", "readinessGates"]);
    let passed = gates
        .iter()
        .filter(|gate| condition(pod, gate.str_at(&["conditionType"]).unwrap_or_default()) == Some("True"))
        .count();
    let ip = pod.items_at(&["status", "podIPs"]).first().and_then(|ip| ip.str_at(&["ip"]));
    vec![
        show::name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        summary.restarts.show(cx).into(),
        show::age(pod, cx),
        or_none(ip.unwrap_or_else(|| text(&["status", "podIP"]))),
        or_none(text(&["spec", "nodeName"])),
        or_none(text(&["status", "nominatedNodeName"])),
        if gates.is_empty() { show::NONE.into() } else { format!("{passed}/{}", gates.len()).into() },
    ]
}

fn condition<'p>(pod: &'p Value, ty: &str) -> Option<&'p str> {
    let conditions = pod.items_at(&["status", "conditions"]);
    conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ty))?.str_at(&["status"])
}

struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: Restarts,
}

fn summarize(pod: &Value) -> Summary {
    let text = |path: &[&str]| pod.str_at(path).unwrap_or_default();
    let (phase, status_reason) = (text(&["status", "phase"]), text(&["status", "reason"]));
    let init = pod.items_at(&["spec", "initContainers"]);
    let restarted = init.iter().filter(|container| container.str_at(&["restartPolicy"]) == Some("Always"));
    let names: HashSet<Option<&str>> = restarted.map(|container| container.str_at(&["name"])).collect();
    let is_sidecar = |name: Option<&str>| names.contains(&name);
    let sidecars = init.iter().filter(|container| is_sidecar(container.str_at(&["name"]))).count();
    let mut summary = Summary {
        reason: if status_reason.is_empty() { phase } else { status_reason }.to_owned(),
        ready: 0,
        total: pod.items_at(&["spec", "containers"]).len() + sidecars,
        restarts: Restarts::default(),
    };
    let gated = pod.items_at(&["status", "conditions"]).iter().any(|condition| {
        condition.str_at(&["type"]) == Some("PodScheduled") && condition.str_at(&["reason"]) == Some("SchedulingGated")
    });
    if gated {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let mut of_sidecars = Restarts::default();
    let mut initializing = false;
    for (index, status) in pod.items_at(&["status", "initContainerStatuses"]).iter().enumerate() {
        summary.restarts.add(status);
        let sidecar = is_sidecar(status.str_at(&["name"]));
        if sidecar {
            of_sidecars.add(status);
        }
        let terminated = status.at(&["state", "terminated"]);
        if terminated.is_some_and(|end| end.i64_at(&["exitCode"]).unwrap_or_default() == 0) {
            continue;
        }
        if sidecar && status.bool_at(&["started"]) == Some(true) {
            summary.ready += usize::from(status.bool_at(&["ready"]) == Some(true));
            continue;
        }
        let waiting = status.str_at(&["state", "waiting", "reason"]).unwrap_or_default();
        summary.reason = match terminated {
            Some(end) => format!("Init:{}", end_word(end)),
            None if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}"),
            None => format!("Init:{index}/{}", init.len()),
        };
        initializing = true;
        break;
    }
    if !initializing || condition(pod, "Initialized") == Some("True") {
        summary.restarts = of_sidecars;
        let mut has_running = false;
        let mut failure = None;
        for status in pod.items_at(&["status", "containerStatuses"]).iter().rev() {
            summary.restarts.add(status);
            let waiting = status.str_at(&["state", "waiting", "reason"]).unwrap_or_default();
            if !waiting.is_empty() {
                waiting.clone_into(&mut summary.reason);
            } else if let Some(end) = status.at(&["state", "terminated"]) {
                summary.reason = end_word(end);
                if end.i64_at(&["exitCode"]).unwrap_or_default() != 0 {
                    failure = Some(summary.reason.clone());
                }
            } else if status.bool_at(&["ready"]) == Some(true) && status.at(&["state", "running"]).is_some() {
                has_running = true;
                summary.ready += 1;
            }
        }
        // One has ended well while others still run, or have failed.
        if summary.reason == "Completed" {
            let is_ready = condition(pod, "Ready") == Some("True");
            match failure {
                _ if has_running && is_ready => "Running".clone_into(&mut summary.reason),
                Some(failure) => summary.reason = failure,
                None if has_running => "NotReady".clone_into(&mut summary.reason),
                None => {}
            }
        }
    }
    if pod.deletion_timestamp().is_some() {
        if status_reason == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(phase, "Failed" | "Succeeded") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// Why a container has ended: the reason, or the signal, or the exit code.
fn end_word(end: &Value) -> String {
    let number = |field: &str| end.i64_at(&[field]).unwrap_or_default();
    match end.str_at(&["reason"]).unwrap_or_default() {
        "" if number("signal") != 0 => format!("Signal:{}", number("signal")),
        "" => format!("ExitCode:{}", number("exitCode")),
        reason => reason.to_owned(),
    }
}
