//! The machinery of the API without any of its kinds: object trees, the type table, codecs, selectors, errors, patches.
//!
//! Pure: no I/O, clock, randomness, tasks or logs (ARCHITECTURE.md, rule 5). Everything that the API server does to
//! an object between its sockets and its store happens here, driven by the type table.
#![forbid(unsafe_code)]

pub mod api_approval;
pub mod codec;
pub mod duration;
pub mod features;
pub mod field;
pub mod go_url;
pub mod gvk;
pub mod int_or_string;
pub mod json_path;
pub mod labels;
pub mod managed_fields;
mod mark;
pub mod meta;
pub mod openapi;
pub mod patch;
pub mod quantity;
pub mod re2;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod shared;
pub mod stack;
pub mod status;
pub mod stored;
pub mod texts;
pub mod type_table;
pub mod validation;
pub mod value;

pub use features::Features;
pub use shared::Shared;
pub use value::{Map, Str, Value};
