//! Advice about jobs that are valid but will surprise somebody.
//!
//! Upstream: pkg/api/job/warnings.go (v1.35).

use corten_apimachinery::{Value, field::Path};

use crate::core::pod_spec::warnings;

/// Up to so many completions, a list of those that failed has room in the status.
const COMPLETIONS_MAX: i64 = 100_000;
/// So many pods at a time can leave a long list even then.
const PARALLELISM_MAX: i64 = 10_000;

/// Advice about the spec of a job at `path`.
pub(in crate::batch) fn spec(spec: &Value, path: &Path) -> Vec<String> {
    let number = |field: &str| spec.i64_at(&[field]).unwrap_or_default();
    let mut found = Vec::new();
    if spec.str_at(&["completionMode"]) == Some("Indexed")
        && number("completions") > COMPLETIONS_MAX
        && number("parallelism") > PARALLELISM_MAX
    {
        found.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    if let Some(template) = spec.get("template") {
        found.extend(warnings::of_template(template, &path.child("template")));
    }
    found
}
