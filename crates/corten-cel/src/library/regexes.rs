//! Regular expressions, and `find` and `findAll`.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/regex.go (v1.35).

use std::{any::Any, collections::BTreeMap, sync::Arc};

use corten_apimachinery::re2::{CompileError, compile_sized, too_large};
use regex::Regex;

use super::{Function, Library, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Text, Value},
};

/// What all constant patterns of an expression may take together: as much as one may take. It is kept with the program.
const BYTES_MAX: usize = 4 << 20;

/// The constant patterns of one expression, each compiled once.
#[derive(Debug)]
pub(crate) struct Patterns {
    compiled: BTreeMap<String, Result<Arc<Regex>, String>>,
    left_bytes: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { compiled: BTreeMap::new(), left_bytes: BYTES_MAX }
    }
}

impl Patterns {
    /// The compiled `pattern`.
    ///
    /// Errors: why it is none, in words for people; or that with those before it, it is too large.
    pub(crate) fn compiled(&mut self, pattern: &str) -> Result<Arc<Regex>, String> {
        if let Some(known) = self.compiled.get(pattern) {
            return known.clone();
        }
        let (left, mut asked) = (self.left_bytes, 0);
        let compiled = compile_sized(pattern, &mut |bytes| {
            asked = bytes;
            bytes <= left
        });
        // Time was spent also on one that came to nothing.
        self.left_bytes = left.saturating_sub(asked);
        let compiled = match compiled {
            Ok(sized) => Ok(Arc::new(sized.regex)),
            Err(CompileError::Wrong(reason)) => Err(reason),
            Err(CompileError::Unaffordable) => Err(too_large(pattern)),
        };
        self.compiled.insert(pattern.to_owned(), compiled.clone());
        compiled
    }
}

/// A constant pattern, compiled when the plan was made.
#[derive(Debug)]
pub(crate) struct ConstantRegex {
    regex: Arc<Regex>,
    size: u64,
}

impl ConstantRegex {
    pub(crate) fn new(regex: Arc<Regex>, pattern: &str) -> Self {
        Self { regex, size: pattern.chars().count() as u64 }
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
pub(super) fn part<'a>(
    context: &mut Context<'_>,
    text: &Text<'a>,
    from: usize,
    to: usize,
) -> Result<Value<'a>, EvalError> {
    match text {
        Text::Borrowed(text) => Ok(Value::String(Text::Borrowed(&text[from..to]))),
        Text::Shared(text) => {
            context.make_text(to - from)?;
            Ok(Value::string(text[from..to].to_owned()))
        }
    }
}

fn find<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), pattern] = args else { return wrong_types() };
    match regex_of(context, pattern)?.find(text) {
        Some(found) => part(context, text, found.start(), found.end()),
        None => Ok(Value::string("")),
    }
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
        context.make_items(1)?;
        found.push(part(context, text, part_found.start(), part_found.end())?);
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
