//! What a pod tells the signer of its certificate, in keys of a domain.
//!
//! Upstream: pkg/apis/core/validation `ValidateUserAnnotations`; k8s.io/apimachinery/pkg/util/validation
//! `IsDomainPrefixedKey` (v1.35).

use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
};

use crate::report::Report;

/// All of them together.
const MAX_BYTES: usize = 256 * 1_024;

/// Keys of a domain, whatever their case.
pub(crate) fn validate<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>, path: &Path, errors: &mut ErrorList) {
    let mut size_bytes = 0;
    for (key, value) in entries {
        size_bytes += key.len() + value.len();
        let key = key.to_lowercase();
        if !errors.require(path, &key) {
            continue;
        }
        let faults = is_qualified_name(&key);
        if faults.is_empty() && !key.contains('/') {
            errors.invalid(path, key, "must be a domain-prefixed key (such as \"acme.io/foo\")");
        } else {
            errors.invalids(path, &key, faults);
        }
    }
    if size_bytes > MAX_BYTES {
        errors.push(Error::too_long(path, MAX_BYTES));
    }
}
