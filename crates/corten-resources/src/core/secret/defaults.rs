//! Defaults of secrets.

use base64::Engine as _;
use corten_apimachinery::Value;

use crate::defaulting::fill_zero;

/// Fills in the type, and moves `stringData` into `data`: it exists for writing only.
pub(super) fn v1(object: &mut Value) {
    fill_zero(object, "type", "Opaque");
    let Some(texts) = object.unset(&["stringData"]) else { return };
    for (key, text) in texts.as_object().into_iter().flat_map(corten_apimachinery::Map::iter) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
        object.set(&["data", key], encoded);
    }
}
