//! Real clusters under real clients: starts the `corten` binary and drives it with the unmodified kubectl.
//!
//! `cargo xtask test` tells the tests where binary and tools are (`CORTEN_BIN`, `CORTEN_TEST_TOOLS`). Everything that a
//! cluster makes goes away with its `Cluster`, also when a test fails.
#![forbid(unsafe_code)]

mod cluster;
mod kubectl;

pub use cluster::Cluster;
pub use kubectl::{Kubectl, Output};
