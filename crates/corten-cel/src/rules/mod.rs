//! Rules in `x-kubernetes-validations`: the types they see, what is said of them when they are defined, and whether an object
//! keeps them.
//!
//! Flow of a definition: `RuleTypes::of` a schema, down to each place by `property` and `elements`, `examine` there.
//! Flow of an object: `RuleSet::new` once for a version, `RuleSet::check` for each write whose object has the right shape.
//! Nothing is compiled before the first object that a rule is about. Objects are read where they are.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel, k8s.io/apiserver/pkg/cel (v1.35).

mod names;

mod check;
mod compile;
mod declare;
mod failure;
mod place;

pub use check::{Checked, DefaultRules, RuleSet};
pub use compile::{Findings, RuleTypes};
pub use names::{escape, is_identifier};

pub use crate::syntax::is_reserved;

#[cfg(test)]
mod tests;
