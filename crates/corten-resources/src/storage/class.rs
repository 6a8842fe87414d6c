//! What classes of volumes and classes of their attributes share.
//!
//! Upstream: pkg/apis/storage/validation/validation.go (v1.35).

use corten_apimachinery::{
    Map, Value,
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
};

use crate::report::Report;

/// How many parameters a class has.
const PARAMETERS_MAX: usize = 512;
/// How large all of them are, with their keys.
const PARAMETERS_MAX_BYTES: usize = 256 * 1_024;

/// Who makes the volumes of a class.
pub(super) fn provisioner(name: &str, path: &Path, errors: &mut ErrorList) {
    if errors.require(path, name) {
        let lower = name.to_lowercase();
        errors.invalids(path, &lower, is_qualified_name(&lower));
    }
}

/// What a driver is told of the volumes of a class.
pub(super) fn parameters(parameters: Option<&Map>, path: &Path, errors: &mut ErrorList) {
    let Some(parameters) = parameters else { return };
    if parameters.len() > PARAMETERS_MAX {
        errors.push(Error::too_long(path, PARAMETERS_MAX));
        return;
    }
    if parameters.contains_key("") {
        errors.invalid(path, "", "field can not be empty.");
    }
    let size = |(key, value): (&str, &Value)| key.len() + value.as_str().unwrap_or_default().len();
    if parameters.iter().map(size).sum::<usize>() > PARAMETERS_MAX_BYTES {
        errors.push(Error::too_long(path, PARAMETERS_MAX_BYTES));
    }
}
