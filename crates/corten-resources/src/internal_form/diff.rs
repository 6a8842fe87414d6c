//! The lines in which two texts differ, each change with three lines around it.
//!
//! The lines that stay are found as upstream's library finds them: the longest run of lines that both have comes first, then
//! what is before it and what is behind it in the same way. Lines that are very frequent start no run.
//! Upstream: `UnifiedDiff` of github.com/pmezard/go-difflib, by pkg/util/diff (v1.35).

use std::{collections::HashMap, fmt::Write as _};

/// Lines around a change.
const CONTEXT: usize = 3;
/// From so many lines on, a line that is more than each hundredth one is too frequent to start a run.
const POPULAR_FROM: usize = 200;
/// How many pairs of equal lines are looked at. Upstream looks at all; texts of thousands of lines have billions of pairs.
const PAIRS_MAX: usize = 4_000_000;

/// Lines that stay: where they are in the old and in the new text, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    old: usize,
    new: usize,
    len: usize,
}

/// What has to be done to the lines of the old text to get those of the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    stays: bool,
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
}

/// The difference of two texts; empty if there is none.
pub(super) fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut out = String::new();
    for group in groups(&steps(&old, &new)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let range = |start: usize, end: usize| match end - start {
            1 => format!("{}", start + 1),
            0 => format!("{start},0"),
            len => format!("{},{len}", start + 1),
        };
        let (was, is) = (range(first.old.start, last.old.end), range(first.new.start, last.new.end));
        let _ = writeln!(out, "@@ -{was} +{is} @@");
        for step in group {
            if step.stays {
                old[step.old.clone()].iter().for_each(|line| _ = writeln!(out, " {line}"));
                continue;
            }
            old[step.old.clone()].iter().for_each(|line| _ = writeln!(out, "-{line}"));
            new[step.new.clone()].iter().for_each(|line| _ = writeln!(out, "+{line}"));
        }
    }
    out
}

fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let (mut steps, mut at) = (Vec::new(), (0, 0));
    let end = Run { old: old.len(), new: new.len(), len: 0 };
    for run in runs(old, new).into_iter().chain([end]) {
        if at != (run.old, run.new) {
            steps.push(Step { stays: false, old: at.0..run.old, new: at.1..run.new });
        }
        at = (run.old + run.len, run.new + run.len);
        if run.len > 0 {
            steps.push(Step { stays: true, old: run.old..at.0, new: run.new..at.1 });
        }
    }
    steps
}

/// The changes with what is around them; two that are near each other are in one group.
fn groups(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut groups = vec![Vec::new()];
    let last = steps.len().saturating_sub(1);
    for (index, step) in steps.iter().enumerate() {
        let mut step = step.clone();
        if step.stays && index == 0 {
            let skipped = step.old.len().saturating_sub(CONTEXT);
            (step.old.start, step.new.start) = (step.old.start + skipped, step.new.start + skipped);
        }
        if step.stays && index == last {
            let kept = step.old.len().min(CONTEXT);
            (step.old.end, step.new.end) = (step.old.start + kept, step.new.start + kept);
        }
        if step.stays && step.old.len() > 2 * CONTEXT {
            let mut head = step.clone();
            (head.old.end, head.new.end) = (head.old.start + CONTEXT, head.new.start + CONTEXT);
            groups.last_mut().expect("there is one from the start").push(head);
            groups.push(Vec::new());
            (step.old.start, step.new.start) = (step.old.end - CONTEXT, step.new.end - CONTEXT);
        }
        groups.last_mut().expect("there is one from the start").push(step);
    }
    groups.retain(|group| group.iter().any(|step| !step.stays));
    groups
}

/// The lines that stay, in their order; neighbours are one run.
fn runs(old: &[&str], new: &[&str]) -> Vec<Run> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(index);
    }
    if new.len() >= POPULAR_FROM {
        places.retain(|_, indexes| indexes.len() <= new.len() / 100 + 1);
    }
    let mut search = Search { old, new, places, pairs_left: PAIRS_MAX, lengths: vec![0; new.len() + 1] };
    let mut found: Vec<Run> = Vec::new();
    let mut open = vec![(0..old.len(), 0..new.len())];
    while let Some((in_old, in_new)) = open.pop() {
        let run = search.longest(in_old.clone(), in_new.clone());
        if run.len == 0 {
            continue;
        }
        found.push(run);
        if in_old.start < run.old && in_new.start < run.new {
            open.push((in_old.start..run.old, in_new.start..run.new));
        }
        if run.old + run.len < in_old.end && run.new + run.len < in_new.end {
            open.push((run.old + run.len..in_old.end, run.new + run.len..in_new.end));
        }
    }
    found.sort_by_key(|run| (run.old, run.new));
    let mut joined: Vec<Run> = Vec::new();
    for run in found {
        match joined.last_mut() {
            Some(last) if (last.old + last.len, last.new + last.len) == (run.old, run.new) => last.len += run.len,
            _ => joined.push(run),
        }
    }
    joined
}

struct Search<'t> {
    old: &'t [&'t str],
    new: &'t [&'t str],
    /// Where in the new text each line is that may start a run.
    places: HashMap<&'t str, Vec<usize>>,
    pairs_left: usize,
    /// How long the run is that ends before each line of the new text, for the line of the old one that was looked at last.
    lengths: Vec<usize>,
}

impl Search<'_> {
    /// The longest run within both ranges; of several the first in the old text, and of those the first in the new one.
    fn longest(&mut self, in_old: std::ops::Range<usize>, in_new: std::ops::Range<usize>) -> Run {
        let mut best = Run { old: in_old.start, new: in_new.start, len: 0 };
        let mut touched: Vec<(usize, usize)> = Vec::new();
        for at_old in in_old.clone() {
            let mut ends: Vec<(usize, usize)> = Vec::new();
            if let Some(indexes) = self.places.get(self.old[at_old]) {
                let from = indexes.partition_point(|index| *index < in_new.start);
                for &at_new in indexes[from..].iter().take_while(|index| **index < in_new.end) {
                    if self.pairs_left == 0 {
                        break;
                    }
                    self.pairs_left -= 1;
                    let len = self.lengths[at_new] + 1;
                    ends.push((at_new + 1, len));
                    if len > best.len {
                        best = Run { old: at_old + 1 - len, new: at_new + 1 - len, len };
                    }
                }
            }
            touched.iter().for_each(|(index, _)| self.lengths[*index] = 0);
            ends.iter().for_each(|(index, len)| self.lengths[*index] = *len);
            touched = ends;
        }
        touched.iter().for_each(|(index, _)| self.lengths[*index] = 0);
        self.widen(best, &in_old, &in_new)
    }

    /// With the equal lines around it, however frequent they are.
    fn widen(&self, mut run: Run, in_old: &std::ops::Range<usize>, in_new: &std::ops::Range<usize>) -> Run {
        while run.old > in_old.start && run.new > in_new.start && self.old[run.old - 1] == self.new[run.new - 1] {
            run = Run { old: run.old - 1, new: run.new - 1, len: run.len + 1 };
        }
        while run.old + run.len < in_old.end
            && run.new + run.len < in_new.end
            && self.old[run.old + run.len] == self.new[run.new + run.len]
        {
            run.len += 1;
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[track_caller]
    fn check(old: &str, new: &str, want: &str) {
        assert_eq!(unified(&old.replace(' ', "\n"), &new.replace(' ', "\n")), want);
    }

    #[test]
    fn a_change_has_three_lines_around_it() {
        check("a b", "a b", "");
        check("1 2 3 4 5 6 7 8 9", "1 2 3 4 x 6 7 8 9", "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
        check("a", "b", "@@ -1 +1 @@\n-a\n+b\n");
        check("1 2 3", "1 2 3 4", "@@ -1,3 +1,4 @@\n 1\n 2\n 3\n+4\n");
        check("0 1 2", "1 2", "@@ -1,3 +1,2 @@\n-0\n 1\n 2\n");
    }

    #[test]
    fn changes_that_are_far_from_each_other_stand_alone() {
        check(
            "a 1 2 3 4 5 6 7 b",
            "c 1 2 3 4 5 6 7 d",
            "@@ -1,4 +1,4 @@\n-a\n+c\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+d\n",
        );
        check("a 1 2 3 4 5 6 b", "c 1 2 3 4 5 6 d", "@@ -1,8 +1,8 @@\n-a\n+c\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+d\n");
    }

    #[test]
    fn the_longest_run_stays() {
        check("a b c d", "c d a b", "@@ -1,4 +1,4 @@\n+c\n+d\n a\n b\n-c\n-d\n");
        check("x a b c y", "a b c x y", "@@ -1,5 +1,5 @@\n-x\n a\n b\n c\n+x\n y\n");
    }

    /// Each line of the one was compared with each of the other.
    #[test]
    fn texts_without_end_are_compared_for_a_while() {
        let text = |seed: usize| {
            let lines: Vec<String> = (0..20_000).map(|line: usize| ((line * seed) % 211).to_string()).collect();
            lines.join("\n")
        };
        let difference = unified(&text(7), &text(11));
        assert!(difference.starts_with("@@ -"), "{}", &difference[..40]);
    }
}
