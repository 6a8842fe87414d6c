//! From text to tree: lexer, parser, macros.
//!
//! Upstream: cel-go parser (v0.26.0); the language: cel-spec doc/langdef.md.

mod ast;
mod issues;
mod lexer;
mod macros;
mod operand;
mod parser;
mod source;
mod unescape;
mod words;

pub use ast::{Ast, Comprehension, Element, Literal, MapEntry, Node, NodeId, StructField};
pub use issues::{Issue, Issues};
pub use parser::{Options, parse};
pub use source::Source;
pub use words::is_reserved;

/// The variable of a comprehension's result, which no text can name.
pub(crate) const ACCUMULATOR: &str = "@result";

/// The accumulator's older name, which may still not be used for a variable.
pub(crate) const OLD_ACCUMULATOR: &str = "__result__";

/// Names of operators, as functions.
pub(crate) mod operator {
    pub(crate) const CONDITIONAL: &str = "_?_:_";
    pub(crate) const AND: &str = "_&&_";
    pub(crate) const OR: &str = "_||_";
    pub(crate) const NOT: &str = "!_";
    pub(crate) const EQUALS: &str = "_==_";
    pub(crate) const NOT_EQUALS: &str = "_!=_";
    pub(crate) const LESS: &str = "_<_";
    pub(crate) const LESS_EQUALS: &str = "_<=_";
    pub(crate) const GREATER: &str = "_>_";
    pub(crate) const GREATER_EQUALS: &str = "_>=_";
    pub(crate) const ADD: &str = "_+_";
    pub(crate) const SUBTRACT: &str = "_-_";
    pub(crate) const MULTIPLY: &str = "_*_";
    pub(crate) const DIVIDE: &str = "_/_";
    pub(crate) const MODULO: &str = "_%_";
    pub(crate) const NEGATE: &str = "-_";
    pub(crate) const INDEX: &str = "_[_]";
    pub(crate) const OPT_INDEX: &str = "_[?_]";
    pub(crate) const OPT_SELECT: &str = "_?._";
    pub(crate) const IN: &str = "@in";
    pub(crate) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
    pub(crate) const MAP_INSERT: &str = "cel.@mapInsert";
}

#[cfg(test)]
mod tests;
