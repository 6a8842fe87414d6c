//! Everything of the crate against the running kernel, inside network namespaces that each test makes for itself and
//! that vanish with it.
//!
//! Needs root (namespaces, interfaces, packet rules); without it every test prints that it was skipped. Touches nothing
//! of the machine's own network.

mod cni;
mod conntrack;
mod links;
mod namespaces;
mod rules;
mod services;
mod support;
