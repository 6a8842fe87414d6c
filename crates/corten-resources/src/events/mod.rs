//! Group events.k8s.io.

pub mod event;
