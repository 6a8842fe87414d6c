//! Figures of several runs as a table.

use std::{collections::BTreeMap, fmt, fs};

/// The figures of one benchmark, in the order in which they were first named.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    runs: usize,
    order: Vec<String>,
    figures: BTreeMap<String, Figure>,
}

#[derive(Debug)]
struct Figure {
    unit: &'static str,
    budget: Option<f64>,
    values: Vec<f64>,
}

impl Report {
    pub(crate) fn new(name: &'static str, runs: usize) -> Self {
        Self { name, runs, order: Vec::new(), figures: BTreeMap::new() }
    }

    /// Adds one run's value; `budget` is what the design wants it to be.
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: &'static str, value: f64, budget: Option<f64>) {
        let what = what.into();
        if !self.figures.contains_key(&what) {
            self.order.push(what.clone());
        }
        self.figures.entry(what).or_insert(Figure { unit, budget, values: Vec::new() }).values.push(value);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown");
        writeln!(f, "{}: {} runs, load {load} afterwards", self.name, self.runs)?;
        writeln!(f, "| what | unit | median | least | most | budget |")?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: | ---: |")?;
        for what in &self.order {
            let Figure { unit, budget, values } = &self.figures[what];
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
            let budget = budget.map_or_else(|| "-".to_owned(), number);
            let median = number(median(&sorted));
            writeln!(f, "| {what} | {unit} | {median} | {} | {} | {budget} |", number(least), number(most))?;
        }
        Ok(())
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Three digits that count.
fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else if value.abs() >= 1.0 {
        2
    } else {
        4
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_the_median_and_its_neighbours() {
        let mut report = Report::new("example", 3);
        for value in [3.0, 1.0, 200.0] {
            report.add("a", "ms", value, Some(2.0));
        }
        let text = report.to_string();
        assert!(text.contains("| a | ms | 3.00 | 1.00 | 200 | 2.00 |"), "{text}");
    }
}
