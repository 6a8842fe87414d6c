//! From a checked tree to a plan.
//!
//! Upstream: cel-go interpreter/{planner,decorators}.go (v0.26.0).

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Context, Work,
    plan::{Base, Call, Fold, Part, Plan, Qualifier, Step, StepId, takes_pattern},
    run,
};
use crate::{
    checker::{Checked, Reference},
    library::{ConstantRegex, Patterns},
    syntax::{Ast, Comprehension, Issue, Literal, Node, NodeId, Source, operator},
    value::{Bytes, Key, Text, Value},
};

/// Functions whose constant argument is converted when the plan is made.
const CONVERSIONS: &[&str] =
    &["bool", "bytes", "double", "dyn", "duration", "int", "string", "timestamp", "type", "uint"];

/// The plan of `checked`.
///
/// Errors: a constant cannot be converted, or is no regular expression.
pub(crate) fn plan(
    source: Source<'_>,
    checked: &Checked,
    patterns: &mut Patterns,
    folding: bool,
) -> Result<Plan, Issue> {
    let mut planner = Planner {
        source,
        checked,
        patterns,
        folding,
        ast: &checked.ast,
        steps: Vec::new(),
        scopes: Vec::new(),
        locals: 0,
    };
    let root = planner.step(checked.ast.root())?;
    Ok(Plan { steps: planner.steps, root, locals: planner.locals })
}

struct Planner<'p> {
    source: Source<'p>,
    checked: &'p Checked,
    patterns: &'p mut Patterns,
    folding: bool,
    ast: &'p Ast,
    steps: Vec<Step>,
    scopes: Vec<(Arc<str>, usize)>,
    locals: usize,
}

type Planned = Result<StepId, Issue>;

impl Planner<'_> {
    fn add(&mut self, step: Step) -> StepId {
        let id = StepId(u32::try_from(self.steps.len()).expect("plans are no larger than trees"));
        self.steps.push(step);
        id
    }

    fn constant(&mut self, value: Value<'static>) -> StepId {
        self.add(Step::Constant(value))
    }

    fn attribute(&mut self, base: Base) -> StepId {
        self.add(Step::Attribute { base, qualifiers: Vec::new(), test_only: false })
    }

    fn as_constant(&self, id: StepId) -> Option<&Value<'static>> {
        match &self.steps[id.index()] {
            Step::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn step(&mut self, id: NodeId) -> Planned {
        match self.ast.node(id) {
            Node::Error => Err(self.issue(id, "the expression was not checked")),
            Node::Literal(literal) => Ok(self.constant(constant(literal))),
            Node::Ident(name) => Ok(self.ident(id, name)),
            Node::Select { operand, field, test_only } => {
                if let Some(Reference::Ident { .. }) = self.checked.reference(id) {
                    return Ok(self.ident(id, field));
                }
                let part = Part::Field(Text::Shared(field.clone()));
                let (operand, test_only) = (*operand, *test_only);
                let operand = self.step(operand)?;
                Ok(self.qualify(operand, Qualifier { part, optional: false }, test_only))
            }
            Node::Call { .. } => self.call(id),
            Node::List(elements) => {
                let mut steps = Vec::with_capacity(elements.len());
                for element in elements {
                    steps.push((self.step(element.value)?, element.optional));
                }
                Ok(self.folded(Step::List(steps)))
            }
            Node::Map(entries) => {
                let mut steps = Vec::with_capacity(entries.len());
                for entry in entries {
                    steps.push((self.step(entry.key)?, self.step(entry.value)?, entry.optional));
                }
                Ok(self.folded(Step::Map(steps)))
            }
            Node::Struct { fields, .. } => {
                let mut steps = Vec::with_capacity(fields.len());
                for field in fields {
                    steps.push((Text::Shared(field.name.clone()), self.step(field.value)?, field.optional));
                }
                Ok(self.add(Step::Object(steps)))
            }
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn issue(&self, id: NodeId, message: impl Into<String>) -> Issue {
        self.source.issue(self.ast.position(id), message)
    }

    fn ident(&mut self, id: NodeId, name: &Arc<str>) -> StepId {
        if let Some((_, slot)) = self.scopes.iter().rev().find(|(variable, _)| variable == name) {
            let slot = *slot;
            // A qualified name that happens to end like a variable is another thing.
            if matches!(self.ast.node(id), Node::Ident(_)) {
                return self.attribute(Base::Local(slot));
            }
        }
        match self.checked.reference(id) {
            Some(Reference::Ident { constant: Some(value), .. }) => {
                let value = value.clone();
                self.constant(value)
            }
            Some(Reference::Ident { name, .. }) => {
                let name = name.clone();
                self.attribute(Base::Global(vec![name]))
            }
            _ => self.attribute(Base::Global(vec![name.clone()])),
        }
    }

    /// Adds `qualifier` to the attribute `operand`, or makes an attribute of it.
    fn qualify(&mut self, operand: StepId, qualifier: Qualifier, test: bool) -> StepId {
        if let Step::Attribute { qualifiers, test_only, .. } = &mut self.steps[operand.index()]
            && !*test_only
        {
            qualifiers.push(qualifier);
            *test_only = test;
            return operand;
        }
        self.add(Step::Attribute { base: Base::Step(operand), qualifiers: vec![qualifier], test_only: test })
    }

    /// Lists and maps of constants are constants, unless an entry may be absent.
    fn folded(&mut self, step: Step) -> StepId {
        let constant = match &step {
            Step::List(items) => items.iter().all(|(item, optional)| !optional && self.as_constant(*item).is_some()),
            Step::Map(entries) => entries.iter().all(|(key, value, optional)| {
                !optional && self.as_constant(*key).is_some() && self.as_constant(*value).is_some()
            }),
            _ => false,
        };
        let id = self.add(step);
        if self.folding
            && constant
            && let Ok(value) = self.evaluate(id)
        {
            self.steps[id.index()] = Step::Constant(value);
        }
        id
    }

    /// The value of a step that needs no variables.
    fn evaluate(&self, id: StepId) -> Result<Value<'static>, crate::EvalError> {
        run::constant(&self.steps, id, &mut Context::new(None, &mut Work::of_evaluation()))
    }

    fn call(&mut self, id: NodeId) -> Planned {
        let Node::Call { function, target, args } = self.ast.node(id) else {
            return Err(self.issue(id, "not a call"));
        };
        let mut steps = Vec::with_capacity(args.len() + 1);
        let (overloads, declaration) = match self.checked.reference(id) {
            Some(Reference::Function { declaration, overloads }) => (overloads, declaration),
            _ => return self.special(id, function, args),
        };
        // A qualified function's target is a part of its name.
        let member = target.is_some() && !declaration.name.contains('.');
        for child in target.iter().filter(|_| member).chain(args) {
            steps.push(self.step(*child)?);
        }
        match (&**function, steps.as_slice()) {
            (operator::CONDITIONAL, [condition, yes, no]) => {
                return Ok(self.attribute(Base::Conditional { condition: *condition, yes: *yes, no: *no }));
            }
            (operator::AND, [left, right]) => return Ok(self.add(Step::And(*left, *right))),
            (operator::OR, [left, right]) => return Ok(self.add(Step::Or(*left, *right))),
            (operator::NOT_STRICTLY_FALSE, [value]) => return Ok(self.add(Step::NotStrictlyFalse(*value))),
            (operator::INDEX | operator::OPT_INDEX, [operand, index]) => {
                let optional = &**function == operator::OPT_INDEX;
                let part = match self.as_constant(*index) {
                    Some(Value::String(name)) => Part::Field(name.clone()),
                    Some(value) => Part::Constant(value.clone()),
                    None => Part::Step(*index),
                };
                return Ok(self.qualify(*operand, Qualifier { part, optional }, false));
            }
            _ => {}
        }
        let overload = match overloads.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let declaration = declaration.clone();
        if &**function == operator::IN
            && let Some(step) = self.membership(&steps)
        {
            return Ok(self.add(step));
        }
        self.compile_pattern(id, &declaration.name, &mut steps)?;
        let constant = self.folding
            && steps.len() == 1
            && CONVERSIONS.contains(&&*declaration.name)
            && self.as_constant(steps[0]).is_some();
        let step =
            self.add(Step::Call(Call { function: declaration, overload, member, args: steps, accumulator: None }));
        if constant {
            match self.evaluate(step) {
                Ok(value) => self.steps[step.index()] = Step::Constant(value),
                Err(error) => return Err(self.issue(id, error.to_string())),
            }
        }
        Ok(step)
    }

    /// Calls that are no functions: `a.?b`.
    fn special(&mut self, id: NodeId, function: &str, args: &[NodeId]) -> Planned {
        if let (operator::OPT_SELECT, [operand, field]) = (function, args)
            && let Node::Literal(Literal::String(field)) = self.ast.node(*field)
        {
            let operand = self.step(*operand)?;
            let part = Part::Field(Text::Shared(field.clone()));
            return Ok(self.qualify(operand, Qualifier { part, optional: true }, false));
        }
        Err(self.issue(id, format!("the call of '{function}' was not checked")))
    }

    /// `value in [constants]`, if the constants are simple.
    fn membership(&self, steps: &[StepId]) -> Option<Step> {
        let [value, list] = steps else { return None };
        let Some(Value::List(list)) = self.as_constant(*list) else { return None };
        let (mut keys, mut doubles) = (BTreeSet::new(), Vec::new());
        for item in list.iter() {
            match (&item, Key::sought(&item)) {
                (_, Some(key)) => {
                    keys.insert(key);
                }
                (Value::Double(number), None) => doubles.push(*number),
                _ => return None,
            }
        }
        Some(Step::IsOneOf { value: *value, keys, doubles })
    }

    /// Constant patterns are compiled before anything is evaluated.
    fn compile_pattern(&mut self, id: NodeId, function: &str, steps: &mut [StepId]) -> Result<(), Issue> {
        if !takes_pattern(function) || steps.len() < 2 {
            return Ok(());
        }
        if let Some(Value::String(pattern)) = self.as_constant(steps[1]) {
            let pattern = pattern.clone();
            let regex = self.patterns.compiled(&pattern).map_err(|message| self.issue(id, message))?;
            let regex = ConstantRegex::new(regex, &pattern);
            steps[1] = self.constant(Value::Opaque(Arc::new(regex)));
        }
        Ok(())
    }

    /// A place for a variable. None is used twice, because what `cel.bind` names is evaluated within the loops that use it.
    fn slot(&mut self, name: &Arc<str>) -> usize {
        let slot = self.locals;
        self.scopes.push((name.clone(), slot));
        self.locals += 1;
        slot
    }

    fn comprehension(&mut self, parts: &Comprehension) -> Planned {
        let range = self.step(parts.range)?;
        let depth = self.scopes.len();
        let empty = matches!(self.ast.node(parts.range), Node::List(items) if items.is_empty());
        if empty && matches!(self.ast.node(parts.condition), Node::Literal(Literal::Bool(false))) {
            let init = self.step(parts.init)?;
            let variable = self.slot(&parts.accumulator);
            let result = self.step(parts.result)?;
            self.scopes.truncate(depth);
            return Ok(self.add(Step::Bind { variable, init, result }));
        }
        let init = self.step(parts.init)?;
        let accumulator = self.slot(&parts.accumulator);
        let variable = self.slot(&parts.variable);
        let second_variable = parts.second_variable.as_ref().map(|name| self.slot(name));
        let condition = self.step(parts.condition)?;
        let step = self.step(parts.step)?;
        self.mark_in_place(step, accumulator);
        self.scopes.truncate(depth + 1);
        let result = self.step(parts.result)?;
        self.scopes.truncate(depth);
        Ok(self.add(Step::Fold(Box::new(Fold {
            range,
            variable,
            second_variable,
            accumulator,
            init,
            condition,
            step,
            result,
        }))))
    }

    /// The call that adds to the accumulator, directly or in a branch, may take it out of its place.
    fn mark_in_place(&mut self, step: StepId, slot: usize) {
        let call = match &self.steps[step.index()] {
            Step::Attribute { base: Base::Conditional { yes, .. }, qualifiers, .. } if qualifiers.is_empty() => *yes,
            _ => step,
        };
        let Step::Call(Call { function, args, .. }) = &self.steps[call.index()] else { return };
        let is_adding = matches!(&*function.name, operator::ADD | operator::MAP_INSERT);
        let first_is_accumulator = args.first().is_some_and(|first| {
            matches!(
                &self.steps[first.index()],
                Step::Attribute { base: Base::Local(local), qualifiers, .. } if *local == slot && qualifiers.is_empty()
            )
        });
        if is_adding
            && first_is_accumulator
            && let Step::Call(call) = &mut self.steps[call.index()]
        {
            call.accumulator = Some(slot);
        }
    }
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(truth) => Value::Bool(*truth),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::String(Text::Shared(text.clone())),
        Literal::Bytes(bytes) => Value::Bytes(Bytes::Decoded(bytes.clone())),
    }
}
