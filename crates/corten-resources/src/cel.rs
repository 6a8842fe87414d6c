//! The expressions in fields of objects: what each may name and has to give. The one place where rules meet the compiler.
//!
//! The syntax and the types of an expression are checked once the compiler is there: until then `check` finds nothing, and
//! an expression that does not compile fails where it is evaluated. What needs no compiler (a value that is required, its
//! length, names) is checked by the rules of each field.
//! Upstream: k8s.io/apiserver/pkg/admission/plugin/cel/compile.go, k8s.io/dynamic-resource-allocation/cel (v1.35).

use corten_apimachinery::field::{ErrorList, Path};

/// How an expression is used.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// What it can name.
    pub scope: Scope<'a>,
    /// What it has to give.
    pub gives: Gives,
    /// Whether the stored object had it before: then it may use what newer compilers only read.
    pub is_stored: bool,
}

/// What an expression can name besides the functions.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// A request for an object: `object`, `oldObject`, `request`, `namespaceObject`.
    Admission {
        /// Whether there is `params`.
        params: bool,
        /// Whether there is `authorizer`.
        authorizer: bool,
        /// The expressions behind `variables.NAME`, in order: each can name those before it.
        variables: &'a [Variable<'a>],
    },
    /// A device that is to be allocated: `device`.
    Device,
}

/// An expression with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable<'a> {
    /// The name.
    pub name: &'a str,
    /// The expression.
    pub expression: &'a str,
}

/// What an expression has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// A truth value.
    Bool,
    /// A text.
    Text,
    /// A text or nothing.
    TextOrNull,
    /// Whatever it gives.
    Any,
    /// A part of the object to be applied: `Object{..}`.
    ApplyConfiguration,
    /// The steps of a JSON patch: `[JSONPatch{..}]`.
    JsonPatch,
}

/// Adds what the compiler says of an expression that is not empty.
pub fn check(expression: &str, usage: &Use<'_>, path: &Path, errors: &mut ErrorList) {
    // The seam: nothing is known of an expression before the compiler is there.
    let _ = (expression, usage, path, errors);
}

/// The words that no name can be.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Whether a variable can have this name.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let is_head = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    is_head && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_mean_nothing_yet() {
        for name in ["a", "_a1", "Object", "namespaceObject"] {
            assert!(is_identifier(name), "{name}");
        }
        for name in ["", "1a", "a-b", "a.b", "in", "namespace", "\u{e9}"] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
