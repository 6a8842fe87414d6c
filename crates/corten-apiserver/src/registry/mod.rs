//! The registry: one generic store per resource, between the endpoints and the watch cache.
//!
//! Order of a create: mutating admission, system metadata, strategy, validation, validating admission, engine. An update
//! repeats from the current object whenever somebody else was faster; one that makes the object asks for the right to create
//! after validation.
//! Upstream: k8s.io/apiserver/pkg/registry/generic/registry Store and registry/rest (v1.35).

mod attempt;
mod before;
mod codec;
mod corrupt;
mod create_right;
mod delete;
mod delete_all;
mod intake;
mod managed_fields;
mod names;
mod reservation;
mod side_effect;
mod store;
mod update;

pub use before::settle_namespace;
pub use codec::ResourceCodec;
pub(crate) use corrupt::OPTION as UNSAFE_DELETE_OPTION;
pub use create_right::CreateRight;
pub use delete::Deleted;
pub use names::check_name;
pub use reservation::{Claim, Reservation};
pub use side_effect::{Change, Preconditions};
pub use store::{Hooks, Settings, Store, WriteContext, engine_failure, read_failure};
pub use update::{Transform, Updated};
