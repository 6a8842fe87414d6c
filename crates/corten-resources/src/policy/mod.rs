//! Group policy.

pub mod pod_disruption_budget;
