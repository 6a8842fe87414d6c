//! Whether one type goes where another is wanted, and what that says of type parameters.
//!
//! Upstream: cel-go checker/{types,mapping}.go (v0.26.0).

use std::{collections::BTreeMap, sync::Arc};

use super::Type;

/// What is known of type parameters.
///
/// Tries are undone by the record of what they changed, so that a failed one costs what it did and not what is known.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    known: BTreeMap<Arc<str>, Type>,
    undo: Vec<(Arc<str>, Option<Type>)>,
    steps: usize,
}

/// Steps of one attempt. Types of honest expressions are small; those that double with every line are not looked through.
const STEPS_MAX: usize = 100_000;

/// The largest type that comes out of a substitution.
const SUBSTITUTED_MAX: usize = 2 * SIZE_MAX;

/// The largest type of an expression. Variables let a type double with each line of an expression; this is far above what
/// anybody writes.
pub(crate) const SIZE_MAX: usize = 1_000;

impl Mapping {
    /// Whether `from` can be assigned to `to`; if not, nothing is changed.
    pub(crate) fn assignable(&mut self, from: &Type, to: &Type) -> bool {
        self.assignable_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    /// Whether each of `from` can be assigned to its counterpart in `to`; if not, nothing is changed.
    pub(crate) fn assignable_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        self.undo.clear();
        self.steps = 0;
        let fits = self.try_all(from, to);
        if !fits {
            for (parameter, before) in self.undo.drain(..).rev() {
                match before {
                    Some(before) => self.known.insert(parameter, before),
                    None => self.known.remove(&parameter),
                };
            }
        }
        fits
    }

    fn set(&mut self, parameter: &Arc<str>, to: Type) {
        let before = self.known.insert(parameter.clone(), to);
        self.undo.push((parameter.clone(), before));
    }

    fn try_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.attempt(from, to))
    }

    fn attempt(&mut self, from: &Type, to: &Type) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        if let Type::Param(parameter) = to {
            match self.substitution(from, parameter) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if let Type::Param(parameter) = from {
            return self.substitution(to, parameter).0;
        }
        if from.is_dyn_or_error() || to.is_dyn_or_error() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::Nullable(from), Type::Nullable(to)) => from == to,
            (Type::Nullable(from), to) => self.attempt(from, to),
            (from, Type::Nullable(to)) => from == &**to,
            (Type::List(from), Type::List(to)) => self.attempt(from, to),
            (Type::Map(from), Type::Map(to)) => self.attempt(&from.0, &to.0) && self.attempt(&from.1, &to.1),
            (Type::Opaque(a, from), Type::Opaque(b, to)) => a == b && self.try_all(from, to),
            // What a type is the type of has no part in calls.
            (Type::Type(_), Type::Type(_)) => true,
            (from, to) => from == to,
        }
    }

    /// Whether `parameter` can stand for `other`, and whether it stood for something before.
    fn substitution(&mut self, other: &Type, parameter: &Arc<str>) -> (bool, bool) {
        if matches!(other, Type::Param(same) if same == parameter) {
            return (true, true);
        }
        if let Some(known) = self.known.get(parameter).cloned() {
            if *other == known {
                return (true, true);
            }
            if !self.attempt(other, &known) {
                return (false, true);
            }
            let general = most_general(other, &known);
            if !self.occurs(parameter, &general) {
                self.set(parameter, general);
            }
            return (true, true);
        }
        if self.occurs(parameter, other) {
            return (false, false);
        }
        self.set(parameter, other.clone());
        (true, false)
    }

    fn occurs(&mut self, parameter: &Arc<str>, within: &Type) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return true;
        }
        match within {
            Type::Param(name) if name == parameter => true,
            Type::Param(name) => match self.known.get(name).cloned() {
                Some(known) => self.occurs(parameter, &known),
                None => false,
            },
            Type::Nullable(of) | Type::List(of) => self.occurs(parameter, of),
            Type::Map(entries) => self.occurs(parameter, &entries.0) || self.occurs(parameter, &entries.1),
            Type::Opaque(_, parameters) => parameters.iter().any(|within| self.occurs(parameter, within)),
            _ => false,
        }
    }

    /// `of` with what is known put in; what is not known becomes dyn if `rest_is_dyn`, and so does what makes it too large.
    pub(crate) fn substitute(&self, of: &Type, rest_is_dyn: bool) -> Type {
        self.substitute_within(of, rest_is_dyn, &mut { SUBSTITUTED_MAX })
    }

    fn substitute_within(&self, of: &Type, rest_is_dyn: bool, budget: &mut usize) -> Type {
        let Some(left) = budget.checked_sub(1) else { return Type::Dyn };
        *budget = left;
        let mut inner = |of: &Type| self.substitute_within(of, rest_is_dyn, budget);
        match of {
            Type::Param(name) => match self.known.get(name) {
                Some(known) => inner(known),
                None if rest_is_dyn => Type::Dyn,
                None => of.clone(),
            },
            Type::List(items) => Type::list(inner(items)),
            Type::Map(entries) => Type::map(inner(&entries.0), inner(&entries.1)),
            Type::Opaque(name, parameters) if !parameters.is_empty() => {
                Type::Opaque(name.clone(), parameters.iter().map(inner).collect())
            }
            Type::Type(Some(of)) => Type::of_type(inner(of)),
            _ => of.clone(),
        }
    }
}

/// Whether null goes where this is wanted.
fn is_nullable(of: &Type) -> bool {
    matches!(of, Type::Null | Type::Opaque(..) | Type::Object(_) | Type::Nullable(_) | Type::Timestamp | Type::Duration)
}

/// Of two types that go together, the one that says less.
pub(crate) fn most_general(a: &Type, b: &Type) -> Type {
    if says_at_most(a, b) { a.clone() } else { b.clone() }
}

fn says_at_most(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Any | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Any | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) => says_at_most(a, b),
        (Type::Map(a), Type::Map(b)) => says_at_most(&a.0, &b.0) && says_at_most(&a.1, &b.1),
        (Type::Opaque(a, a_parameters), Type::Opaque(b, b_parameters)) => {
            a == b
                && a_parameters.len() == b_parameters.len()
                && a_parameters.iter().zip(b_parameters.iter()).all(|(a, b)| says_at_most(a, b))
        }
        (Type::Type(_), Type::Type(_)) => true,
        // Null goes with what may be null, which says less.
        (Type::Null, other) => *other == Type::Null,
        (_, Type::Null) => true,
        (Type::Nullable(a), Type::Nullable(b)) => a == b,
        (Type::Nullable(a), b) => &**a == b,
        (a, b) => a == b,
    }
}
