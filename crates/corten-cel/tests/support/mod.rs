//! What the conformance test needs.

pub(crate) mod textproto;
pub(crate) mod values;
