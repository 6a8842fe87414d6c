//! Nothing sleeps: code waits for the event it wants, or asks `corten_base::Clock`, which a test moves by hand.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

const CALLS: &[&str] = &["thread::sleep", "time::sleep", "time::sleep_until", "time::interval"];

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        if path.starts_with("crates/corten-base/") {
            continue;
        }
        for call in CALLS {
            for at in source.find_path(call) {
                report(
                    Place::new(path, source.line_at(at)),
                    format!("{call} waits for time to pass"),
                    "wait for the event itself; where time is the matter, use corten_base::Clock",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_the_clock() {
        check(
            super::check,
            &[("crates/corten-base/src/clock.rs", "tokio::time::sleep(d)"), ("a.rs", "clock.sleep(d); // time::sleep")],
            &[],
        );
    }

    #[test]
    fn reports_sleeps_in_code_and_tests() {
        check(
            super::check,
            &[("a.rs", "std::thread::sleep(d);\n#[cfg(test)]\nmod tests { fn f() { tokio::time::sleep(d) } }")],
            &["a.rs:1", "a.rs:3"],
        );
    }
}
