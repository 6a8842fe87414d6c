//! The runtime from outside: one binary, one module per subject. What needs root stands in modules `privileged`.

mod conformance;
mod images;
mod pods;
mod registry;
mod restart;
mod shim_death;
mod support;
