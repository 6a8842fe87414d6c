//! Evaluation: the plan, and going through it under a limit of cost.
//!
//! Upstream: cel-go interpreter (v0.26.0).

mod attribute;
mod context;
mod plan;
mod planner;
mod run;

pub use context::{Context, Work};
pub(crate) use plan::Plan;
pub(crate) use planner::plan;
pub(crate) use run::{LIST_COST, MAP_COST, OBJECT_COST, add_lists, run};

use crate::{error::EvalError, value::Value};

/// How deep values may be nested to be compared.
pub(crate) const DEPTH_MAX: usize = 2_000;

/// The values of variables.
pub trait Activation<'a> {
    /// The value of the variable `name`; `None` if there is none. Asked for each use, so what is dear should be kept.
    ///
    /// Errors: there is a variable, but its value cannot be found.
    fn variable(&self, name: &str) -> Option<Result<Value<'a>, EvalError>>;
}

/// No variables.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVariables;

impl<'a> Activation<'a> for NoVariables {
    fn variable(&self, _: &str) -> Option<Result<Value<'a>, EvalError>> {
        None
    }
}

/// Variables by name. Expressions have few, so they are looked through.
impl<'a> Activation<'a> for [(&str, Value<'a>)] {
    fn variable(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| Ok(value.clone()))
    }
}

impl<'a, const N: usize> Activation<'a> for [(&str, Value<'a>); N] {
    fn variable(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        self.as_slice().variable(name)
    }
}

impl<'a> Activation<'a> for Vec<(&str, Value<'a>)> {
    fn variable(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        self.as_slice().variable(name)
    }
}
