//! Regular expressions, and `find` and `findAll`.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/regex.go (v1.35).

mod translate;

use std::{any::Any, sync::Arc};

use regex::{Regex, RegexBuilder};

use super::{Function, Library, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Text, Value},
};

/// The largest compiled pattern: 1 MiB, as large as honest ones get with counted repetitions.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// How deep groups may be nested, as upstream.
const NESTING_MAX: u32 = 1_000;

/// The compiled `pattern`.
///
/// Errors: why it is none, in words for people.
pub(crate) fn compile_regex(pattern: &str) -> Result<Regex, String> {
    let translated = translate::translate(pattern).map_err(|error| format!("error parsing regexp: {error}"))?;
    RegexBuilder::new(&translated)
        .octal(true)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("error parsing regexp: expression too large: `{pattern}`")
            }
            _ => format!("error parsing regexp: `{pattern}`"),
        })
}

/// A constant pattern, compiled when the plan was made.
#[derive(Debug)]
pub(crate) struct ConstantRegex {
    regex: Arc<Regex>,
    size: u64,
}

impl ConstantRegex {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        Ok(Self { regex: Arc::new(compile_regex(pattern)?), size: pattern.chars().count() as u64 })
    }
}

impl Opaque for ConstantRegex {
    /// It stands where text was written.
    fn type_name(&self) -> &'static str {
        "string"
    }

    fn equals(&self, _: &dyn Opaque) -> bool {
        false
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn regex_of(context: &mut Context<'_>, pattern: &Value<'_>) -> Result<Arc<Regex>, EvalError> {
    match pattern {
        Value::String(pattern) => context.regex(pattern),
        Value::Opaque(opaque) => match opaque.downcast::<ConstantRegex>() {
            Some(constant) => Ok(constant.regex.clone()),
            None => Err(EvalError::no_such_overload()),
        },
        _ => Err(EvalError::no_such_overload()),
    }
}

/// `text.matches(pattern)`
pub(super) fn matches<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), pattern] = args else { return wrong_types() };
    Ok(Value::Bool(regex_of(context, pattern)?.is_match(text)))
}

/// A part of `text`, without copying it where it belongs to the object.
pub(super) fn part<'a>(text: &Text<'a>, from: usize, to: usize) -> Value<'a> {
    match text {
        Text::Borrowed(text) => Value::String(Text::Borrowed(&text[from..to])),
        Text::Shared(text) => Value::string(text[from..to].to_owned()),
    }
}

fn find<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), pattern] = args else { return wrong_types() };
    Ok(match regex_of(context, pattern)?.find(text) {
        Some(found) => part(text, found.start(), found.end()),
        None => Value::string(""),
    })
}

fn find_all<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (text, pattern, limit) = match args {
        [Value::String(text), pattern] => (text, pattern, -1),
        [Value::String(text), pattern, Value::Int(limit)] => (text, pattern, *limit),
        _ => return wrong_types(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let regex = regex_of(context, pattern)?;
    let mut found = Vec::new();
    for part_found in regex.find_iter(text).take(limit) {
        context.work(1)?;
        found.push(part(text, part_found.start(), part_found.end()));
    }
    Ok(Value::list(found))
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "find",
        cost: &costs::REGEX,
        overloads: &[overload("string_find_string", "string.(string): string", find)],
    },
    Function {
        name: "findAll",
        cost: &costs::REGEX,
        overloads: &[
            overload("string_find_all_string", "string.(string): list(string)", find_all),
            overload("string_find_all_string_int", "string.(string, int): list(string)", find_all),
        ],
    },
];

pub(super) static LIBRARY: Library = Library { name: "k8s.regex", types: &[], functions: &[FUNCTIONS] };
