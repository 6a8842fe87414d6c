//! Defaults of secrets.

use std::convert::Infallible;

use base64::Engine as _;
use corten_apimachinery::{Map, Value};

use crate::defaulting::{fill_bytes, fill_zero};

/// Fills in the type and bytes that are null, and moves `stringData` into `data`: it exists for writing only.
pub(super) fn v1(object: &mut Value) {
    fill_zero(object, "type", "Opaque");
    fill_bytes(object, "data");
    let Some(texts) = object.unset(&["stringData"]) else { return };
    let Some(texts) = texts.as_object().filter(|texts| !texts.is_empty()) else { return };
    let encoded = texts.entries().iter().map(|(key, text)| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
        (key.clone(), Value::from(encoded))
    });
    let data = match object.unset(&["data"]) {
        Some(Value::Object(data)) => data,
        _ => Map::new(),
    };
    // All at once: each key that comes alone moves those behind it.
    let Ok(data) = data.edit(encoded, |_, _, text| Ok::<_, Infallible>(Some(text)));
    object.set(&["data"], Value::Object(data));
}
