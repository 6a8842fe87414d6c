//! Group authentication.k8s.io: questions that are answered and not stored. The answers are the control plane's.

pub mod self_subject_review;
pub mod token_review;
