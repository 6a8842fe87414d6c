//! End-to-end tests: one binary, one module per subject.

mod apply;
mod bad_input;
mod connect;
mod crash;
mod environment;
mod init_containers;
mod kubectl;
mod lifecycle;
mod node_errors;
mod pods;
mod registry;
mod restart;
mod scheduling;
mod security;
mod tutorial;
mod volumes;
