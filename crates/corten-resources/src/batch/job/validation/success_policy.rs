//! Rules of when an indexed job has succeeded before all its indexes have.

use corten_api::batch::v1::{SuccessPolicy, SuccessPolicyRule};
use corten_apimachinery::field::{Error, ErrorList, Path};

use super::indexes;
use crate::{report::Report, view::each_of};

const RULES_MAX: usize = 20;
/// The longest list of indexes.
const INDEXES_BYTES_MAX: usize = 64 * 1024;

/// The rules of `policy` at `path`. Without a number of completions there is nothing to compare with; that it is missing is
/// reported elsewhere.
pub(super) fn check(policy: &SuccessPolicy, completions: Option<i32>, path: &Path, errors: &mut ErrorList) {
    let rules_at = path.child("rules");
    if policy.rules.is_empty() {
        errors.required(&rules_at, "at least one rules must be specified when the successPolicy is specified");
    }
    if policy.rules.len() > RULES_MAX {
        errors.push_with(|| Error::too_many(&rules_at, policy.rules.len(), RULES_MAX));
    }
    for (at, one) in each_of(&policy.rules, &rules_at) {
        rule(one, completions, &at, errors);
    }
}

fn rule(rule: &SuccessPolicyRule, completions: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = 0;
    if let Some(text) = &rule.succeeded_indexes {
        let at = path.child("succeededIndexes");
        if text.len() > INDEXES_BYTES_MAX {
            errors.push_with(|| Error::too_long(&at, INDEXES_BYTES_MAX));
        }
        match completions.map(|completions| indexes::count(text, completions)) {
            Some(Ok(count)) => total = count,
            Some(Err(why)) => {
                errors.invalid(&at, text.as_str(), format!("error parsing succeededIndexes: {why}"));
            }
            None => {}
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let at = path.child("succeededCount");
    errors.non_negative(&at, count.into());
    if let Some(completions) = completions.filter(|&completions| count > completions) {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(&at, count, detail);
    }
    if completions.is_some() && rule.succeeded_indexes.is_some() && i64::from(count) > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(&at, count, detail);
    }
}
