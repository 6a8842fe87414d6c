//! What happens to a request that was let through: found by path, decoded, handed to the registry, answered.

mod asked;
mod body;
mod continue_token;
mod convert;
mod custom;
mod dispatch;
mod go_base64;
pub mod index;
mod kinds;
mod options;
mod patch;
mod patch_body;
mod read;
pub mod routes;
pub(crate) mod scale;
mod strict;
mod unrecognized;
mod unsafe_delete;
pub mod watch;
mod write;
mod write_options;

pub(crate) use body::{OBJECTS_MAX, read_stream};
pub use body::{decode_review, decode_review_of, read_bytes};
pub use dispatch::dispatch;
pub use options::delete_options;
pub use routes::{Custom, Endpoint, NonResource, Routes, RoutesBuilder};
pub use write::WriteRequest;
