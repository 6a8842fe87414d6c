//! What claims and their templates share: the requests for devices.
//!
//! Upstream: `ResourceClaimSpec` in pkg/apis/resource, pkg/api/resourceclaimspec (v1.35).

pub(super) mod conversion;
pub(super) mod defaults;
pub(super) mod gates;
pub(super) mod requests;
pub(super) mod validation;
