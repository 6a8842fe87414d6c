//! How long a request may take: a minute, or less if the client says so.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/filters/request_deadline.go (v1.35).

use std::time::Duration;

use corten_apimachinery::{duration::GoDuration, status::Status};

use crate::request::Request;

/// The longest a request may take. Upstream: `--request-timeout`.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The time that `request` has.
///
/// Errors: `BadRequest` if its `timeout` is none.
pub(super) fn of(request: &Request) -> Result<Duration, Status> {
    let asked = request.query.get("timeout");
    if asked.is_empty() {
        return Ok(REQUEST_TIMEOUT);
    }
    let asked: GoDuration = asked
        .parse()
        .map_err(|error| Status::bad_request(format!("invalid timeout specified in the request URL - {error}")))?;
    match u64::try_from(asked.0) {
        Ok(0) => Ok(REQUEST_TIMEOUT),
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds).min(REQUEST_TIMEOUT)),
        // It is over already; the request gets to hear that from its own deadline.
        Err(_) => Ok(Duration::ZERO),
    }
}
