//! Named formats of text.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/format.go (v1.35).

use std::{any::Any, sync::Arc};

use base64::Engine as _;
use corten_apimachinery::validation::{
    is_dns1035_label_prefixed, is_dns1123_label_prefixed, is_dns1123_subdomain_prefixed, is_label_value,
    is_qualified_name,
};

use super::{Function, Library, costs, overload, urls, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Timestamp, Value},
};

/// A format of text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    name: &'static str,
    /// How long the pattern is that costs are counted by.
    pub(super) pattern_size: u64,
    /// What is wrong with a text; nothing if it has the format.
    validate: fn(&str) -> Vec<String>,
}

impl Opaque for Format {
    fn type_name(&self) -> &'static str {
        "kubernetes.NamedFormat"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>().is_some_and(|other| self.name == other.name)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn unless(holds: bool, message: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![message.to_owned()] }
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12, with or without a dash between two groups.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (index, group) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((digits, after)) = rest.split_at_checked(group) else { return false };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && Timestamp::parse(&format!("{text}T00:00:00Z")).is_some()
}

/// A date and a time with a zone, or without one where upstream lets it go.
fn is_datetime(text: &str) -> bool {
    Timestamp::parse(&text.to_ascii_uppercase()).is_some()
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

static FORMATS: &[(&str, Format)] = &[
    (
        "dns1123Label",
        Format { name: "DNS1123Label", pattern_size: 30, validate: |text| is_dns1123_label_prefixed(text, false) },
    ),
    (
        "dns1123Subdomain",
        Format {
            name: "DNS1123Subdomain",
            pattern_size: 60,
            validate: |text| is_dns1123_subdomain_prefixed(text, false),
        },
    ),
    (
        "dns1035Label",
        Format { name: "DNS1035Label", pattern_size: 30, validate: |text| is_dns1035_label_prefixed(text, false) },
    ),
    ("qualifiedName", Format { name: "QualifiedName", pattern_size: 60, validate: is_qualified_name }),
    (
        "dns1123LabelPrefix",
        Format { name: "DNS1123LabelPrefix", pattern_size: 30, validate: |text| is_dns1123_label_prefixed(text, true) },
    ),
    (
        "dns1123SubdomainPrefix",
        Format {
            name: "DNS1123SubdomainPrefix",
            pattern_size: 60,
            validate: |text| is_dns1123_subdomain_prefixed(text, true),
        },
    ),
    (
        "dns1035LabelPrefix",
        Format { name: "DNS1035LabelPrefix", pattern_size: 30, validate: |text| is_dns1035_label_prefixed(text, true) },
    ),
    ("labelValue", Format { name: "LabelValue", pattern_size: 40, validate: is_label_value }),
    // Sizes from here on are those of the patterns that upstream's format library has.
    (
        "uri",
        Format { name: "URI", pattern_size: 1_120, validate: |text| urls::check(text).err().into_iter().collect() },
    ),
    (
        "uuid",
        Format {
            name: "uuid",
            pattern_size: 70,
            validate: |text| unless(is_uuid(text), "does not match the UUID format"),
        },
    ),
    ("byte", Format { name: "byte", pattern_size: 84, validate: |text| unless(is_base64(text), "invalid base64") }),
    ("date", Format { name: "date", pattern_size: 71, validate: |text| unless(is_date(text), "invalid date") }),
    (
        "datetime",
        Format { name: "datetime", pattern_size: 71, validate: |text| unless(is_datetime(text), "invalid datetime") },
    ),
];

fn by_name<'a>(name: &str) -> Option<Value<'a>> {
    let (_, format) = FORMATS.iter().find(|(known, _)| *known == name)?;
    Some(Value::Opaque(Arc::new(*format)))
}

fn named<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(name)] = args else { return wrong_types() };
    Ok(Value::Optional(by_name(name).map(Arc::new)))
}

fn validate<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Opaque(format), Value::String(text)] = args else { return wrong_types() };
    let Some(format) = format.downcast::<Format>() else { return wrong_types() };
    let wrong: Vec<Value<'a>> = (format.validate)(text).into_iter().map(Value::string).collect();
    Ok(if wrong.is_empty() { Value::Optional(None) } else { Value::some(Value::list(wrong)) })
}

macro_rules! constant {
    ($name:literal) => {
        Function {
            name: concat!("format.", $name),
            cost: &costs::STANDARD,
            overloads: &[overload(concat!("format.", $name), "(): kubernetes.NamedFormat", |_, _| {
                by_name($name).ok_or_else(EvalError::no_such_overload)
            })],
        }
    };
}

const FUNCTIONS: &[Function] = &[
    constant!("dns1123Label"),
    constant!("dns1123Subdomain"),
    constant!("dns1035Label"),
    constant!("qualifiedName"),
    constant!("dns1123LabelPrefix"),
    constant!("dns1123SubdomainPrefix"),
    constant!("dns1035LabelPrefix"),
    constant!("labelValue"),
    constant!("uri"),
    constant!("uuid"),
    constant!("byte"),
    constant!("date"),
    constant!("datetime"),
    Function {
        name: "format.named",
        cost: &costs::UNIT,
        overloads: &[overload("format-named", "(string): optional_type(kubernetes.NamedFormat)", named)],
    },
    Function {
        name: "validate",
        cost: &costs::VALIDATE,
        overloads: &[overload(
            "format-validate",
            "kubernetes.NamedFormat.(string): optional_type(list(string))",
            validate,
        )],
    },
];

pub(super) static LIBRARY: Library =
    Library { name: "kubernetes.format", types: &["kubernetes.NamedFormat"], functions: &[FUNCTIONS] };
