//! What a signer issues: a chain whose first certificate is for the key of the request, and valid as the status says.

use std::time::Duration;

use base64::Engine as _;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::parse_time,
};
use jiff::{SignedDuration, Timestamp};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
    time::ASN1Time,
};

use super::key;
use crate::{
    certificates::pem,
    report::Report,
    tree::{present, text_at},
};

const CHAIN_MAX_BYTES: usize = 100 * 1_024;
/// How far the clocks of signer and server may be apart.
const SKEW: Duration = Duration::from_mins(5);
const LIFETIME_MIN: SignedDuration = SignedDuration::from_hours(1);
/// How long a certificate is used before it is renewed, and how long before its end it is.
const REFRESH_MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// The paths of what is checked.
struct Paths {
    chain: Path,
    not_before: Path,
    not_after: Path,
    begin_refresh: Path,
}

pub(super) fn validate(request: &Value, now: Timestamp, errors: &mut ErrorList) {
    let path = Path::new("status");
    let paths = Paths {
        chain: path.child("certificateChain"),
        not_before: path.child("notBefore"),
        not_after: path.child("notAfter"),
        begin_refresh: path.child("beginRefreshAt"),
    };
    let chain = text_at(request, &["status", "certificateChain"]);
    if chain.len() > CHAIN_MAX_BYTES {
        errors.push(Error::too_long(&paths.chain, CHAIN_MAX_BYTES));
        return;
    }
    let mut blocks = pem::blocks(chain);
    let Some(block) = blocks.next() else {
        errors.invalid(&paths.chain, chain, "issued certificate chain must contain at least one certificate");
        return;
    };
    if block.ty != "CERTIFICATE" {
        let detail = "issued certificate chain must consist entirely of CERTIFICATE PEM blocks";
        errors.invalid(&paths.chain, chain, detail);
        return;
    }
    let Some(leaf) = certificate(&block.bytes) else {
        errors.invalid(&paths.chain, chain, "leaf certificate does not parse as valid X.509");
        return;
    };
    names(&leaf, &paths.chain, errors);
    if let Err(refused) = leaf_is_the_requests(request, &leaf, chain, now, &paths, errors) {
        errors.extend(refused);
        return;
    }
    for block in blocks {
        if block.ty != "CERTIFICATE" {
            let detail = "issued certificate chain must consist entirely of CERTFICATE PEM blocks";
            errors.invalid(&paths.chain, chain, detail);
            return;
        }
        if certificate(&block.bytes).is_none() {
            errors.invalid(&paths.chain, chain, "intermediate certificate does not parse as valid X.509");
            return;
        }
    }
}

fn certificate(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// The names in it can be names at all.
fn names(leaf: &X509Certificate<'_>, path: &Path, errors: &mut ErrorList) {
    let names = leaf.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    for name in names.flatten() {
        match name {
            GeneralName::DNSName(name) => {
                for (is_broken, detail) in [
                    (name.is_empty(), "leaf certificate should not contain empty DNSName"),
                    (name.contains(".."), "leaf certificate's DNSName should not contain '..'"),
                    (
                        name.starts_with('.') || name.ends_with('.'),
                        "leaf certificate's DNSName should not start or end with '.'",
                    ),
                ] {
                    if is_broken {
                        errors.invalid(path, *name, detail);
                    }
                }
            }
            GeneralName::RFC822Name(address) if !is_address(address) => {
                errors.invalid(path, *address, "leaf certificate should not contain invalid EmailAddress");
            }
            _ => {}
        }
    }
}

/// Whether a text has the form of an address, as far as certificates have any.
fn is_address(text: &str) -> bool {
    let is_plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>,;:\"@()".contains(c));
    text.rsplit_once('@').is_some_and(|(local, domain)| is_plain(local) && is_plain(domain))
}

/// Errors: the one rule that ends the check. What does not end it goes to `errors`.
fn leaf_is_the_requests(
    request: &Value,
    leaf: &X509Certificate<'_>,
    chain: &str,
    now: Timestamp,
    paths: &Paths,
    errors: &mut ErrorList,
) -> Result<(), Vec<Error>> {
    let wanted_text = text_at(request, &["spec", "pkixPublicKey"]);
    let wanted = base64::engine::general_purpose::STANDARD.decode(wanted_text).unwrap_or_default();
    let Some(wanted) = key::parse(&wanted) else {
        let at = Path::new("spec").child("pkixPublicKey");
        return Err(vec![Error::invalid(&at, wanted_text, "must be a valid PKIX-serialized public key")]);
    };
    let has = leaf.public_key();
    if has.algorithm != wanted.algorithm || has.subject_public_key.data != wanted.subject_public_key.data {
        let detail = "leaf certificate was not issued to the requested public key";
        return Err(vec![Error::invalid(&paths.chain, chain, detail)]);
    }
    const CONSISTENT: &str = "must be present and consistent with the issued certificate";
    const REFRESH: &str = "must be present and in the range [notbefore+10min, notafter-10min]";
    let mut missing = Vec::new();
    let mut time = |field: &str, path: &Path, detail: &str| {
        let text = present(request, &["status", field]).and_then(Value::as_str);
        let time = text.and_then(parse_time);
        if time.is_none() {
            missing.push(Error::required(path, detail));
        }
        (text.unwrap_or_default(), time.unwrap_or_default())
    };
    let not_before = time("notBefore", &paths.not_before, CONSISTENT);
    let not_after = time("notAfter", &paths.not_after, CONSISTENT);
    let refresh = time("beginRefreshAt", &paths.begin_refresh, REFRESH);
    if !missing.is_empty() || !errors.is_empty() {
        return Err(missing);
    }
    let refuse = |path: &Path, shown: Value, detail: String| Err(vec![Error::invalid(path, shown, detail)]);
    let (from, until) = (seconds(leaf.validity().not_before), seconds(leaf.validity().not_after));
    if not_before.1 != from {
        let detail = "must be set to the NotBefore time encoded in the leaf certificate";
        return refuse(&paths.not_before, not_before.0.into(), detail.to_owned());
    }
    if from.duration_since(now).unsigned_abs() >= SKEW {
        let detail = "must be set to within 5 minutes of kube-apiserver's current time";
        return refuse(&paths.not_before, not_before.0.into(), detail.to_owned());
    }
    if not_after.1 != until {
        let detail = "must be set to the NotAfter time encoded in the leaf certificate";
        return refuse(&paths.not_after, not_after.0.into(), detail.to_owned());
    }
    let lifetime = until.duration_since(from);
    // A duration is shown in nanoseconds.
    let shown = Value::Int(i64::try_from(lifetime.as_nanos()).unwrap_or(i64::MAX));
    let max = request.i64_at(&["spec", "maxExpirationSeconds"]).unwrap_or_default();
    if lifetime < LIFETIME_MIN {
        return refuse(&paths.chain, shown, "leaf certificate lifetime must be >= 1 hour".to_owned());
    }
    if lifetime.as_secs() > max {
        let detail = format!("leaf certificate lifetime must be <= spec.maxExpirationSeconds ({max})");
        return refuse(&paths.chain, shown, detail);
    }
    if refresh.1.duration_since(from) < REFRESH_MARGIN {
        let detail = "must be at least 10 minutes after status.notBefore";
        return refuse(&paths.begin_refresh, refresh.0.into(), detail.to_owned());
    }
    if until.duration_since(refresh.1) < REFRESH_MARGIN {
        let detail = "must be at least 10 minutes before status.notAfter";
        return refuse(&paths.begin_refresh, refresh.0.into(), detail.to_owned());
    }
    Ok(())
}

fn seconds(time: ASN1Time) -> Timestamp {
    // Certificates name years of four digits, which a time stamp can hold.
    Timestamp::from_second(time.timestamp()).unwrap_or_default()
}
