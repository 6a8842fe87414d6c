//! Why a pod fits nowhere, in the words that users know.
//!
//! Upstream: pkg/scheduler/framework, FitError (v1.35).

use std::{collections::BTreeMap, fmt};

/// No node takes the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FitError {
    /// How many nodes there are.
    pub nodes: usize,
    /// How often each reason was given.
    pub reasons: BTreeMap<String, usize>,
    /// The reason that holds for all nodes at once; empty for none.
    pub pre_filter_message: String,
    /// What came of making room; empty for nothing.
    pub post_filter_message: String,
}

impl FitError {
    /// Counts the reasons of one node.
    pub fn count<'r>(&mut self, reasons: impl IntoIterator<Item = &'r str>, times: usize) {
        for reason in reasons {
            match self.reasons.get_mut(reason) {
                Some(count) => *count += times,
                None => drop(self.reasons.insert(reason.to_owned(), times)),
            }
        }
    }
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0/{} nodes are available:", self.nodes)?;
        if self.pre_filter_message.is_empty() {
            let mut reasons: Vec<_> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            // By text, as upstream: "10 ..." comes before "2 ...".
            reasons.sort();
            if !reasons.is_empty() {
                write!(f, " {}.", reasons.join(", "))?;
            }
        } else {
            write!(f, " {}.", self.pre_filter_message)?;
        }
        if !self.post_filter_message.is_empty() {
            write!(f, " {}", self.post_filter_message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FitError {}

#[cfg(test)]
mod tests {
    use super::FitError;

    #[test]
    fn reasons_are_counted_and_sorted_by_text() {
        let mut error = FitError { nodes: 12, ..FitError::default() };
        error.count(["Insufficient cpu", "Too many pods"], 10);
        error.count(["Insufficient memory"], 2);
        error.post_filter_message = "preemption: none.".to_owned();
        assert_eq!(
            error.to_string(),
            "0/12 nodes are available: 10 Insufficient cpu, 10 Too many pods, 2 Insufficient memory. preemption: none."
        );
    }

    #[test]
    fn a_reason_for_all_nodes_replaces_the_counts() {
        let error = FitError { nodes: 1, pre_filter_message: "it cannot".to_owned(), ..FitError::default() };
        assert_eq!(error.to_string(), "0/1 nodes are available: it cannot.");
    }
}
