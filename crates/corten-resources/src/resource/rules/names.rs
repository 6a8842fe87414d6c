//! The names that device drivers give.

use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    validation::{is_c_identifier, is_dns1123_label, is_dns1123_subdomain, is_label_value, validate_label_name},
};

use crate::{core::pod_spec::validation::csi_driver, report::Report};

/// The longest name of a pool.
const POOL_MAX_BYTES: usize = 253;
/// The longest identifier of an attribute or capacity, without its domain.
const ID_MAX_BYTES: usize = 32;
/// The longest domain of one.
const DOMAIN_MAX_BYTES: usize = 63;
/// The longest name of an attribute or capacity that a path shows whole.
pub(crate) const QUALIFIED_NAME_MAX_BYTES: usize = DOMAIN_MAX_BYTES + 1 + ID_MAX_BYTES;

/// The name of a driver: the rules are those of drivers for storage.
pub(crate) fn driver_name(name: &str, path: &Path, errors: &mut ErrorList) {
    csi_driver(name, path, errors);
}

/// The name of a pool: DNS subdomains, divided by slashes.
pub(crate) fn pool_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, name) {
        return;
    }
    if name.len() > POOL_MAX_BYTES {
        errors.push(Error::too_long(path, POOL_MAX_BYTES));
    }
    for part in name.split('/') {
        if errors.is_full() {
            break;
        }
        errors.invalids(path, part, is_dns1123_subdomain(part));
    }
}

/// The name of a device, request or counter.
pub(crate) fn label(name: &str, path: &Path, errors: &mut ErrorList) {
    errors.invalids(path, name, is_dns1123_label(name));
}

/// The key of a taint, or the type of a condition.
pub(crate) fn label_name(name: &str, path: &Path, errors: &mut ErrorList) {
    errors.extend(validate_label_name(name, path));
}

/// The value of a taint.
pub(crate) fn label_value(value: &str, path: &Path, errors: &mut ErrorList) {
    errors.invalids(path, value, is_label_value(value));
}

/// The name of an attribute or capacity: a C identifier, with the domain of whoever defined it if that is not the driver.
pub(crate) fn qualified_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), None, None) => identifier(id, path, errors),
        (Some(domain), Some(id), None) => {
            if domain.is_empty() {
                errors.invalid(path, "", "the domain must not be empty");
            } else {
                driver_name(domain, path, errors);
            }
            if id.is_empty() {
                errors.invalid(path, "", "the name must not be empty");
            } else {
                identifier(id, path, errors);
            }
        }
        // Upstream takes whatever has more slashes.
        _ => {}
    }
}

/// The name of an attribute with its domain.
pub(crate) fn fully_qualified_name(name: &str, path: &Path, errors: &mut ErrorList) {
    qualified_name(name, path, errors);
    if !name.contains('/') {
        errors.invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash");
    }
}

fn identifier(id: &str, path: &Path, errors: &mut ErrorList) {
    if id.len() > ID_MAX_BYTES {
        errors.push(Error::too_long(path, ID_MAX_BYTES));
    }
    errors.invalids(path, id, is_c_identifier(id));
}

/// A UUID in lower case with its hyphens.
pub(crate) fn uid(uid: &str, path: &Path, errors: &mut ErrorList) {
    if let Err(why) = is_uuid(uid) {
        errors.invalid(path, uid, format!("error validating uid: {why}"));
    } else if uid.len() != UUID_BYTES || uid != uid.to_lowercase() {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase \
                      hexadecimal characters";
        errors.invalid(path, uid, detail);
    }
}

const UUID_BYTES: usize = 36;
const URN: &str = "urn:uuid:";
/// Where its hyphens are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Whether this is a UUID in one of its forms: plain, as a URN, in braces, without hyphens.
///
/// Errors: why not, in the words of github.com/google/uuid `Validate`.
fn is_uuid(uid: &str) -> Result<(), String> {
    const FORMAT: &str = "invalid UUID format";
    let bytes = uid.as_bytes();
    let plain = match bytes.len() {
        UUID_BYTES => bytes,
        45 => match bytes.split_at(URN.len()) {
            (urn, plain) if urn.eq_ignore_ascii_case(URN.as_bytes()) => plain,
            (urn, _) => {
                let urn = corten_apimachinery::field::quote(&String::from_utf8_lossy(urn));
                return Err(format!("invalid urn prefix: {urn}"));
            }
        },
        38 => match bytes {
            [b'{', plain @ .., b'}'] => plain,
            _ => return Err("invalid bracketed UUID format".to_owned()),
        },
        32 if bytes.iter().all(u8::is_ascii_hexdigit) => return Ok(()),
        32 => return Err(FORMAT.to_owned()),
        other => return Err(format!("invalid UUID length: {other}")),
    };
    let fits = |(at, byte): (usize, &u8)| {
        if HYPHENS.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    if plain.iter().enumerate().all(fits) { Ok(()) } else { Err(FORMAT.to_owned()) }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::field::{ErrorList, Path};

    fn check(rule: fn(&str, &Path, &mut ErrorList), name: &str, want: &[&str]) {
        let mut errors = ErrorList::new();
        rule(name, &Path::new("n"), &mut errors);
        let got: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(got, want, "{name}");
    }

    #[test]
    fn a_uid_is_in_lower_case_with_its_hyphens() {
        const UID: &str = "a1b2c3d4-0000-1111-2222-333344445555";
        const FORM: &str = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with \
                            lowercase hexadecimal characters";
        check(super::uid, UID, &[]);
        let upper = UID.to_uppercase();
        let (urn, braces, short) = (format!("urn:uuid:{UID}"), format!("{{{UID}}}"), UID.replace('-', ""));
        for odd in [&upper, &urn, &braces, &short] {
            check(super::uid, odd, &[&format!("n: Invalid value: \"{odd}\": {FORM}")]);
        }
        for (odd, why) in [
            ("abc", "invalid UUID length: 3"),
            (&*UID.replace('-', "_"), "invalid UUID format"),
            (&*format!("urm:uuid:{UID}"), "invalid urn prefix: \"urm:uuid:\""),
            (&*format!("[{UID}]"), "invalid bracketed UUID format"),
        ] {
            check(super::uid, odd, &[&format!("n: Invalid value: \"{odd}\": error validating uid: {why}")]);
        }
    }

    #[test]
    fn an_attribute_has_an_identifier_and_maybe_a_domain() {
        const ID: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                          alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for \
                          validation is '[A-Za-z_][A-Za-z0-9_]*')";
        for ok in ["name", "_a1", "example.com/name", "a/b/c"] {
            check(super::qualified_name, ok, &[]);
        }
        check(super::qualified_name, "1a", &[&format!("n: Invalid value: \"1a\": {ID}")]);
        check(super::qualified_name, &"a".repeat(33), &["n: Too long: may not be more than 32 bytes"]);
        check(
            super::qualified_name,
            "/",
            &[
                "n: Invalid value: \"\": the domain must not be empty",
                "n: Invalid value: \"\": the name must not be empty",
            ],
        );
        check(
            super::fully_qualified_name,
            "name",
            &["n: Invalid value: \"name\": a fully qualified name must be a domain and a name separated by a slash"],
        );
    }

    #[test]
    fn a_pool_is_made_of_subdomains() {
        check(super::pool_name, "node-1/gpus.example", &[]);
        check(super::pool_name, "", &["n: Required value"]);
        let long = format!("{}/{}", "a".repeat(200), "b".repeat(100));
        check(super::pool_name, &long, &["n: Too long: may not be more than 253 bytes"]);
    }
}
