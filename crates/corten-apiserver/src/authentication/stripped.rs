//! What a client proves to be somebody with, and says to be somebody else with: nothing behind the filters that act on it may
//! see it, and no server that a request goes on to.

use http::{HeaderMap, HeaderName, header};

use super::bearer;

/// What the names of the headers begin with that say whom a client acts as.
const IMPERSONATION_PREFIX: &str = "impersonate-";

/// Takes away the credentials of a request.
pub fn strip_credentials(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    bearer::strip_protocol(headers);
}

/// Takes away what says whom the client acts as.
pub fn strip_impersonation(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(IMPERSONATION_PREFIX)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
