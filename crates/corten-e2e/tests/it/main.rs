//! End-to-end tests: one binary, one module per subject.

mod apply;
mod bad_input;
mod connect;
mod crash;
mod init_containers;
mod kubectl;
mod node_errors;
mod pods;
mod registry;
mod restart;
mod tutorial;
mod volumes;
