//! The kubelet's core against a runtime, a clock and an API server in memory.

mod fakes;
mod lifecycle;
mod node;
