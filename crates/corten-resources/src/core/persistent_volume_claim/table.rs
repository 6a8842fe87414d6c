//! Columns of claims.

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
        Column::text("Status", "Whether it has a volume."),
        Column::text("Volume", "The volume it has."),
        Column::text("Capacity", "The size of that volume."),
        Column::text("Access Modes", "How that volume can be mounted."),
        Column::text("StorageClass", "The class it asks for."),
        Column::text("VolumeAttributesClass", "The class of attributes it asks for."),
        Column::AGE,
        Column::text("VolumeMode", "Whether it is mounted or used as a device.").wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(claim: &Value, cx: &RowContext) -> Vec<Cell> {
    let text = |path: &[&str]| claim.str_at(path).unwrap_or_default();
    let phase = if claim.deletion_timestamp().is_some() { "Terminating" } else { text(&["status", "phase"]) };
    let volume = text(&["spec", "volumeName"]);
    let (capacity, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        // A quantity that nobody has set is zero.
        let capacity = claim.str_at(&["status", "capacity", "storage"]).unwrap_or("0");
        (capacity.to_owned(), access_modes(claim.items_at(&["status", "accessModes"])))
    };
    let class = claim.annotation("volume.beta.kubernetes.io/storage-class");
    let attributes = match text(&["spec", "volumeAttributesClassName"]) {
        "" => "<unset>",
        name => name,
    };
    let mode = match text(&["spec", "volumeMode"]) {
        "" => "<unset>",
        mode => mode,
    };
    vec![
        show::name(claim),
        phase.into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        class.unwrap_or_else(|| text(&["spec", "storageClassName"])).into(),
        attributes.into(),
        show::age(claim, cx),
        mode.into(),
    ]
}

/// Access modes in their short form, each once and in a fixed order: `RWO,ROX`.
pub(crate) fn access_modes(modes: &[Value]) -> String {
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |name: &str| modes.iter().any(|mode| mode.as_str() == Some(name));
    short.iter().filter(|(name, _)| has(name)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}
