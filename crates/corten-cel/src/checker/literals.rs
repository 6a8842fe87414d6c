//! Constants that a function could not read: durations, timestamps, patterns.
//!
//! Upstream: cel-go cel/validator.go (v0.26.0), as k8s.io/apiserver/pkg/cel/environment/base.go enables them (v1.35).

use super::Checker;
use crate::{
    library::Patterns,
    syntax::{Literal, Node},
    value::{Duration, Timestamp},
};

pub(super) fn check(checker: &mut Checker<'_>, patterns: &mut Patterns) {
    if !checker.declarations.literal_checks {
        return;
    }
    let ast = checker.ast;
    let mut wrong = Vec::new();
    for node in ast.nodes() {
        let Node::Call { function, args, .. } = node else { continue };
        let [argument, ..] = args.as_slice() else { continue };
        let Node::Literal(Literal::String(text)) = ast.node(*argument) else { continue };
        let readable = match &**function {
            "duration" => Duration::parse(text).is_some(),
            "timestamp" => Timestamp::parse(text).is_some(),
            "matches" => patterns.compiled(text).is_ok(),
            _ => true,
        };
        if !readable {
            wrong.push((*argument, format!("invalid {function} argument")));
        }
    }
    for (at, message) in wrong {
        checker.report(at, message);
    }
}
