//! What a pod and a template of pods have in common: defaults and rules of `PodSpec`.
//!
//! Upstream: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go (v1.35).

pub(crate) mod defaults;
pub(crate) mod gates;
pub(crate) mod template;
pub(crate) mod validation;
pub(crate) mod warnings;
pub(crate) mod workload;
