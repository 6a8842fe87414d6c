//! Real clusters under real clients: starts the `corten` binary and drives it with the unmodified kubectl.
//!
//! `cargo xtask test` tells the tests where binary, tools and images are (`CORTEN_BIN`, `CORTEN_TEST_TOOLS`,
//! `CORTEN_TEST_IMAGES`, `CORTEN_XTASK`). A `Cluster` is a control plane alone, anywhere; a `Machine` has everything, inside
//! a sandbox. Everything that a cluster makes goes away with it, also when a test fails.
#![forbid(unsafe_code)]

mod cluster;
mod kubectl;
mod machine;
mod network;
mod piece;
mod pods;
mod proxy;
mod sandbox;
mod side_by_side;
mod transcript;

pub use cluster::Cluster;
pub use kubectl::{Kubectl, Output};
pub use machine::{Machine, eventually, http_get};
pub use network::{Place, at};
pub use piece::Piece;
pub use proxy::{Message, Proxy, WebSocket};
pub use sandbox::in_sandbox;
pub use side_by_side::{Check, side_by_side};
pub use transcript::play;
