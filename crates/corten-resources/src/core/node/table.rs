//! Columns of nodes.

use corten_apimachinery::{
    Value,
    meta::ObjectMeta,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether the node is ready and takes pods."),
        Column::text("Roles", "What the node is for, by its labels."),
        Column::AGE,
        Column::text("Version", "The version of its kubelet."),
        Column::text("Internal-IP", "Its address inside the cluster.").wide(),
        Column::text("External-IP", "Its address outside.").wide(),
        Column::text("OS-Image", "Its operating system.").wide(),
        Column::text("Kernel-Version", "Its kernel.").wide(),
        Column::text("Container-Runtime", "What runs its containers.").wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(node: &Value, cx: &RowContext) -> Vec<Cell> {
    let address = |ty: &str| {
        let addresses = node.items_at(&["status", "addresses"]);
        let found = addresses.iter().find(|address| address.str_at(&["type"]) == Some(ty));
        found.and_then(|address| address.str_at(&["address"])).unwrap_or(show::NONE).to_owned()
    };
    let info = |field: &str| match node.str_at(&["status", "nodeInfo", field]).unwrap_or_default() {
        "" => "<unknown>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        show::name(node),
        status(node).into(),
        roles(node).into(),
        show::age(node, cx),
        show::text(node, &["status", "nodeInfo", "kubeletVersion"]),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn status(node: &Value) -> String {
    let conditions = node.items_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
    let mut words = vec![match ready.map(|condition| condition.str_at(&["status"])) {
        None => "Unknown",
        Some(Some("True")) => "Ready",
        Some(_) => "NotReady",
    }];
    if node.bool_at(&["spec", "unschedulable"]) == Some(true) {
        words.push("SchedulingDisabled");
    }
    words.join(",")
}

fn roles(node: &Value) -> String {
    let labels = node.labels().cloned().unwrap_or_default();
    let mut roles: Vec<&str> = labels
        .iter()
        .filter_map(|(key, value)| match key {
            "kubernetes.io/role" => value.as_str(),
            _ => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { show::NONE.to_owned() } else { roles.join(",") }
}
