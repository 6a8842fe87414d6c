//! Functions and their overloads.

use std::sync::Arc;

use crate::{
    error::EvalError,
    eval::Context,
    library::{CostRule, Implementation, STANDARD_COST},
    types::{Signature, Type, signature},
    value::Value,
};

/// One way to call a function.
#[derive(Clone)]
pub struct OverloadDeclaration {
    pub(crate) id: Arc<str>,
    pub(crate) signature: Signature,
    pub(crate) call: Implementation,
}

impl std::fmt::Debug for OverloadDeclaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverloadDeclaration").field("id", &self.id).field("signature", &self.signature).finish()
    }
}

impl OverloadDeclaration {
    /// The overload `id`, called as `text` says (`(string, int): bool`, `string.(int): bool`), and done by `call`; `None` if
    /// the text is no signature.
    #[must_use]
    pub fn new(id: &str, text: &str, call: Implementation) -> Option<Self> {
        Some(Self { id: id.into(), signature: signature(text)?, call })
    }

    fn accepts(&self, member: bool, args: &[Value<'_>]) -> bool {
        self.signature.member == member
            && self.signature.parameters.len() == args.len()
            && self.signature.parameters.iter().zip(args).all(|(parameter, arg)| accepts(parameter, arg))
    }
}

/// Whether a value may stand where `parameter` is wanted: its outermost type decides.
fn accepts(parameter: &Type, value: &Value<'_>) -> bool {
    match (parameter, value) {
        (Type::Dyn | Type::Any | Type::Param(_) | Type::Error, _) => true,
        (Type::List(_), Value::List(_))
        | (Type::Map(_), Value::Map(_))
        | (Type::Object(_), Value::Map(_))
        | (Type::Type(_), Value::Type(_)) => true,
        (Type::Nullable(_), Value::Null) => true,
        (Type::Nullable(of), value) => accepts(of, value),
        (parameter, value) => parameter.runtime_name() == value.runtime_type().runtime_name(),
    }
}

/// A function.
#[derive(Clone)]
pub struct FunctionDeclaration {
    pub(crate) name: Arc<str>,
    pub(crate) overloads: Vec<OverloadDeclaration>,
    pub(crate) cost: &'static CostRule,
}

impl std::fmt::Debug for FunctionDeclaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionDeclaration").field("name", &self.name).field("overloads", &self.overloads).finish()
    }
}

impl FunctionDeclaration {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), overloads: Vec::new(), cost: &STANDARD_COST }
    }

    /// Calls the overload that the checker found, or else the first one that takes `args`.
    pub(crate) fn call<'a>(
        &self,
        overload: Option<usize>,
        member: bool,
        context: &mut Context<'_>,
        args: &[Value<'a>],
    ) -> Result<Value<'a>, EvalError> {
        let found = match overload {
            Some(index) => self.overloads.get(index),
            None => self.overloads.iter().find(|overload| overload.accepts(member, args)),
        };
        match found {
            // Types of dyn values are only known now.
            Some(found) if found.accepts(member, args) => (found.call)(context, args),
            _ => Err(EvalError::no_such_overload()),
        }
    }
}
