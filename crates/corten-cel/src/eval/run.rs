//! Going through a plan.
//!
//! Depth of recursion is that of the tree, which the parser bounds.
//!
//! Upstream: cel-go interpreter/{interpretable,runtimecost}.go (v0.26.0).

use std::sync::Arc;

use super::{
    Activation, Context,
    plan::{Base, Call, Fold, Plan, Step, StepId},
};
use crate::{
    cost::actual,
    error::EvalError,
    value::{Key, List, ListEquality, Map, Value, map_entries, merge_lists},
};

/// A variable of a loop or of `cel.bind`.
enum Local<'a> {
    /// To be evaluated when it is first used.
    Waiting(StepId),
    Value(Value<'a>),
    /// A loop's result so far is an error, which a later turn may outweigh.
    Failed(EvalError),
}

/// Evaluates `plan`.
pub(crate) fn run<'a>(
    plan: &'a Plan,
    context: &mut Context<'_>,
    variables: &dyn Activation<'a>,
) -> Result<Value<'a>, EvalError> {
    let mut locals = Vec::with_capacity(plan.locals);
    locals.resize_with(plan.locals, || Local::Value(Value::Null));
    Run { steps: &plan.steps, context, variables, locals }.step(plan.root)
}

/// Evaluates one step that depends on nothing, and whose value depends on nothing of the plan.
pub(super) fn constant(steps: &[Step], id: StepId, context: &mut Context<'_>) -> Result<Value<'static>, EvalError> {
    let value = |id: &StepId| match &steps[id.index()] {
        Step::Constant(value) => Ok(value.clone()),
        _ => Err(EvalError::failed("not a constant")),
    };
    match &steps[id.index()] {
        Step::Constant(value) => Ok(value.clone()),
        Step::List(items) => items.iter().map(|(item, _)| value(item)).collect::<Result<Vec<_>, _>>().map(Value::list),
        Step::Map(entries) => {
            let mut pairs = Vec::with_capacity(entries.len());
            for (key, entry, _) in entries {
                pairs.push((value(key)?, value(entry)?));
            }
            map_entries(pairs).map(|entries| Value::Map(Map::of(entries)))
        }
        Step::Call(call) => {
            let args = call.args.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            call.function.call(call.overload, call.member, context, &args)
        }
        _ => Err(EvalError::failed("not a constant")),
    }
}

pub(super) struct Run<'a, 'r, 'c> {
    steps: &'a [Step],
    pub(super) context: &'r mut Context<'c>,
    pub(super) variables: &'r dyn Activation<'a>,
    locals: Vec<Local<'a>>,
}

impl<'a> Run<'a, '_, '_> {
    pub(super) fn get(&self, id: StepId) -> &'a Step {
        &self.steps[id.index()]
    }

    pub(super) fn step(&mut self, id: StepId) -> Result<Value<'a>, EvalError> {
        match self.get(id) {
            Step::Constant(value) => Ok(value.clone()),
            Step::Attribute { base, qualifiers, test_only } => self.attribute(base, qualifiers, *test_only, true),
            Step::And(left, right) => self.logic(*left, *right, false),
            Step::Or(left, right) => self.logic(*left, *right, true),
            Step::NotStrictlyFalse(value) => self.not_strictly_false(*value),
            Step::Call(call) => self.call(call),
            Step::IsOneOf { value, keys, doubles } => {
                let value = self.step(*value)?;
                let found = match (Key::sought(&value), &value) {
                    (Some(key), _) => keys.contains(&key),
                    (None, Value::Double(number)) => doubles.contains(number),
                    _ => false,
                };
                Ok(Value::Bool(found))
            }
            Step::List(elements) => self.list(elements),
            Step::Map(entries) => self.map(entries),
            Step::Object(fields) => self.object(fields),
            Step::Fold(fold) => self.fold(fold),
            Step::Bind { variable, init, result } => {
                self.locals[*variable] = Local::Waiting(*init);
                self.step(*result)
            }
        }
    }

    /// A step whose cost is that of the attribute around it.
    pub(super) fn within_attribute(&mut self, id: StepId) -> Result<Value<'a>, EvalError> {
        match self.get(id) {
            Step::Attribute { base, qualifiers, test_only: false } => self.attribute(base, qualifiers, false, false),
            _ => self.step(id),
        }
    }

    pub(super) fn local(&mut self, slot: usize) -> Result<Value<'a>, EvalError> {
        match &self.locals[slot] {
            Local::Value(value) => Ok(value.clone()),
            Local::Failed(error) => Err(error.clone()),
            Local::Waiting(init) => {
                let value = self.step(*init)?;
                self.locals[slot] = Local::Value(value.clone());
                Ok(value)
            }
        }
    }

    /// `decisive || right`: the decisive value wins over errors, on either side.
    fn logic(&mut self, left: StepId, right: StepId, decisive: bool) -> Result<Value<'a>, EvalError> {
        let truth = |value: Result<Value<'a>, EvalError>| match value {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err(EvalError::no_such_overload()),
            Err(error) => Err(error),
        };
        let left = truth(self.step(left));
        match &left {
            Ok(truth) if *truth == decisive => return Ok(Value::Bool(decisive)),
            Err(error) if error.is_final() => return left.map(Value::Bool),
            _ => {}
        }
        match (left, truth(self.step(right))) {
            (_, Ok(truth)) if truth == decisive => Ok(Value::Bool(decisive)),
            (_, Err(error)) if error.is_final() => Err(error),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decisive)),
        }
    }

    fn not_strictly_false(&mut self, value: StepId) -> Result<Value<'a>, EvalError> {
        let value = match self.step(value) {
            Err(error) if error.is_final() => return Err(error),
            Ok(Value::Bool(truth)) => truth,
            _ => true,
        };
        self.context.charge(1)?;
        Ok(Value::Bool(value))
    }

    fn call(&mut self, call: &'a Call) -> Result<Value<'a>, EvalError> {
        let mut args = Vec::with_capacity(call.args.len());
        match call.accumulator {
            Some(slot) => {
                for arg in &call.args[1..] {
                    args.push(self.step(*arg)?);
                }
                self.context.charge(1)?;
                return self.add_in_place(call, slot, args);
            }
            None => {
                for arg in &call.args {
                    args.push(self.step(*arg)?);
                }
            }
        }
        let result = call.function.call(call.overload, call.member, self.context, &args);
        let cost = actual(call.only_overload(), &call.function, &args, result.as_ref().ok());
        self.context.charge(cost)?;
        result
    }

    /// Adds to a list or map that nobody else refers to, without copying it.
    fn add_in_place(&mut self, call: &'a Call, slot: usize, mut rest: Vec<Value<'a>>) -> Result<Value<'a>, EvalError> {
        let taken = std::mem::replace(&mut self.locals[slot], Local::Value(Value::Null));
        let accumulator = match taken {
            Local::Value(accumulator) => accumulator,
            Local::Failed(error) => return Err(error),
            Local::Waiting(_) => return Err(EvalError::no_such_overload()),
        };
        match (accumulator, rest.as_slice()) {
            (Value::List(list), [Value::List(_)]) => {
                self.context.charge(1)?;
                let Some(Value::List(added)) = rest.pop() else { return Err(EvalError::no_such_overload()) };
                list.concat(self.context, added).map(Value::List)
            }
            (Value::Map(map), added) => {
                self.context.charge(1)?;
                map.with(self.context, added).map(Value::Map)
            }
            (accumulator, _) => {
                let mut args = vec![accumulator];
                args.append(&mut rest);
                let result = call.function.call(call.overload, call.member, self.context, &args);
                let cost = actual(call.only_overload(), &call.function, &args, result.as_ref().ok());
                self.context.charge(cost)?;
                result
            }
        }
    }

    fn list(&mut self, elements: &'a [(StepId, bool)]) -> Result<Value<'a>, EvalError> {
        let mut items = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let value = self.step(*element)?;
            items.extend(present(value, *optional)?);
        }
        self.context.charge(LIST_COST)?;
        self.context.make_items(items.len())?;
        Ok(Value::list(items))
    }

    fn map(&mut self, entries: &'a [(StepId, StepId, bool)]) -> Result<Value<'a>, EvalError> {
        let mut pairs = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let key = self.step(*key)?;
            let value = self.step(*value)?;
            if let Some(value) = present(value, *optional)? {
                pairs.push((key, value));
            }
        }
        self.context.charge(MAP_COST)?;
        self.context.make_entries(pairs.len())?;
        Ok(Value::Map(Map::of(map_entries(pairs)?)))
    }

    fn object(&mut self, fields: &'a [(crate::value::Text<'static>, StepId, bool)]) -> Result<Value<'a>, EvalError> {
        let mut pairs = Vec::with_capacity(fields.len());
        for (name, value, optional) in fields {
            let value = self.step(*value)?;
            if let Some(value) = present(value, *optional)? {
                pairs.push((Value::String(name.clone()), value));
            }
        }
        self.context.charge(OBJECT_COST)?;
        self.context.make_entries(pairs.len())?;
        Ok(Value::Map(Map::of(map_entries(pairs)?)))
    }

    fn fold(&mut self, fold: &'a Fold) -> Result<Value<'a>, EvalError> {
        let range = self.step(fold.range)?;
        let init = self.step(fold.init)?;
        self.locals[fold.accumulator] = Local::Value(init);
        match range {
            Value::List(list) => {
                let indexed = fold.second_variable.is_some();
                for (index, item) in list.iter().enumerate() {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    let (first, second) = if indexed { (index, Some(item)) } else { (item, None) };
                    if !self.turn(fold, first, second)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for key in map.keys() {
                    let second = fold.second_variable.and_then(|_| map.get(&key));
                    if !self.turn(fold, key, second)? {
                        break;
                    }
                }
            }
            _ => return Err(EvalError::no_such_overload()),
        }
        self.step(fold.result)
    }

    /// One turn of a loop; whether it was gone on with.
    fn turn(&mut self, fold: &'a Fold, first: Value<'a>, second: Option<Value<'a>>) -> Result<bool, EvalError> {
        self.context.work(1)?;
        self.locals[fold.variable] = Local::Value(first);
        if let (Some(slot), Some(second)) = (fold.second_variable, second) {
            self.locals[slot] = Local::Value(second);
        }
        let go_on = self.step(fold.condition)?;
        if !matches!(go_on, Value::Bool(true)) {
            return Ok(false);
        }
        self.locals[fold.accumulator] = match self.step(fold.step) {
            Ok(value) => Local::Value(value),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => Local::Failed(error),
        };
        Ok(true)
    }

    /// Evaluates what an attribute begins with.
    pub(super) fn base(&mut self, base: &'a Base) -> Result<Value<'a>, EvalError> {
        match base {
            Base::Local(slot) => self.local(*slot),
            Base::Global(names) => names
                .iter()
                .find_map(|name| self.variables.variable(name))
                .unwrap_or_else(|| Err(EvalError::no_such_attribute(&names[0]))),
            Base::Step(step) => self.step(*step),
            Base::Conditional { condition, yes, no } => match self.step(*condition)? {
                Value::Bool(true) => self.within_attribute(*yes),
                Value::Bool(false) => self.within_attribute(*no),
                _ => Err(EvalError::no_such_overload()),
            },
        }
    }
}

/// What making a list costs, as upstream.
pub(crate) const LIST_COST: u64 = 10;

/// What making a map costs, as upstream.
pub(crate) const MAP_COST: u64 = 30;

/// What making an object costs, as upstream.
pub(crate) const OBJECT_COST: u64 = 40;

/// What is in an optional entry; `None` if nothing is.
fn present<'a>(value: Value<'a>, optional: bool) -> Result<Option<Value<'a>>, EvalError> {
    match value {
        value if !optional => Ok(Some(value)),
        Value::Optional(value) => Ok(value.map(Arc::unwrap_or_clone)),
        other => Err(EvalError::failed(format!(
            "cannot initialize optional entry from non-optional value {}",
            other.runtime_type()
        ))),
    }
}

/// The sum of two lists.
pub(crate) fn add_lists<'a>(
    context: &mut Context<'_>,
    left: &List<'a>,
    right: &List<'a>,
) -> Result<Value<'a>, EvalError> {
    match left.equality() {
        ListEquality::Atomic => left.clone().concat(context, right.clone()),
        equality => merge_lists(context, left, right, equality),
    }
    .map(Value::List)
}
