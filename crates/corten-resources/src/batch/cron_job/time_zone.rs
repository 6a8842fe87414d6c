//! The names of time zones.
//!
//! Upstream: `validateTimeZone` in pkg/apis/batch/validation/validation.go (v1.35), Go's `time.LoadLocation`.

use corten_apimachinery::field::{ErrorList, Path};

use crate::report::Report;

/// The names of the time zone database, sorted: zones, and links of older names to them.
const NAMES: &str = include_str!("time_zones.txt");

/// The longest part of a name between slashes.
const PART_BYTES_MAX: usize = 14;

/// Whether there is a time zone of this name, and if not, why, in Go's words.
pub(super) fn load(name: &str) -> Result<(), String> {
    if name.is_empty() || name == "Local" {
        return Ok(());
    }
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Err("time: invalid location name".to_owned());
    }
    if NAMES.lines().any(|known| known == name) { Ok(()) } else { Err(format!("unknown time zone {name}")) }
}

/// The rules of `spec.timeZone`.
pub(super) fn validate(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.invalid(path, name, "timeZone must be nil or non-empty string");
        return;
    }
    let in_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    let is_part = |part: &str| {
        (1..=PART_BYTES_MAX).contains(&part.len())
            && part != "."
            && part != ".."
            && !part.starts_with('-')
            && part.bytes().all(in_part)
    };
    if !name.split('/').all(is_part) {
        errors.invalid(path, name, format!("unknown time zone {name}"));
        return;
    }
    if name.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, name, detail);
    }
    if let Err(why) = load(name) {
        errors.invalid(path, name, why);
    }
}
