//! What is evaluated: the checked tree, with names resolved and constants folded.
//!
//! The shape follows upstream's planner where cost depends on it: selections and indexes are one attribute with qualifiers,
//! whose cost is not that of calls, and what is folded costs nothing.
//!
//! Upstream: cel-go interpreter/{planner,attributes,decorators}.go (v0.26.0).

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    environment::{FunctionDeclaration, OverloadDeclaration},
    value::{Key, Text, Value},
};

/// The index of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepId(pub(super) u32);

impl StepId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an attribute begins.
#[derive(Debug)]
pub(crate) enum Base {
    /// A variable of a loop.
    Local(usize),
    /// A variable of the caller: names to try in order, and how many qualifiers each takes the place of.
    Global(Vec<Arc<str>>),
    /// What another step gives.
    Step(StepId),
    /// One of two.
    Conditional { condition: StepId, yes: StepId, no: StepId },
}

/// What is taken out of an attribute.
#[derive(Debug)]
pub(crate) enum Part {
    /// A field or a key that is a constant name.
    Field(Text<'static>),
    /// A constant key or index.
    Constant(Value<'static>),
    /// A key or index that a step gives.
    Step(StepId),
}

/// One selection or index.
#[derive(Debug)]
pub(crate) struct Qualifier {
    pub(crate) part: Part,
    pub(crate) optional: bool,
}

/// A loop.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) range: StepId,
    pub(crate) variable: usize,
    pub(crate) second_variable: Option<usize>,
    pub(crate) accumulator: usize,
    pub(crate) init: StepId,
    pub(crate) condition: StepId,
    pub(crate) step: StepId,
    pub(crate) result: StepId,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: Arc<FunctionDeclaration>,
    /// The one overload; none if that depends on the values.
    pub(crate) overload: Option<usize>,
    pub(crate) member: bool,
    pub(crate) args: Vec<StepId>,
    /// In a loop: the accumulator that is the first argument, and may be changed in place.
    pub(crate) accumulator: Option<usize>,
}

impl Call {
    pub(super) fn only_overload(&self) -> Option<&OverloadDeclaration> {
        self.overload.map(|index| &self.function.overloads[index])
    }
}

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    Constant(Value<'static>),
    Attribute {
        base: Base,
        qualifiers: Vec<Qualifier>,
        test_only: bool,
    },
    And(StepId, StepId),
    Or(StepId, StepId),
    NotStrictlyFalse(StepId),
    Call(Call),
    /// Whether a value is among constants.
    IsOneOf {
        value: StepId,
        keys: BTreeSet<Key<'static>>,
        doubles: Vec<f64>,
    },
    List(Vec<(StepId, bool)>),
    Map(Vec<(StepId, StepId, bool)>),
    Object(Vec<(Text<'static>, StepId, bool)>),
    Fold(Box<Fold>),
    /// A value with a name, evaluated when it is first used.
    Bind {
        variable: usize,
        init: StepId,
        result: StepId,
    },
}

/// A whole plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) root: StepId,
    pub(super) locals: usize,
}

impl Plan {
    /// Whether evaluating it compiles patterns.
    pub(crate) fn compiles_patterns(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Call(call) if takes_pattern(&call.function.name) => {
                call.args.get(1).is_some_and(|pattern| !matches!(self.steps[pattern.index()], Step::Constant(_)))
            }
            _ => false,
        })
    }
}

/// Whether the second argument of a function is a pattern.
pub(super) fn takes_pattern(function: &str) -> bool {
    matches!(function, "matches" | "find" | "findAll")
}
