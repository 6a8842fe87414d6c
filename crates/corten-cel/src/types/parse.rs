//! Types and signatures from text: `map(string, A)`, `list(A).indexOf(A): int`.
//!
//! A type parameter is one capital letter. A name with a dot that is no other type is opaque.

use std::sync::Arc;

use super::Type;

/// A signature, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The first parameter stands before the dot.
    pub(crate) member: bool,
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
    /// The letters in it.
    pub(crate) letters: Vec<Arc<str>>,
}

/// Reads `(A, B): C` or `A.(B): C`; `None` if it is neither.
pub(crate) fn signature(text: &str) -> Option<Signature> {
    let mut reader = Reader { rest: text, letters: Vec::new() };
    let mut parameters = Vec::new();
    let member = !reader.rest.starts_with('(');
    if member {
        parameters.push(reader.read(0)?);
        reader.symbol(".")?;
    }
    reader.symbol("(")?;
    if reader.symbol(")").is_none() {
        parameters.extend(reader.list(0)?);
    }
    reader.symbol(":")?;
    let result = reader.read(0)?;
    reader.rest.is_empty().then_some(Signature { member, parameters, result, letters: reader.letters })
}

/// Reads a type; `None` if `text` is none.
#[must_use]
pub fn parse_type(text: &str) -> Option<Type> {
    let mut reader = Reader { rest: text, letters: Vec::new() };
    let found = reader.read(0)?;
    reader.rest.is_empty().then_some(found)
}

/// Deeper types are not read.
const DEPTH_MAX: usize = 32;

struct Reader<'t> {
    rest: &'t str,
    letters: Vec<Arc<str>>,
}

impl Reader<'_> {
    fn symbol(&mut self, symbol: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(symbol)?.trim_start();
        Some(())
    }

    /// Types with commas between, and the closing parenthesis.
    fn list(&mut self, depth: usize) -> Option<Vec<Type>> {
        let mut types = vec![self.read(depth + 1)?];
        while self.symbol(",").is_some() {
            types.push(self.read(depth + 1)?);
        }
        self.symbol(")")?;
        Some(types)
    }

    fn read(&mut self, depth: usize) -> Option<Type> {
        if depth > DEPTH_MAX {
            return None;
        }
        let length = self
            .rest
            .char_indices()
            // A dot before a parenthesis is that of a method.
            .find(|(at, c)| {
                !(c.is_ascii_alphanumeric() || *c == '_' || (*c == '.' && !self.rest[at + 1..].starts_with('(')))
            })
            .map_or(self.rest.len(), |(at, _)| at);
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest.trim_start();
        let mut parameters = Vec::new();
        if !name.is_empty() && self.symbol("(").is_some() {
            parameters = self.list(depth)?;
        }
        let mut parameters_iter = parameters.into_iter();
        let mut parameter = || parameters_iter.next();
        let found = match name {
            "" => return None,
            "dyn" => Type::Dyn,
            "null" | "null_type" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "timestamp" | "google.protobuf.Timestamp" => Type::Timestamp,
            "duration" | "google.protobuf.Duration" => Type::Duration,
            "wrapper" => Type::Nullable(Arc::new(parameter()?)),
            "list" => Type::list(parameter()?),
            "map" => Type::map(parameter()?, parameter()?),
            "type" => Type::Type(parameter().map(Arc::new)),
            letter if letter.len() == 1 && letter.as_bytes()[0].is_ascii_uppercase() => {
                if !self.letters.iter().any(|known| &**known == letter) {
                    self.letters.push(letter.into());
                }
                Type::Param(letter.into())
            }
            opaque => Type::Opaque(opaque.into(), parameters_iter.by_ref().collect()),
        };
        parameters_iter.next().is_none().then_some(found)
    }
}
