//! What a template consists of.

use crate::value::Str;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Text as it is.
    Text(Str),
    /// What stands in a pair of braces.
    Action(Vec<Node>),
    /// A field of an object.
    Field(Str),
    /// Items of a list.
    Slice(Slice),
    /// Items for which something holds.
    Filter {
        left: Vec<Node>,
        operator: Operator,
        right: Vec<Node>,
    },
    /// What several paths find.
    Union(Vec<Vec<Node>>),
    /// All fields or items.
    Wildcard,
    /// The value and all in it.
    Recursive,
    Int(i64),
    Float(f64),
    Bool(bool),
    /// `range`, `end`, or a word without a meaning.
    Identifier(Str),
}

/// Which items of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) end: SliceEnd,
    pub(super) step: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SliceEnd {
    /// Behind the first item alone.
    BehindStart,
    At(i64),
    Open,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operator {
    Exists,
    Less,
    LessEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    /// Signs that mean nothing together: an error when the filter is used.
    Other(Str),
}
