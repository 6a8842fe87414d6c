//! Truth values in the form that upstream's flags have.

use corten_base::parse_bool;

/// Reads what Go takes for a truth value. Source: Go, `strconv.ParseBool`.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    parse_bool(text).ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))
}
