//! What expressions of each kind may cost.
//!
//! Upstream: k8s.io/apiserver/pkg/apis/cel/config.go, k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation (v1.35).

/// One evaluation of one expression.
pub const PER_CALL: u64 = 1_000_000;

/// All expressions together that one request evaluates for one object and one policy, or for the rules of one resource.
pub const PER_REQUEST: u64 = 10_000_000;

/// All match conditions together of one request.
pub const MATCH_CONDITIONS: u64 = 2_500_000;

/// One rule of a custom resource definition, as estimated.
pub const ESTIMATED_RULE: u64 = 10_000_000;

/// All rules of a custom resource definition, as estimated.
pub const ESTIMATED_DEFINITION: u64 = 100_000_000;
