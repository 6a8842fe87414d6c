//! The formats of texts: which there are, and which texts have them.
//!
//! Upstream: k8s.io/kube-openapi/pkg/validation/strfmt, github.com/asaskevich/govalidator, and for the list
//! k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go (v1.35).

mod codes;
mod mail;
mod network;

use crate::{
    duration::GoDuration,
    go_url::GoUrl,
    quantity,
    schema::props,
    validation::{is_dns1123_label, is_dns1123_subdomain},
    value::{Str, Value},
};

type Check = fn(&str) -> bool;

/// The formats of texts without their dashes, sorted, each with its check.
static TEXTUAL: &[(&str, Check)] = &[
    ("bsonobjectid", codes::is_object_id),
    ("byte", codes::is_base64),
    ("cidr", network::is_cidr),
    ("creditcard", codes::is_credit_card),
    ("date", is_date),
    ("datetime", is_date_time),
    ("duration", is_duration),
    ("email", mail::is_address),
    ("hexcolor", codes::is_hex_color),
    ("hostname", network::is_hostname),
    ("ipv4", network::is_ipv4),
    ("ipv6", network::is_ipv6),
    ("isbn", |text| codes::is_isbn10(text) || codes::is_isbn13(text)),
    ("isbn10", codes::is_isbn10),
    ("isbn13", codes::is_isbn13),
    ("k8slongname", |text| is_dns1123_subdomain(text).is_empty()),
    ("k8sshortname", |text| is_dns1123_label(text).is_empty()),
    ("mac", network::is_mac),
    ("password", |_| true),
    ("quantity", |text| quantity::canonical_text(text).is_ok()),
    ("rgbcolor", codes::is_rgb_color),
    ("ssn", codes::is_ssn),
    ("uri", |text| GoUrl::parse_request(text).is_ok()),
    ("uuid", |text| codes::is_uuid(text, None)),
    ("uuid3", |text| codes::is_uuid(text, Some('3'))),
    ("uuid4", |text| codes::is_uuid(text, Some('4'))),
    ("uuid5", |text| codes::is_uuid(text, Some('5'))),
];

fn find(format: &str) -> Option<Check> {
    let name: std::borrow::Cow<'_, str> =
        if format.contains('-') { format.replace('-', "").into() } else { format.into() };
    let at = TEXTUAL.binary_search_by(|(candidate, _)| (*candidate).cmp(&name)).ok()?;
    Some(TEXTUAL[at].1)
}

/// `format`, if values of one of `types` are checked for it; else nothing.
pub(super) fn supported<'f>(types: &[&str], format: &'f str) -> &'f str {
    let is_supported = match types {
        [] | ["string"] => find(format).is_some(),
        ["integer"] => matches!(format, "int32" | "int64"),
        ["number"] => matches!(format, "float" | "double"),
        _ => false,
    };
    if is_supported { format } else { "" }
}

/// Whether `format` is one of texts.
pub(super) fn is_textual(format: &str) -> bool {
    find(format).is_some()
}

/// Whether `text` has the format, one of texts.
pub(super) fn is_valid(format: &str, text: &str) -> bool {
    find(format).is_none_or(|check| check(text))
}

/// Whether texts are checked for `format`.
#[must_use]
pub fn is_known_format(format: &str) -> bool {
    is_textual(format)
}

/// The formats of texts in `props`, an `openAPIV3Schema`, that nobody checks, in the order of the schema. Formats of numbers
/// are for readers.
#[must_use]
pub fn unrecognized_formats(props: &Value) -> Vec<Str> {
    let mut found = Vec::new();
    props::for_each(props, &mut |schema| {
        let is_unknown =
            |format: &&str| schema.str_at(&["type"]) == Some("string") && !format.is_empty() && !is_textual(format);
        if let Some(format) = schema.str_at(&["format"]).filter(is_unknown) {
            found.push(format.into());
        }
    });
    found
}

/// A full date of RFC 3339.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-' && text.parse::<jiff::civil::Date>().is_ok()
}

/// A date and a time, with a zone.
fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some((date, time)) = lower.split_once('t') else { return false };
    // Nothing may follow a second letter; it would be no time either.
    is_date(date) && is_time(time.split('t').next().unwrap_or_default())
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let two_digits = |at: usize, max: u8| {
        let digit = |at: usize| bytes.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
        matches!((digit(at), digit(at + 1)), (Some(tens), Some(ones)) if tens * 10 + ones <= max)
    };
    let is_clock = two_digits(0, 23)
        && bytes.get(2) == Some(&b':')
        && two_digits(3, 59)
        && bytes.get(5) == Some(&b':')
        && two_digits(6, 59);
    let Some(rest) = text.get(8..).filter(|_| is_clock) else { return false };
    // Upstream takes any character before a fraction.
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut chars = rest.chars();
    let after = chars.next().map_or("", |_| chars.as_str());
    let fraction = digits(after);
    let zone = |zone: &str| {
        zone == "z"
            || (zone.len() == 6
                && zone.starts_with(['+', '-'])
                && zone.as_bytes()[3] == b':'
                && digits(&zone[1..]) == 2
                && digits(&zone[4..]) == 2)
    };
    zone(rest) || (fraction > 0 && (1..=fraction).any(|count| after.get(count..).is_some_and(zone)))
}

/// A duration of Go, or one with a unit in words: `22 ns`, `3 days`.
fn is_duration(text: &str) -> bool {
    if text.parse::<GoDuration>().is_ok() {
        return true;
    }
    let trimmed = text.trim_start();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let unit = trimmed[digits..].trim();
    const UNITS: &[&str] = &[
        "ns",
        "nano",
        "nanosecond",
        "us",
        "\u{b5}s",
        "micro",
        "microsecond",
        "ms",
        "milli",
        "millisecond",
        "s",
        "sec",
        "second",
        "m",
        "min",
        "minute",
        "h",
        "hr",
        "hour",
        "d",
        "day",
        "w",
        "wk",
        "week",
    ];
    let singular = unit.strip_suffix('s').filter(|singular| singular.len() > 1).unwrap_or(unit);
    digits > 0 && (UNITS.contains(&unit) || UNITS.contains(&singular))
}
