//! `anyOf`, `oneOf`, `allOf` and `not`.

use super::{
    Validator,
    node::Node,
    outcome::{At, Failure, Kind, Outcome},
};
use crate::{
    field::quote,
    schema::{Correlation, NestedValueValidation, ValueValidation},
    value::Value,
};

impl Validator {
    /// Holds a value against all junctors of one schema. Of branches that fail, the one that fits best is shown.
    pub(super) fn junctors(
        &mut self,
        validation: &ValueValidation,
        value: &Value,
        at: &At<'_>,
        correlation: Option<Correlation<'_>>,
    ) -> Outcome {
        let mut outcome = Outcome { failures: Vec::new(), matches: 1 };
        let junctor = |message: String| Failure {
            path: String::new(),
            message: format!("{} must {message}", quote(&at.render())),
            kind: Kind::Junctor,
        };
        if !validation.any_of.is_empty() {
            let (valid, shown) = self.branches(&validation.any_of, value, at, correlation, true);
            if valid == 0 {
                outcome.fail(junctor("validate at least one schema (anyOf)".to_owned()));
            }
            outcome.merge(shown);
        }
        if !validation.one_of.is_empty() {
            let (valid, shown) = self.branches(&validation.one_of, value, at, correlation, false);
            if valid != 1 {
                let found = match valid {
                    0 => "Found none valid".to_owned(),
                    valid => format!("Found {valid} valid alternatives"),
                };
                outcome.fail(junctor(format!("validate one and only one schema (oneOf). {found}")));
            }
            if valid < 2 {
                outcome.merge(shown);
            }
        }
        if !validation.all_of.is_empty() {
            let mut valid = 0;
            for clause in &validation.all_of {
                let branch = self.node(Node::Nested(clause), value, at, correlation);
                valid += usize::from(branch.is_valid());
                outcome.merge(branch);
            }
            if valid < validation.all_of.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                outcome.fail(junctor(format!("validate all the schemas (allOf){none}")));
            }
        }
        if let Some(clause) = &validation.not
            && self.node(Node::Nested(clause), value, at, correlation).is_valid()
        {
            outcome.fail(junctor("not validate the schema (not)".to_owned()));
        }
        outcome
    }

    /// How many branches hold, and the outcome to show: of the first that holds, or of the best that does not.
    fn branches(
        &mut self,
        clauses: &[NestedValueValidation],
        value: &Value,
        at: &At<'_>,
        correlation: Option<Correlation<'_>>,
        ends_at_first: bool,
    ) -> (usize, Outcome) {
        let (mut valid, mut first_valid, mut best): (usize, Option<Outcome>, Option<Outcome>) = (0, None, None);
        for clause in clauses {
            let branch = self.node(Node::Nested(clause), value, at, correlation);
            if branch.is_valid() {
                valid += 1;
                first_valid.get_or_insert(branch);
                if ends_at_first {
                    break;
                }
            } else if valid == 0 && best.as_ref().is_none_or(|best| branch.matches > best.matches) {
                best = Some(branch);
            }
        }
        (valid, first_valid.or(best).unwrap_or_default())
    }
}
