//! Columns of services.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Type", "Where the service can be reached from."),
        Column::text("Cluster-IP", "Its address inside the cluster."),
        Column::text("External-IP", "Its addresses outside."),
        Column::text("Port(s)", "Its ports, and those of the nodes."),
        Column::AGE,
        Column::text("Selector", "The labels of its pods.").wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(service: &Value, cx: &RowContext) -> Vec<Cell> {
    let internal = service.items_at(&["spec", "clusterIPs"]).first().and_then(Value::as_str).unwrap_or(show::NONE);
    vec![
        show::name(service),
        show::text(service, &["spec", "type"]),
        internal.into(),
        external(service).into(),
        ports(service).into(),
        show::age(service, cx),
        show::label_map(service.at(&["spec", "selector"])).into(),
    ]
}

fn external(service: &Value) -> String {
    let mut addresses: Vec<&str> =
        service.items_at(&["spec", "externalIPs"]).iter().filter_map(Value::as_str).collect();
    match service.str_at(&["spec", "type"]).unwrap_or_default() {
        "ClusterIP" | "NodePort" if addresses.is_empty() => show::NONE.to_owned(),
        "ClusterIP" | "NodePort" => addresses.join(","),
        "LoadBalancer" => {
            let mut all: Vec<&str> = service
                .items_at(&["status", "loadBalancer", "ingress"])
                .iter()
                .filter_map(|ingress| {
                    let text = |field: &str| ingress.str_at(&[field]).filter(|text| !text.is_empty());
                    text("ip").or_else(|| text("hostname"))
                })
                .collect();
            all.sort_unstable();
            all.dedup();
            all.append(&mut addresses);
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => service.str_at(&["spec", "externalName"]).unwrap_or_default().to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(service: &Value) -> String {
    let ports: Vec<String> = service
        .items_at(&["spec", "ports"])
        .iter()
        .map(|port| {
            let number = |field: &str| port.i64_at(&[field]).unwrap_or_default();
            let protocol = port.str_at(&["protocol"]).unwrap_or_default();
            match number("nodePort") {
                0 => format!("{}/{protocol}", number("port")),
                node_port => format!("{}:{node_port}/{protocol}", number("port")),
            }
        })
        .collect();
    if ports.is_empty() { show::NONE.to_owned() } else { ports.join(",") }
}
