//! The expressions in fields of objects: what each may name and has to give. The one place where rules meet the compiler.
//!
//! What needs no compiler (a value that is required, its length, names) is checked by the rules of each field.
//! Upstream: k8s.io/apiserver/pkg/admission/plugin/cel/compile.go, k8s.io/dynamic-resource-allocation/cel (v1.35). Both compile
//! expressions that are stored like new ones: all that the language has in this version was there in the one before.

use corten_apimachinery::field::{Error, ErrorList, Path};
use corten_cel::{
    Type,
    admission::{self, Names, Variables},
    device,
    syntax::Source,
};

/// How an expression of admission is used.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// Whether there is `params`.
    pub params: bool,
    /// Whether there is `authorizer`.
    pub authorizer: bool,
    /// The variables before it.
    pub variables: &'a Variables,
    /// What it has to give.
    pub gives: Gives,
}

/// What an expression has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// A truth value.
    Bool,
    /// A text.
    Text,
    /// A text or nothing.
    TextOrNull,
    /// Whatever it gives.
    Any,
    /// A part of the object to be applied: `Object{..}`.
    ApplyConfiguration,
    /// The steps of a JSON patch: `[JSONPatch{..}]`.
    JsonPatch,
}

impl Gives {
    /// The types that it may be of; none for all.
    fn types(self) -> Vec<Type> {
        match self {
            Self::Bool => vec![Type::Bool],
            Self::Text => vec![Type::String],
            Self::TextOrNull => vec![Type::String, Type::Null],
            Self::Any => Vec::new(),
            Self::ApplyConfiguration => vec![admission::apply_configuration()],
            Self::JsonPatch => vec![admission::json_patch()],
        }
    }
}

/// The type of an expression of admission that is not empty. Adds what the compiler says of it, if it has none.
pub fn check(expression: &str, usage: &Use<'_>, path: &Path, errors: &mut ErrorList) -> Option<Type> {
    let Use { params, authorizer, variables, gives } = *usage;
    let patches = matches!(gives, Gives::ApplyConfiguration | Gives::JsonPatch);
    match compile(expression, Names { params, authorizer, patches }, variables, gives) {
        Ok(ty) => Some(ty),
        Err(detail) => {
            errors.push_with(|| Error::invalid(path, expression, detail));
            None
        }
    }
}

fn compile(expression: &str, names: Names, variables: &Variables, gives: Gives) -> Result<Type, String> {
    let program = admission::environment(names, variables)
        .compile(expression)
        .map_err(|issues| format!("compilation failed: {}", Source::new(expression).display(&issues)))?;
    let (found, wanted) = (program.result_type(), gives.types());
    if wanted.is_empty() || wanted.contains(found) {
        return Ok(found.clone());
    }
    let names: Vec<String> = wanted.iter().map(Type::full_name).collect();
    Err(match names.as_slice() {
        [name] => format!("must evaluate to {name} but got {}", found.full_name()),
        names => format!("must evaluate to one of [{}] but got {}", names.join(" "), found.full_name()),
    })
}

/// Checks a selector of devices. `shares`: a device says whether several claims can have it.
pub fn check_device(expression: &str, shares: bool, path: &Path, errors: &mut ErrorList) {
    match device::compile(expression, shares) {
        Ok((_, cost)) if cost > device::COST_MAX => {
            errors.push(Error::forbidden(path, "too complex, exceeds cost limit"));
        }
        Ok(_) => {}
        Err(detail) => errors.push_with(|| Error::invalid(path, expression, detail)),
    }
}
