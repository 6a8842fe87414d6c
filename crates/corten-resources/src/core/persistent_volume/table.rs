//! Columns of persistent volumes.

use corten_apimachinery::{
    Value,
    meta::ObjectMeta,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::{core::persistent_volume_claim::access_modes, show};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Capacity", "Its size."),
        Column::text("Access Modes", "How it can be mounted."),
        Column::text("Reclaim Policy", "What happens to it when it is released."),
        Column::text("Status", "Whether a claim has it."),
        Column::text("Claim", "The claim that has it."),
        Column::text("StorageClass", "Its class."),
        Column::text("VolumeAttributesClass", "The class of its attributes."),
        Column::text("Reason", "Why it is in this status."),
        Column::AGE,
        Column::text("VolumeMode", "Whether it is mounted or used as a device.").wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(volume: &Value, cx: &RowContext) -> Vec<Cell> {
    let text = |path: &[&str]| volume.str_at(path).unwrap_or_default();
    let or_unset = |text: &str| if text.is_empty() { "<unset>".into() } else { text.into() };
    let claim = match volume.at(&["spec", "claimRef"]).filter(|claim| !claim.is_null()) {
        None => String::new(),
        Some(claim) => {
            let text = |field: &str| claim.str_at(&[field]).unwrap_or_default();
            format!("{}/{}", text("namespace"), text("name"))
        }
    };
    let phase = if volume.deletion_timestamp().is_some() { "Terminating" } else { text(&["status", "phase"]) };
    let class = volume.annotation("volume.beta.kubernetes.io/storage-class");
    vec![
        show::name(volume),
        volume.str_at(&["spec", "capacity", "storage"]).unwrap_or("0").into(),
        access_modes(volume.items_at(&["spec", "accessModes"])).into(),
        text(&["spec", "persistentVolumeReclaimPolicy"]).into(),
        phase.into(),
        claim.into(),
        class.unwrap_or_else(|| text(&["spec", "storageClassName"])).into(),
        or_unset(text(&["spec", "volumeAttributesClassName"])),
        text(&["status", "reason"]).into(),
        show::age(volume, cx),
        or_unset(text(&["spec", "volumeMode"])),
    ]
}
