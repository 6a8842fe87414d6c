//! Finds what templates say.

use std::{borrow::Cow, cmp::Ordering};

use super::node::{Node, Operator, Slice, SliceEnd};
use crate::{stack, value::Value};

/// How many values a template may find on its way: unions multiply them.
const FOUND_MAX: usize = 100_000;
/// How deep ranges may be nested.
const RANGES_MAX: usize = 16;

/// Why a template finds nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(String);

type Result<T> = std::result::Result<T, EvalError>;
type Found<'v> = Vec<Cow<'v, Value>>;

fn fail<T>(reason: impl Into<String>) -> Result<T> {
    Err(EvalError(reason.into()))
}

pub(super) fn find<'v>(nodes: &'v [Node], object: &'v Value, allow_missing_keys: bool) -> Result<Vec<Found<'v>>> {
    let mut evaluation = Evaluation { allow_missing_keys, begins: 0, ends: 0, in_ranges: 0, left: FOUND_MAX };
    let (results, _) = evaluation.parts(nodes, 0, Cow::Borrowed(object))?;
    Ok(results)
}

struct Evaluation {
    allow_missing_keys: bool,
    /// Ranges that the last part has begun and ended, and those that are open.
    begins: usize,
    ends: usize,
    in_ranges: usize,
    left: usize,
}

impl Evaluation {
    /// Evaluates the parts from `start` to the end of the range that they are in; returns where that is.
    fn parts<'v>(&mut self, nodes: &'v [Node], start: usize, value: Cow<'v, Value>) -> Result<(Vec<Found<'v>>, usize)> {
        let mut all = Vec::new();
        let mut at = start;
        while let Some(node) = nodes.get(at) {
            let found = self.step(vec![value.clone()], node)?;
            if self.ends > 0 && self.ends <= self.in_ranges {
                self.ends -= 1;
                return Ok((all, at));
            }
            if self.begins > 0 {
                self.begins -= 1;
                self.in_ranges += 1;
                if self.in_ranges > RANGES_MAX {
                    return fail("ranges are nested too deeply");
                }
                let mut end = nodes.len();
                if found.is_empty() {
                    // The range has to be passed nevertheless.
                    end = self.parts(nodes, at + 1, Cow::Owned(Value::Null))?.1;
                }
                for value in found {
                    let (results, behind) = self.parts(nodes, at + 1, value)?;
                    all.extend(results);
                    end = behind;
                }
                self.in_ranges -= 1;
                at = end + 1;
                continue;
            }
            all.push(found);
            at += 1;
        }
        Ok((all, nodes.len()))
    }

    fn list<'v>(&mut self, input: Found<'v>, nodes: &'v [Node]) -> Result<Found<'v>> {
        nodes.iter().try_fold(input, |found, node| self.step(found, node))
    }

    fn step<'v>(&mut self, input: Found<'v>, node: &'v Node) -> Result<Found<'v>> {
        let found = match node {
            Node::Text(text) => vec![Cow::Owned(Value::String(text.clone()))],
            Node::Action(nodes) => self.list(input, nodes)?,
            Node::Field(name) => self.field(input, name)?,
            Node::Slice(slice) => self.items(input, *slice)?,
            Node::Filter { left, operator, right } => self.filter(input, left, operator, right)?,
            Node::Union(paths) => {
                let mut found = Vec::new();
                for path in paths {
                    found.extend(self.list(input.clone(), path)?);
                }
                found
            }
            Node::Wildcard => {
                // Before they are made: the bytes of a text are dozens of times as large as the text.
                self.afford(input.iter().map(|value| length(value)).sum())?;
                input.iter().flat_map(children).collect()
            }
            Node::Recursive => {
                let mut found = Vec::new();
                for value in input {
                    self.descend(value, &mut found)?;
                }
                found
            }
            Node::Int(number) => input.iter().map(|_| Cow::Owned(Value::Int(*number))).collect(),
            Node::Float(number) => input.iter().map(|_| Cow::Owned(Value::Float(*number))).collect(),
            Node::Bool(truth) => input.iter().map(|_| Cow::Owned(Value::Bool(*truth))).collect(),
            Node::Identifier(word) => match word.as_str() {
                "range" => {
                    self.begins += 1;
                    input
                }
                "end" if self.in_ranges > 0 => {
                    self.ends += 1;
                    Vec::new()
                }
                "end" => return fail("not in range, nothing to end"),
                other => return fail(format!("unrecognized identifier {other}")),
            },
        };
        self.spend(found.len())?;
        Ok(found)
    }

    fn spend(&mut self, found: usize) -> Result<()> {
        self.afford(found)?;
        self.left -= found + 1;
        Ok(())
    }

    /// Whether so many can be found still, which are going to be spent when they are.
    fn afford(&self, found: usize) -> Result<()> {
        if found < self.left { Ok(()) } else { fail("template finds too much") }
    }

    fn field<'v>(&self, input: Found<'v>, name: &str) -> Result<Found<'v>> {
        let is_empty = input.is_empty();
        let found: Found<'v> = input.into_iter().filter_map(|value| get(value, name)).collect();
        if found.is_empty() && !is_empty && !self.allow_missing_keys {
            return fail(format!("{name} is not found"));
        }
        Ok(found)
    }

    fn filter<'v>(
        &mut self,
        input: Found<'v>,
        left: &'v [Node],
        operator: &Operator,
        right: &'v [Node],
    ) -> Result<Found<'v>> {
        let mut kept = Vec::new();
        for value in input {
            let Value::Array(_) = &*value else {
                return fail(format!("{} is not array or slice and cannot be filtered", value.type_name()));
            };
            for item in children(&value) {
                let lefts = self.list(vec![item.clone()], left);
                if *operator == Operator::Exists {
                    if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                        kept.push(item);
                    }
                    continue;
                }
                let lefts = lefts?;
                if lefts.is_empty() {
                    continue;
                }
                let rights = self.list(vec![item.clone()], right)?;
                match (lefts.as_slice(), rights.as_slice()) {
                    (_, []) => {}
                    ([left], [right]) => {
                        if holds(left, operator, right)? {
                            kept.push(item);
                        }
                    }
                    _ => return fail("can only compare one element at a time"),
                }
            }
        }
        Ok(kept)
    }

    fn items<'v>(&self, input: Found<'v>, slice: Slice) -> Result<Found<'v>> {
        let mut found = Vec::new();
        for value in input {
            let length = match &*value {
                Value::Null => continue,
                Value::Array(items) => i64::try_from(items.len()).unwrap_or(i64::MAX),
                other => return fail(format!("{} is not array or slice", other.type_name())),
            };
            let wanted = slice.start.unwrap_or(0);
            let start = if wanted < 0 { wanted.saturating_add(length) } else { wanted };
            let end = match slice.end {
                SliceEnd::Open => length,
                // The item before the first is the last.
                SliceEnd::BehindStart if wanted == -1 => length,
                SliceEnd::BehindStart if wanted < -1 => wanted.saturating_add(1).saturating_add(length),
                SliceEnd::BehindStart => wanted.saturating_add(1),
                SliceEnd::At(end) if end < 0 => end.saturating_add(length),
                SliceEnd::At(end) => end,
            };
            if start == end {
                return Ok(found);
            }
            if start >= length || start < 0 {
                return fail(format!("array index out of bounds: index {start}, length {length}"));
            }
            if end > length || end < 0 {
                return fail(format!("array index out of bounds: index {}, length {length}", end - 1));
            }
            if start > end {
                return fail(format!("starting index {start} is greater than ending index {end}"));
            }
            let step = match slice.step {
                Some(step) if step <= 0 => return fail("step must be > 0"),
                step => usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX),
            };
            let (skip, take) = (usize::try_from(start).unwrap_or(0), usize::try_from(end - start).unwrap_or(0));
            self.afford(found.len() + take.div_ceil(step))?;
            match value {
                Cow::Borrowed(Value::Array(items)) => {
                    found.extend(items[skip..skip + take].iter().step_by(step).map(Cow::Borrowed));
                }
                Cow::Owned(Value::Array(items)) => {
                    found.extend(items[skip..skip + take].iter().step_by(step).cloned().map(Cow::Owned));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The value and all in it that is not a number, a truth or nothing.
    fn descend<'v>(&mut self, value: Cow<'v, Value>, found: &mut Found<'v>) -> Result<()> {
        let inner = length(&value);
        if inner == 0 {
            return Ok(());
        }
        self.spend(1)?;
        if matches!(&*value, Value::String(_)) {
            found.push(value);
            return Ok(());
        }
        let inner = children(&value);
        found.push(value);
        for child in inner {
            stack::with_room(|| self.descend(child, found))?;
        }
        Ok(())
    }
}

fn get<'v>(value: Cow<'v, Value>, name: &str) -> Option<Cow<'v, Value>> {
    match value {
        Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
    }
}

/// How many values `children` has.
fn length(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

/// The fields of an object, the items of a list, the bytes of a text.
fn children<'v>(value: &Cow<'v, Value>) -> Found<'v> {
    #[cfg(test)]
    super::tests::count_children(length(value));
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.iter().map(|(_, value)| Cow::Borrowed(value)).collect(),
        Cow::Owned(Value::Array(items)) => items.iter().cloned().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.iter().map(|(_, value)| Cow::Owned(value.clone())).collect(),
        Cow::Borrowed(Value::String(text)) => text.bytes().map(|byte| Cow::Owned(Value::Int(byte.into()))).collect(),
        Cow::Owned(Value::String(text)) => text.bytes().map(|byte| Cow::Owned(Value::Int(byte.into()))).collect(),
        _ => Vec::new(),
    }
}

fn holds(left: &Value, operator: &Operator, right: &Value) -> Result<bool> {
    if let Operator::Other(signs) = operator {
        return fail(format!("unrecognized filter operator {signs}"));
    }
    let order = match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => match operator {
            Operator::Equal | Operator::NotEqual => left.cmp(right),
            _ => return fail("invalid type for comparison"),
        },
        (Value::Null | Value::Array(_) | Value::Object(_), _)
        | (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            return fail("invalid type for comparison");
        }
        _ => return fail("incompatible types for comparison"),
    };
    Ok(match operator {
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
        Operator::Exists | Operator::Other(_) => false,
    })
}
