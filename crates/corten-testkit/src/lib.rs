//! What tests of whole components need: the real control plane in memory, with clients of any identity.
//!
//! For the `tests/` folders of the crates below: inside their `src` the types would come from two copies of the crate.
#![forbid(unsafe_code)]

mod cluster;

pub use cluster::{Cluster, tree};
pub use corten_controlplane::testing::{admin, user};
