//! Regular expressions as upstream takes them, compiled by crate `regex`.
//!
//! Both have RE2's kind of expressions, but they do not write all of them alike: in RE2 `\d` is ASCII alone, a brace that is
//! no repetition is a brace, and a bracket within a class is a bracket. So an expression is rewritten first.
//! Upstream: Go's regexp/syntax (Perl flags).

mod class;
mod group;
mod rewrite;

use regex::{Regex, RegexBuilder};

use crate::stack;

/// The memory a compiled expression may take: some megabytes, where Go takes 128 of them. Others than hostile expressions need
/// some kilobytes.
const SIZE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The least memory that an expression is counted with.
const SIZE_MIN_BYTES: usize = 16 * 1024;
/// By how much the next attempt may be larger that finds how large an expression becomes.
const SIZE_STEP: usize = 4;
/// The memory that matching may take for its states: more costs time, not correctness.
const CACHE_MAX_BYTES: usize = 1024 * 1024;
/// How deep groups may be nested, as Go has it.
const DEPTH_MAX: u32 = 1000;
/// The longest expression.
const TEXT_MAX_BYTES: usize = 64 * 1024;

/// A compiled expression, and about what it took.
#[derive(Debug, Clone)]
pub struct SizedRegex {
    /// The expression.
    pub regex: Regex,
    /// The memory that it has at most, which the time is in proportion to that compiling it took.
    pub bytes: usize,
}

/// Why an expression was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is none, in the form of Go's `regexp.Compile`.
    #[error("{0}")]
    Wrong(String),
    /// The caller has not enough left for it.
    #[error("the expression takes more than is left")]
    Unaffordable,
}

/// Compiles `pattern`. Matching takes time linear in the text.
///
/// Errors: why it is no expression, in the form of Go's `regexp.Compile`.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    match build(pattern, &read(pattern)?, SIZE_MAX_BYTES) {
        Ok(Some(regex)) => Ok(regex),
        Ok(None) => Err(too_large(pattern)),
        Err(error) => Err(error),
    }
}

/// Compiles `pattern`, step by step: each time it has come to be larger than the bytes that `affords` has allowed last, that
/// is asked whether it may be larger still. So nobody pays for more than some times what it takes.
///
/// Errors: it is no expression, or `affords` has said no.
pub fn compile_sized(pattern: &str, affords: &mut dyn FnMut(usize) -> bool) -> Result<SizedRegex, CompileError> {
    let text = read(pattern).map_err(CompileError::Wrong)?;
    let mut bytes = SIZE_MIN_BYTES;
    while bytes <= SIZE_MAX_BYTES {
        if !affords(bytes) {
            return Err(CompileError::Unaffordable);
        }
        if let Some(regex) = build(pattern, &text, bytes).map_err(CompileError::Wrong)? {
            return Ok(SizedRegex { regex, bytes });
        }
        bytes *= SIZE_STEP;
    }
    Err(CompileError::Wrong(too_large(pattern)))
}

/// What is said of an expression that becomes too large.
#[must_use]
pub fn too_large(pattern: &str) -> String {
    failed(&format!("expression too large: `{pattern}`"))
}

fn failed(reason: &str) -> String {
    format!("error parsing regexp: {reason}")
}

/// The expression as crate `regex` writes it.
fn read(pattern: &str) -> Result<String, String> {
    if pattern.len() > TEXT_MAX_BYTES {
        return Err(failed("expression too large"));
    }
    rewrite::rewrite(pattern).map_err(|reason| failed(&reason))
}

/// `text`, which is how crate `regex` writes `pattern`, compiled; `None` if that takes more than `size_max_bytes`.
fn build(pattern: &str, text: &str, size_max_bytes: usize) -> Result<Option<Regex>, String> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(size_max_bytes).dfa_size_limit(CACHE_MAX_BYTES).nest_limit(DEPTH_MAX);
    let may_be_deep = text.bytes().filter(|byte| *byte == b'(').count() > stack::SHALLOW;
    let built = stack::deep_if(may_be_deep, || builder.build());
    match built {
        Ok(regex) => Ok(Some(regex)),
        Err(regex::Error::CompiledTooBig(_)) => Ok(None),
        Err(error) => Err(failed(&reason(pattern, &error.to_string()))),
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
        () if last.contains("invalid character class range") || last.starts_with("Unicode property") => {
            "invalid character class range"
        }
        () if last.contains("escape sequence")
            || last.contains("unrecognized escape")
            || last.contains("hexadecimal literal") =>
        {
            "invalid escape sequence"
        }
        () if last.contains("capture group name") => "invalid named capture",
        () if last.contains("maximum number of nested") => "expression nests too deeply",
        () => return format!("{last}: `{pattern}`"),
    };
    format!("{words}: `{pattern}`")
}

#[cfg(test)]
mod tests;
