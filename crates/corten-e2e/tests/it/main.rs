//! End-to-end tests: one binary, one module per subject.

mod access;
mod apply;
mod bad_input;
mod command_line;
mod components;
mod connect;
mod controllers;
mod crash;
mod environment;
mod garbage;
mod helm;
mod init_containers;
mod kubectl;
mod lifecycle;
mod names;
mod node_errors;
mod objects;
mod pods;
mod probes;
mod registry;
mod restart;
mod scheduling;
mod security;
mod services;
mod tutorial;
mod volumes;
