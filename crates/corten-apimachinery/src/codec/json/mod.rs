//! JSON: one pass from text to a typed, canonical tree, and back in declared order.

mod decode;
mod encode;
mod field_set;
mod nesting;
mod order;
mod outline;
mod pretty;
mod reader;
mod scan;
mod scratch;
mod view;

pub use decode::{DEPTH_MAX, TYPED_DEPTH_MAX, decode, decode_bounded, decode_lossy};
pub(super) use decode::{decode_field_set, decode_within};
pub use encode::{Spliceable, encode, encode_spliceable, replace_resource_version};
pub(crate) use encode::{put_string, put_text, put_value};
pub use nesting::{containers, is_deeper_than, levels};
pub use outline::Outlined;
pub use pretty::{around, around_pretty, encode_pretty, encode_pretty_item};
pub(crate) use scratch::with_scratch;
pub use view::{ViewError, view};

#[cfg(test)]
mod tests;
