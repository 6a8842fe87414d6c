//! Rules of the attributes of devices.

use corten_apimachinery::{
    Value,
    codec::json,
    field::{Error, ErrorList, ErrorType, Path},
};

use crate::{
    report::Report,
    resource::rules::lists::{present, shown_as},
};

/// The longest text or version.
const VALUE_MAX_BYTES: usize = 64;
/// The fields of which one is set, and what upstream's messages call them.
const VALUES: [(&str, &str); 4] =
    [("int", "IntValue"), ("bool", "BoolValue"), ("string", "StringValue"), ("version", "VersionValue")];

/// Every rule that an attribute breaks.
pub(super) fn validate(attribute: &Value, path: &Path, errors: &mut ErrorList) {
    let too_long = |text: &str, at: &Path, errors: &mut ErrorList| {
        if text.len() > VALUE_MAX_BYTES {
            errors.push(Error::too_long(at, VALUE_MAX_BYTES));
        }
    };
    if let Some(text) = attribute.str_at(&["string"]) {
        too_long(text, &path.child("string"), errors);
    }
    if let Some(version) = attribute.str_at(&["version"]) {
        let at = path.child("version");
        if !is_semantic_version(version) {
            errors.invalid(&at, version, "must be a string compatible with semver.org spec 2.0.0");
        }
        too_long(version, &at, errors);
    }
    const ONE: &str = "exactly one value must be specified";
    match VALUES.iter().filter(|(field, _)| present(attribute, field).is_some()).count() {
        0 => errors.invalid(path, "", ONE),
        1 => {}
        _ => errors.push_with(|| shown_as(ErrorType::Invalid, path, &shown(attribute), ONE)),
    }
}

fn shown(attribute: &Value) -> String {
    let fields = VALUES.map(|(field, name)| {
        let value = json::encode(attribute.get(field).unwrap_or(&Value::Null), None);
        format!("\"{name}\":{}", String::from_utf8_lossy(&value))
    });
    format!("{{{}}}", fields.join(","))
}

/// Whether this is a version as semver.org 2.0.0 has it: `1.2.3`, `1.2.3-alpha.1+build.5`.
fn is_semantic_version(version: &str) -> bool {
    let (version, build) = version.split_once('+').map_or((version, None), |(version, build)| (version, Some(build)));
    let (core, pre) = version.split_once('-').map_or((version, None), |(core, pre)| (core, Some(pre)));
    let mut numbers = core.split('.');
    let is_core = numbers.by_ref().take(3).filter(|number| is_number(number)).count() == 3 && numbers.next().is_none();
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    let is_pre = |word: &str| is_word(word) && (is_number(word) || !word.bytes().all(|byte| byte.is_ascii_digit()));
    is_core
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

/// Digits without a leading zero.
fn is_number(text: &str) -> bool {
    text == "0" || (!text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_semantic_version;

    #[test]
    fn versions_are_semantic() {
        for ok in ["0.0.0", "1.2.30", "1.2.3-alpha", "1.2.3-alpha.1.0a", "1.2.3+b.01", "1.2.3--", "1.0.0-a+b-c"] {
            assert!(is_semantic_version(ok), "{ok}");
        }
        for odd in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "1.2.3-a..b", "v1.2.3", "1.2.x"]
        {
            assert!(!is_semantic_version(odd), "{odd}");
        }
    }
}
