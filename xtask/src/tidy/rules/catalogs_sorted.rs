//! The slices of a `catalog.rs` are sorted, so that an entry has one place and two branches rarely collide.
//!
//! Where order carries meaning (a filter chain, start order) the file says `// order matters`.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;
use crate::tidy::source::{Source, end_of_block, split_top_level};

const ORDER_MATTERS: &str = "// order matters";

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        let is_catalog = path.ends_with("/catalog.rs");
        if !is_catalog || source.text.contains(ORDER_MATTERS) {
            continue;
        }
        for keyword in ["static", "const"] {
            for at in source.find_path(keyword) {
                check_slice(path, source, at, report);
            }
        }
    }
}

fn check_slice(path: &str, source: &Source, item: usize, report: Report<'_>) {
    let Some(equals) = source.code[item..].find(['=', ';', '{']).map(|offset| item + offset) else { return };
    let value = &source.code[equals..];
    let after_equals = value.trim_start_matches('=').trim_start();
    if !value.starts_with('=') || !after_equals.starts_with("&[") {
        return;
    }
    let open = source.code.len() - after_equals.len() + 1;
    let inside = open + 1..end_of_block(&source.code, open) - 1;
    let mut previous = String::new();
    for part in split_top_level(&source.code[inside.clone()], b',') {
        let code = &source.code[inside.start + part.start..inside.start + part.end];
        // A comment above the entry is blank in the code but not in the text.
        let start = inside.start + part.start + (code.len() - code.trim_start().len());
        let entry = source.text[start..inside.start + part.end].trim().to_owned();
        if entry.is_empty() {
            continue;
        }
        if entry <= previous {
            let what = if entry == previous { "is listed twice" } else { "stands after a later name" };
            report(
                Place::new(path, source.line_at(start)),
                format!("{} {what}", entry.lines().next().unwrap_or_default()),
                "sort the slice, or say `// order matters` and why",
            );
        }
        previous = entry;
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_sorted_slices_and_stated_orders() {
        let sorted = "static A: &[&X] = &[\n    &a::X,\n    // why\n    &b::X,\n];\nconst fn f() {}";
        let stated = "// order matters: outermost first\nstatic A: &[&X] = &[&b::X, &a::X];";
        check(
            super::check,
            &[
                ("c/catalog.rs", sorted),
                ("d/catalog.rs", stated),
                ("other.rs", "static A: &[u8] = &[2, 1];"),
                ("e/catalog.rs", "static A: &[E] = &[\n    e(\"a\", 2),\n    e(\"b\", 1),\n];"),
            ],
            &[],
        );
    }

    #[test]
    fn reports_misplaced_and_double_entries() {
        let text = "pub static A: &[&X] = &[\n    &b::X,\n    // why\n    &a::X,\n    &c::X,\n    &c::X,\n];";
        check(super::check, &[("c/catalog.rs", text)], &["c/catalog.rs:4", "c/catalog.rs:6"]);
    }
}
