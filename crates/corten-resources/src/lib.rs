//! The rules of every built-in resource: defaults, validation, strategy, conversion, columns. Pure.
//!
//! One folder per resource under its group, all with the same file names; `catalog` lists them. Defaults and strategies
//! change the tree in place; validation reads a typed view of it and reports with upstream's paths and words.
//! Upstream: pkg/apis/<group>, pkg/registry/<group>, pkg/printers/internalversion (v1.35).
#![forbid(unsafe_code)]

pub mod catalog;

pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod events;
pub mod node;
pub mod rbac;
pub mod scheduling;
pub mod storage;

mod defaulting;
mod difference;
mod kind;
mod quantity;
mod report;
mod review;
mod rules;
mod show;
mod view;

#[cfg(test)]
mod testing;
