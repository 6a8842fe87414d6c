//! Rules of priority levels.
//!
//! Upstream: pkg/apis/flowcontrol/validation (v1.35).

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    value::semantically_equal,
};

use crate::{
    flowcontrol::{
        bootstrap::{MANDATORY_LEVELS, mandatory_spec},
        strategy::conditions,
    },
    report::Report,
    tree::{present, text_at},
};

/// By which an older version told a zero from nothing; in this one it means nothing.
const PRESERVE_ZERO: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
const QUEUES_MAX: i64 = 10_000_000;
/// How many bits of a flow's hash there are to choose queues by.
const HASH_BITS: i64 = 60;
const NON_NEGATIVE: &str = "must be a non-negative integer";
const PERCENT: &str = "must be between 0 and 100, inclusive";

pub(super) fn level(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&null);
    let mut errors = ErrorList::new();
    if object.annotations().is_some_and(|annotations| annotations.contains_key(PRESERVE_ZERO)) {
        let at = Path::new("metadata").child("annotations");
        errors.forbidden(&at, format!("annotation '{PRESERVE_ZERO}' is forbidden"));
    }
    type_and_parts(spec, object.name(), &path, &mut errors);
    fixed(object, spec, &path, &mut errors);
    conditions(object, &mut errors);
    errors
}

fn type_and_parts(spec: &Value, name: &str, path: &Path, errors: &mut ErrorList) {
    let ty = text_at(spec, &["type"]);
    if (name == "exempt") != (ty == "Exempt") {
        errors.invalid(&path.child("type"), ty, "type must be 'Exempt' if and only if name is 'exempt'");
    }
    let (limited_at, exempt_at) = (path.child("limited"), path.child("exempt"));
    match (ty, present(spec, &["limited"]), present(spec, &["exempt"])) {
        ("Exempt", limited, exempt) => {
            if limited.is_some() {
                errors.forbidden(&limited_at, "must be nil if the type is not Limited");
            }
            if let Some(exempt) = exempt {
                shares(exempt, &exempt_at, errors);
                lendable(exempt, &exempt_at, errors);
            }
        }
        ("Limited", limited, exempt) => {
            if exempt.is_some() {
                errors.forbidden(&exempt_at, "must be nil if the type is Limited");
            }
            match limited {
                None => errors.required(&limited_at, "must not be empty when type is Limited"),
                Some(parts) => limits(parts, &limited_at, errors),
            }
        }
        _ => errors.one_of(&path.child("type"), ty, &["Exempt", "Limited"]),
    }
}

fn shares(parts: &Value, path: &Path, errors: &mut ErrorList) {
    let shares = parts.i64_at(&["nominalConcurrencyShares"]).unwrap_or_default();
    if shares < 0 {
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, NON_NEGATIVE);
    }
}

fn lendable(parts: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(percent) = parts.i64_at(&["lendablePercent"]).filter(|percent| !(0..=100).contains(percent)) {
        errors.invalid(&path.child("lendablePercent"), percent, PERCENT);
    }
}

fn limits(parts: &Value, path: &Path, errors: &mut ErrorList) {
    shares(parts, path, errors);
    let null = Value::Null;
    let response = parts.get("limitResponse").unwrap_or(&null);
    let response_at = path.child("limitResponse");
    let at = response_at.child("queuing");
    match (text_at(response, &["type"]), present(response, &["queuing"])) {
        ("Reject", Some(_)) => errors.forbidden(&at, "must be nil if limited.limitResponse.type is not Limited"),
        ("Queue", None) => errors.required(&at, "must not be empty if limited.limitResponse.type is Limited"),
        ("Queue", Some(parts)) => queuing(parts, &at, errors),
        ("Reject", None) => {}
        (other, _) => errors.one_of(&response_at.child("type"), other, &["Queue", "Reject"]),
    }
    lendable(parts, path, errors);
    if let Some(percent) = parts.i64_at(&["borrowingLimitPercent"]).filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid(&path.child("borrowingLimitPercent"), percent, detail);
    }
}

fn queuing(parts: &Value, path: &Path, errors: &mut ErrorList) {
    const POSITIVE: &str = "must be positive";
    let number = |field: &str| parts.i64_at(&[field]).unwrap_or_default();
    let (length, queues, hand_size) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    if length <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), length, POSITIVE);
    }
    if queues <= 0 {
        errors.invalid(&path.child("queues"), queues, POSITIVE);
    } else if queues > QUEUES_MAX {
        errors.invalid(&path.child("queues"), queues, format!("must not be greater than {QUEUES_MAX}"));
    }
    let at = path.child("handSize");
    if hand_size <= 0 {
        errors.invalid(&at, hand_size, POSITIVE);
    } else if hand_size > queues {
        errors.invalid(&at, hand_size, format!("should not be greater than queues ({queues})"));
    } else if required_bits(queues, hand_size) > HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand_size} should not be greater than {HASH_BITS}"
        );
        errors.invalid(&at, hand_size, detail);
    }
}

/// How many bits it takes to choose `hand_size` of `queues`, a little more than enough. Both fit 32 bits, so that nothing is
/// lost on the way.
fn required_bits(queues: i64, hand_size: i64) -> i64 {
    ((queues as f64).log2() * hand_size as f64).ceil() as i64
}

/// The levels that nobody changes: `catch-all`, and `exempt` but for its part of the server.
fn fixed(object: &Value, spec: &Value, path: &Path, errors: &mut ErrorList) {
    let name = object.name();
    let Some(mandatory) = mandatory_spec(&MANDATORY_LEVELS, name) else { return };
    if name == "exempt" {
        let without = |spec: &Value| {
            let mut spec = spec.clone();
            spec.unset(&["exempt"]);
            spec
        };
        if !semantically_equal(Some(&without(spec)), Some(&without(mandatory))) {
            let detail = format!("spec of '{name}' except the 'spec.exempt' field must equal the fixed value");
            errors.invalid_struct(path, "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", Some(spec), detail);
        }
    } else if !semantically_equal(Some(spec), Some(mandatory)) {
        errors.invalid_struct(
            path,
            "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec",
            Some(spec),
            format!("spec of '{name}' must equal the fixed value"),
        );
    }
}
