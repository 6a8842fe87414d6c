//! Rules of volume attachments.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::inclusive_range,
};

use crate::{
    core::{persistent_volume::validate_inline, pod_spec::validation::csi_driver},
    report::{Report, twice},
};

/// How large the metadata of an attached volume can be.
const METADATA_MAX_BYTES: usize = 256 * 1_024;
/// How long the message of an error can be.
const MESSAGE_MAX_BYTES: usize = 1_024;

pub(super) fn create(attachment: &Value) -> ErrorList {
    let mut errors = always(attachment);
    // What upstream asks of new ones only.
    let path = Path::new("spec");
    csi_driver(attacher(attachment), &path.child("attacher"), &mut errors);
    if let Some(volume) = attachment.str_at(&["spec", "source", "persistentVolumeName"]) {
        errors.object_name(&path.child("source").child("persistentVolumeName"), volume);
    }
    errors
}

pub(super) fn update(attachment: &Value, old: &Value) -> ErrorList {
    let mut errors = twice(always(attachment));
    let (spec, was) = (attachment.get("spec"), old.get("spec"));
    errors.immutable_struct(&Path::new("spec"), "io.k8s.api.storage.v1.VolumeAttachmentSpec", spec, was);
    errors
}

fn attacher(attachment: &Value) -> &str {
    attachment.str_at(&["spec", "attacher"]).unwrap_or_default()
}

fn always(attachment: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    errors.require(&path.child("attacher"), attacher(attachment));
    source(attachment, &path.child("source"), &mut errors);
    errors.object_name(&path.child("nodeName"), attachment.str_at(&["spec", "nodeName"]).unwrap_or_default());
    status(attachment, &Path::new("status"), &mut errors);
    errors
}

fn source(attachment: &Value, path: &Path, errors: &mut ErrorList) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let field = |name: &str| attachment.at(&["spec", "source", name]).filter(|value| !value.is_null());
    match (field("inlineVolumeSpec"), field("persistentVolumeName")) {
        (None, None) => errors.required(path, ONE),
        (Some(_), Some(_)) => errors.forbidden(path, ONE),
        (None, Some(name)) => {
            if name.as_str().unwrap_or_default().is_empty() {
                errors.required(&path.child("persistentVolumeName"), "must specify non empty persistentVolumeName");
            }
        }
        (Some(spec), None) => errors.extend(validate_inline(spec, &path.child("inlineVolumeSpec"))),
    }
}

fn status(attachment: &Value, path: &Path, errors: &mut ErrorList) {
    let metadata = attachment.at(&["status", "attachmentMetadata"]).and_then(Value::as_object);
    let size = |(key, value): (&str, &Value)| key.len() + value.as_str().unwrap_or_default().len();
    if metadata.is_some_and(|map| map.iter().map(size).sum::<usize>() > METADATA_MAX_BYTES) {
        errors.push(Error::too_long(&path.child("attachmentMetadata"), METADATA_MAX_BYTES));
    }
    for field in ["attachError", "detachError"] {
        let Some(error) = attachment.at(&["status", field]) else { continue };
        let at = path.child(field);
        if error.str_at(&["message"]).is_some_and(|message| message.len() > MESSAGE_MAX_BYTES) {
            // Upstream names the limit of the metadata.
            errors.push(Error::too_long(&at.child("message"), METADATA_MAX_BYTES));
        }
        if let Some(code) = error.i64_at(&["errorCode"]).filter(|code| *code < 0) {
            errors.invalid(&at.child("errorCode"), code, inclusive_range(0, i64::from(i32::MAX)));
        }
    }
}
