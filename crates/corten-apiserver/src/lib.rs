//! The generic API server: names no concrete kind's rules.
//!
//! Flow: connection or in-process call -> filter chain -> endpoint -> mutating admission -> registry (strategy, validating
//! admission) -> watch cache and engine -> answer -> encoding for the client.
//! Invariant: there is one chain and one registry; a custom resource and a built-in, a socket and a call in the same
//! process, all go through them.
#![forbid(unsafe_code)]

pub mod admission;
pub mod authentication;
pub mod authorization;
pub mod conditions;
pub mod customresources;
pub mod discovery;
pub mod endpoints;
pub mod filters;
mod large;
pub mod negotiation;
pub mod openapi;
pub mod registry;
pub mod request;
pub mod response;
pub mod server;
pub mod upgrade;

pub use request::{Origin, Request, RequestInfo};
pub use response::{Reply, Response};
pub use server::Server;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// A revision as `resourceVersion` writes it.
fn value_text(revision: u64) -> String {
    revision.to_string()
}

/// Reads a `resourceVersion`; 0 stands for none.
///
/// Errors: Go's words for what is no number (`strconv.ParseUint`).
fn parse_revision(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let why = match text.parse() {
        // Rust takes a sign.
        Ok(revision) if !text.starts_with('+') => return Ok(revision),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow && !text.starts_with('+') => {
            "value out of range"
        }
        _ => "invalid syntax",
    };
    Err(format!("strconv.ParseUint: parsing {}: {why}", corten_apimachinery::field::quote(text)))
}

fn base64_url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn from_base64_url(text: &str) -> Option<bytes::Bytes> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok().map(Into::into)
}
