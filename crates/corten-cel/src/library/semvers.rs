//! Semantic versions.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/semverlib.go, version 1 (v1.35), which reads them with blang/semver v4.

use std::{any::Any, cmp::Ordering, sync::Arc};

use super::{Function, Library, Overload, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Value},
};

/// A part of what stands behind the dash: numbers come before text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

/// A version without its build, which takes no part in any comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Semver {
    numbers: [u64; 3],
    pre: Vec<Part>,
}

impl Semver {
    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            // A release comes behind what was before it.
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.pre.cmp(&other.pre),
        })
    }
}

impl Opaque for Semver {
    fn type_name(&self) -> &'static str {
        "kubernetes.Semver"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn number(text: &str, name: &str) -> Result<u64, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.is_empty() {
        return Err(format!("Invalid character(s) found in {name} number \"{text}\""));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{name} number must not contain leading zeroes \"{text}\""));
    }
    text.parse().map_err(|_| format!("{name} number is out of range \"{text}\""))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn parse(text: &str) -> Result<Semver, String> {
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let mut parts = text.splitn(3, '.');
    let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("No Major.Minor.Patch elements found".to_owned());
    };
    let (major, minor) = (number(major, "Major")?, number(minor, "Minor")?);
    let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
    let (patch, pre) = rest.split_once('-').map_or((rest, None), |(patch, pre)| (patch, Some(pre)));
    let patch = number(patch, "Patch")?;
    let pre = pre.map_or(Ok(Vec::new()), |pre| pre.split('.').map(pre_part).collect())?;
    if build.is_some_and(|build| !build.split('.').all(is_word)) {
        return Err("Invalid character(s) found in build meta data".to_owned());
    }
    Ok(Semver { numbers: [major, minor, patch], pre })
}

fn pre_part(part: &str) -> Result<Part, String> {
    if part.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if part.bytes().all(|byte| byte.is_ascii_digit()) {
        if part.len() > 1 && part.starts_with('0') {
            return Err(format!("Numeric PreRelease version must not contain leading zeroes \"{part}\""));
        }
        return part.parse().map(Part::Number).map_err(|_| format!("Prerelease is out of range \"{part}\""));
    }
    if !is_word(part) {
        return Err(format!("Invalid character(s) found in prerelease \"{part}\""));
    }
    Ok(Part::Text(part.to_owned()))
}

/// Reads what people write, too: a leading `v`, leading zeros, missing numbers.
fn parse_tolerantly(text: &str) -> Result<Semver, String> {
    let mut parts: Vec<String> = text
        .strip_prefix('v')
        .unwrap_or(text)
        .splitn(3, '.')
        .map(|part| {
            let trimmed = part.trim_start_matches('0');
            match trimmed.bytes().next() {
                _ if part.len() <= 1 => part.to_owned(),
                Some(first) if first.is_ascii_digit() => trimmed.to_owned(),
                _ => format!("0{trimmed}"),
            }
        })
        .collect();
    if parts.len() < 3 {
        if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("short version cannot contain PreRelease/Build meta data".to_owned());
        }
        parts.resize(3, "0".to_owned());
    }
    parse(&parts.join("."))
}

fn read(args: &[Value<'_>]) -> Result<Result<Semver, String>, EvalError> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok(parse(text)),
        [Value::String(text), Value::Bool(true)] => Ok(parse_tolerantly(text)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn semver<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let version = read(args)?.map_err(EvalError::failed)?;
    // Each part of a prerelease is a value of its own.
    for part in &version.pre {
        context.make_items(1)?;
        if let Part::Text(text) = part {
            context.make_text(text.len())?;
        }
    }
    Ok(Value::Opaque(Arc::new(version)))
}

fn is_semver<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(Value::Bool(read(args)?.is_ok()))
}

fn version_of<'v>(value: &'v Value<'_>) -> Result<&'v Semver, EvalError> {
    match value {
        Value::Opaque(opaque) => opaque.downcast::<Semver>().ok_or_else(EvalError::no_such_overload),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn part_of<'a>(args: &[Value<'a>], index: usize) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    // Upstream converts without a look at the range.
    Ok(Value::Int(version_of(value)?.numbers[index].cast_signed()))
}

fn major<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part_of(args, 0)
}

fn minor<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part_of(args, 1)
}

fn patch<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part_of(args, 2)
}

fn order(args: &[Value<'_>]) -> Result<Ordering, EvalError> {
    let [a, b] = args else { return Err(EvalError::no_such_overload()) };
    Ok(version_of(a)?.order(version_of(b)?))
}

fn is_greater_than<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    order(args).map(|order| Value::Bool(order.is_gt()))
}

fn is_less_than<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    order(args).map(|order| Value::Bool(order.is_lt()))
}

fn compare_to<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    order(args).map(|order| Value::Int(order as i64))
}

const fn unit(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::UNIT, overloads }
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "semver",
        cost: &costs::PARSE,
        overloads: &[
            overload("string_to_semver", "(string): kubernetes.Semver", semver),
            overload("string_bool_to_semver", "(string, bool): kubernetes.Semver", semver),
        ],
    },
    Function {
        name: "isSemver",
        cost: &costs::PARSE,
        overloads: &[
            overload("is_semver_string", "(string): bool", is_semver),
            overload("is_semver_string_bool", "(string, bool): bool", is_semver),
        ],
    },
    unit("major", &[overload("semver_major", "kubernetes.Semver.(): int", major)]),
    unit("minor", &[overload("semver_minor", "kubernetes.Semver.(): int", minor)]),
    unit("patch", &[overload("semver_patch", "kubernetes.Semver.(): int", patch)]),
    unit(
        "isGreaterThan",
        &[overload("semver_is_greater_than", "kubernetes.Semver.(kubernetes.Semver): bool", is_greater_than)],
    ),
    unit("isLessThan", &[overload("semver_is_less_than", "kubernetes.Semver.(kubernetes.Semver): bool", is_less_than)]),
    unit("compareTo", &[overload("semver_compare_to", "kubernetes.Semver.(kubernetes.Semver): int", compare_to)]),
];

pub(super) static LIBRARY: Library =
    Library { name: "kubernetes.semver", types: &["kubernetes.Semver"], functions: &[FUNCTIONS] };
