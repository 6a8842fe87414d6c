//! Regular expressions as upstream takes them, compiled by crate `regex`.
//!
//! Both have RE2's kind of expressions, but they do not write all of them alike: in RE2 `\d` is ASCII alone, a brace that is
//! no repetition is a brace, and a bracket within a class is a bracket. So an expression is rewritten first.
//! Upstream: Go's regexp/syntax (Perl flags).

mod rewrite;

use regex::{Regex, RegexBuilder};

/// The memory a compiled expression may take: as much as Go's limit of about a thousand repetitions of a class needs.
const SIZE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The memory that matching may take for its states: more costs time, not correctness.
const CACHE_MAX_BYTES: usize = 1024 * 1024;
/// How deep groups may be nested.
const DEPTH_MAX: u32 = 200;
/// The longest expression.
const TEXT_MAX_BYTES: usize = 64 * 1024;

/// Compiles `pattern`. Matching takes time linear in the text.
///
/// Errors: why it is no expression, in the form of Go's `regexp.Compile`.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let fail = |reason: String| Err(format!("error parsing regexp: {reason}"));
    if pattern.len() > TEXT_MAX_BYTES {
        return fail("expression too large".to_owned());
    }
    let text = match rewrite::rewrite(pattern) {
        Ok(text) => text,
        Err(reason) => return fail(reason),
    };
    let built = RegexBuilder::new(&text)
        .size_limit(SIZE_MAX_BYTES)
        .dfa_size_limit(CACHE_MAX_BYTES)
        .nest_limit(DEPTH_MAX)
        .build();
    match built {
        Ok(regex) => Ok(regex),
        Err(regex::Error::CompiledTooBig(_)) => fail("expression too large".to_owned()),
        Err(error) => fail(reason(pattern, &error.to_string())),
    }
}

/// Go's words for what crate `regex` says of `pattern`.
fn reason(pattern: &str, error: &str) -> String {
    let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let words = match () {
        () if last.contains("unclosed group") => "missing closing )",
        () if last.contains("unopened group") => "unexpected )",
        () if last.contains("unclosed character class") => "missing closing ]",
        () if last.contains("repetition operator missing expression") => "missing argument to repetition operator",
        () if last.contains("repetition quantifier") => "invalid repeat count",
        () if last.contains("invalid character class range") => "invalid character class range",
        () if last.contains("escape sequence") || last.contains("unrecognized escape") => "invalid escape sequence",
        () if last.contains("capture group name") => "invalid named capture",
        () if last.contains("nest limit") => "expression nests too deeply",
        () => return format!("{last}: `{pattern}`"),
    };
    format!("{words}: `{pattern}`")
}

#[cfg(test)]
mod tests;
