//! The requirements of a selector, put together by key: what a label must be is asked once, however often it was said.
//!
//! Invariant: a match looks at no more keys than the selector has, and at no more than there are labels; per key it takes
//! as many steps as the number of values has digits. Selectors come from clients, and are tried on every object and event.

use std::cmp::Ordering;

use super::{Operator, Requirement};
use crate::value::Str;

/// What the labels of one object must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Matcher {
    /// Sorted by key, one for each.
    rules: Vec<Rule>,
    /// How many of the rules need a label.
    needed: usize,
}

/// What the label of one key must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    key: Str,
    /// Whether there may be no label.
    may_lack: bool,
    /// Whether there may be one.
    may_have: bool,
    /// What it may be; anything, for `None`. Sorted.
    allowed: Option<Vec<Str>>,
    /// What it may not be. Sorted.
    forbidden: Vec<Str>,
    /// It is an integer above this one.
    above: Option<i64>,
    /// It is an integer below this one.
    below: Option<i64>,
}

impl Rule {
    fn any(key: Str) -> Self {
        Self { key, may_lack: true, may_have: true, allowed: None, forbidden: Vec::new(), above: None, below: None }
    }

    fn add(&mut self, requirement: &Requirement) {
        match requirement.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => {
                self.may_lack = false;
                match &mut self.allowed {
                    Some(allowed) => allowed.retain(|value| requirement.has_value(value)),
                    None => self.allowed = Some(requirement.values.clone()),
                }
            }
            Operator::NotIn | Operator::NotEquals => self.forbidden.extend_from_slice(&requirement.values),
            Operator::Exists => self.may_lack = false,
            Operator::DoesNotExist => self.may_have = false,
            Operator::GreaterThan | Operator::LessThan => {
                self.may_lack = false;
                match requirement.bound() {
                    Some(bound) if requirement.operator == Operator::GreaterThan => {
                        self.above = self.above.max(Some(bound));
                    }
                    Some(bound) => self.below = Some(self.below.map_or(bound, |below| below.min(bound))),
                    None => self.may_have = false,
                }
            }
        }
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let Some(label) = label else { return self.may_lack };
        self.may_have
            && self.allowed.as_ref().is_none_or(|allowed| has(allowed, label))
            && !has(&self.forbidden, label)
            && ((self.above, self.below) == (None, None)
                || label.parse::<i64>().is_ok_and(|number| {
                    self.above.is_none_or(|above| number > above) && self.below.is_none_or(|below| number < below)
                }))
    }
}

/// Whether `value` is among `sorted`.
pub(super) fn has(sorted: &[Str], value: &str) -> bool {
    sorted.binary_search_by(|candidate| candidate.as_str().cmp(value)).is_ok()
}

impl Matcher {
    /// Of requirements that are sorted by key.
    pub(super) fn new(requirements: &[Requirement]) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        for same in requirements.chunk_by(|a, b| a.key == b.key) {
            let mut rule = Rule::any(same[0].key.clone());
            same.iter().for_each(|requirement| rule.add(requirement));
            rule.forbidden.sort_unstable();
            rules.push(rule);
        }
        let needed = rules.iter().filter(|rule| !rule.may_lack).count();
        Self { rules, needed }
    }

    /// How many keys are asked for.
    pub(super) fn keys(&self) -> usize {
        self.rules.len()
    }

    /// Whether an object is meant whose labels `get` tells.
    pub(super) fn matches_by<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.rules.iter().all(|rule| rule.matches(get(&rule.key)))
    }

    /// Whether an object is meant that has these `count` labels, each key once; `get` finds one of them.
    pub(super) fn matches<'a>(
        &self,
        count: usize,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        get: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        if count >= self.rules.len() {
            return self.matches_by(get);
        }
        let mut met = 0;
        for (key, label) in labels {
            let compare = |rule: &Rule| -> Ordering { rule.key.as_str().cmp(key) };
            let Ok(at) = self.rules.binary_search_by(compare) else { continue };
            let rule = &self.rules[at];
            if !rule.matches(Some(label)) {
                return false;
            }
            met += usize::from(!rule.may_lack);
        }
        met == self.needed
    }
}
