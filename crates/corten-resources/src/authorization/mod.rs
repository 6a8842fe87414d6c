//! Group authorization.k8s.io: questions that are answered and not stored. The answers are the control plane's.
//!
//! Upstream: pkg/apis/authorization/validation (v1.35).

pub mod local_subject_access_review;
pub mod self_subject_access_review;
pub mod self_subject_rules_review;
pub mod subject_access_review;

mod review;
mod selectors;
