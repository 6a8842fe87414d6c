//! The kubelet's core against a runtime, a clock and an API server in memory.

mod fakes;
mod faults;
mod lifecycle;
mod node;
mod resize;
