//! The rules of every built-in resource: defaults, validation, strategy, conversion, columns. Pure.
//!
//! One folder per resource under its group, all with the same file names; `catalog` lists them. Defaults and strategies
//! change the tree in place; validation reads a typed view of it and reports with upstream's paths and words.
//! Upstream: pkg/apis/<group>, pkg/registry/<group>, pkg/printers/internalversion (v1.35).
#![forbid(unsafe_code)]

pub mod catalog;
pub mod cel;

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod events;
pub mod flowcontrol;
pub mod internal_apiserver;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod resource;
pub mod scheduling;
pub mod storage;
pub mod storagemigration;

mod as_sent;
mod conditions;
mod defaulting;
mod difference;
mod gates;
mod go_json;
mod internal_form;
mod kind;
mod older_addresses;
mod quantity;
mod report;
mod review;
mod rules;
mod show;
mod status;
mod tree;
mod view;
mod webhook;

#[cfg(test)]
mod testing;
