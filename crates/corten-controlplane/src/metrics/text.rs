//! Metrics as text, format 0.0.4.

use std::fmt::Write as _;

/// Metrics, family after family.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One number of the family; `suffix` is `_bucket`, `_sum`, `_count` or nothing.
    pub(super) fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let family = self.family;
        self.put(format_args!("{family}{suffix}"));
        for (index, (name, value)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            self.put(format_args!("{separator}{name}=\"{value}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{end} {value}\n"));
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.text
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a string does not fail");
    }
}

/// A count as metrics have it.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point numbers; counts below 2^53 are exact")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
