//! What of some rules somebody does not hold. Pure.
//!
//! A rule of some kilobytes allows millions of single things: each of its groups with each resource, verb and name. They are
//! looked at one by one, and for what strangers send there is a bound on both the work and the answer.
//! Upstream: k8s.io/component-helpers/auth/rbac/validation `Covers` (v1.35), which has no bound.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
};

use corten_apimachinery::value::Str;

use super::rule::Rule;

/// So many missing parts are told: the largest of the built-in roles has about two thousand.
const MISSING_MAX: usize = 5_000;

/// So many texts are compared for one request: some tenths of a second. A role of a thousand resources needs about a
/// tenth of it.
const COMPARISONS_MAX: u64 = 20_000_000;

/// So many take about a millisecond, and do for nearly all roles.
const FEW_COMPARISONS: u64 = 50_000;

/// To make a part takes as long as so many comparisons.
const PART_COMPARISONS: u64 = 20;

/// What was found to be missing.
#[derive(Debug, Default, PartialEq)]
pub struct Missing {
    /// Rules about one thing each.
    pub rules: Vec<Rule>,
    /// Whether there is nothing else; if not, there were too many, or too many to look at.
    pub is_all: bool,
}

/// Those parts of `wanted` that `held` does not cover. For what this program itself wants: without a bound.
#[must_use]
pub fn missing(held: &[impl Borrow<Rule>], wanted: &[Rule]) -> Vec<Rule> {
    Search { missing_max: usize::MAX, comparisons_left: u64::MAX }.run(held, wanted).rules
}

/// `missing` as far as is bearable for what a user wants.
#[must_use]
pub fn missing_bounded(held: &[impl Borrow<Rule>], wanted: &[Rule]) -> Missing {
    Search { missing_max: MISSING_MAX, comparisons_left: COMPARISONS_MAX }.run(held, wanted)
}

/// `missing_bounded` if that is little work; else nothing, and it is to be done where it holds up nobody.
#[must_use]
pub(super) fn missing_at_once(held: &[impl Borrow<Rule>], wanted: &[Rule]) -> Option<Missing> {
    let mut search = Search { missing_max: MISSING_MAX, comparisons_left: FEW_COMPARISONS };
    let missing = search.find(held, wanted);
    (missing.is_all || search.comparisons_left > 0).then_some(missing)
}

#[derive(Debug)]
struct Search {
    missing_max: usize,
    comparisons_left: u64,
}

impl Search {
    fn run(mut self, held: &[impl Borrow<Rule>], wanted: &[Rule]) -> Missing {
        self.find(held, wanted)
    }

    fn find(&mut self, held: &[impl Borrow<Rule>], wanted: &[Rule]) -> Missing {
        let mut missing = Missing::default();
        missing.is_all = wanted.iter().all(|rule| self.add(held, rule, &mut missing.rules));
        missing
    }

    /// Adds what of `rule` is missing. Returns whether there may be a next one.
    fn add(&mut self, held: &[impl Borrow<Rule>], rule: &Rule, missing: &mut Vec<Rule>) -> bool {
        // Who holds nothing of a group covers nothing in it: mostly few rules are left.
        let mut near = Vec::new();
        for own in held {
            let own: &Rule = own.borrow();
            if !self.may_compare(own.comparisons_of_places(rule)) {
                return false;
            }
            if own.is_near(rule) {
                near.push(own);
            }
        }
        for own in &near {
            if !self.may_compare(own.comparisons(rule)) {
                return false;
            }
            // As is mostly so.
            if own.covers(rule) {
                return true;
            }
        }
        for part in rule.parts() {
            let mut is_held = false;
            if !self.may_compare(PART_COMPARISONS) {
                return false;
            }
            for own in &near {
                if !self.may_compare(own.comparisons(&part)) {
                    return false;
                }
                is_held = own.covers(&part);
                if is_held {
                    break;
                }
            }
            if !is_held {
                if missing.len() == self.missing_max {
                    return false;
                }
                missing.push(part);
            }
        }
        true
    }

    fn may_compare(&mut self, texts: u64) -> bool {
        let left = self.comparisons_left.checked_sub(texts);
        // At zero no more is compared, also where the next would cost less than this one.
        self.comparisons_left = left.unwrap_or_default();
        left.is_some()
    }
}

/// Puts rules about the same resource together, in the order in which resources first appear.
#[must_use]
pub fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut known: HashMap<_, (usize, HashSet<Str>)> = HashMap::new();
    let mut compacted: Vec<Rule> = Vec::new();
    for mut rule in rules {
        let Some(subject) = rule.subject() else {
            compacted.push(rule);
            continue;
        };
        if let Some((index, seen)) = known.get_mut(&subject) {
            rule.verbs.retain(|verb| seen.insert(verb.clone()));
            compacted[*index].verbs.append(&mut rule.verbs);
        } else {
            known.insert(subject, (compacted.len(), rule.verbs.iter().cloned().collect()));
            compacted.push(rule);
        }
    }
    compacted
}
