//! Group admissionregistration.k8s.io: webhooks and policies that see objects before they are stored.
//!
//! Upstream: pkg/apis/admissionregistration, pkg/registry/admissionregistration (v1.35).

pub mod mutating_admission_policy;
pub mod mutating_admission_policy_binding;
pub mod mutating_webhook_configuration;
pub mod validating_admission_policy;
pub mod validating_admission_policy_binding;
pub mod validating_webhook_configuration;

mod binding;
mod expressions;
mod matching;
mod policy;
mod rule;
mod webhooks;

/// The group.
const GROUP: &str = "admissionregistration.k8s.io";

/// The gate of policies that change objects.
const MUTATING_POLICY_GATE: &str = "MutatingAdmissionPolicy";

/// How a failure of a webhook or policy counts.
const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
/// Which versions of a resource a rule is about.
const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
/// Whether one is asked again after others have changed the object.
const REINVOCATION_POLICIES: &[&str] = &["IfNeeded", "Never"];
