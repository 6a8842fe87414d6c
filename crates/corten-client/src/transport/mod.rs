//! The seam below the client: carries a call to an API server and brings the answer back.

pub mod http;

use std::fmt;

use corten_apimachinery::status::Status;
use futures::future::BoxFuture;

use crate::call::{Answer, Call};

/// Carries calls. The in-process transport of the API server and the HTTP transport implement it.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Performs `call`.
    ///
    /// Errors: what the server said, or `ServiceUnavailable`/`Timeout` made here when it could not be reached.
    /// Cancellation: dropping the future abandons the call; a write may or may not have happened.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Answer, Status>>;
}
