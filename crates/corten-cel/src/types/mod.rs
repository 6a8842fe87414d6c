//! Types, as the checker deduces them and signatures are written.
//!
//! Upstream: cel-go common/types/types.go, checker/format.go (v0.26.0).

mod assign;
mod parse;
mod provider;

use std::{fmt, sync::Arc};

pub(crate) use assign::{Mapping, SIZE_MAX, most_general};
pub use parse::parse_type;
pub(crate) use parse::{Signature, signature};
pub use provider::{NoTypes, TypeProvider};

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// Of an expression that has an issue; goes with everything, so that one issue is not told twice.
    Error,
    /// Known when it is evaluated.
    Dyn,
    /// Known when it is evaluated, and of one value: it goes wherever `dyn` goes, but is no range of a comprehension.
    Any,
    /// `null`
    Null,
    /// Truth value.
    Bool,
    /// 64 bits with sign.
    Int,
    /// 64 bits without sign.
    Uint,
    /// 64 bits of floating point.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A span of time.
    Duration,
    /// The type of one thing or null: fields that may be null.
    Nullable(Arc<Type>),
    /// A list of one type.
    List(Arc<Type>),
    /// A map from one type to one type.
    Map(Arc<(Type, Type)>),
    /// An object, whose fields a [`TypeProvider`] knows.
    Object(Arc<str>),
    /// A type that functions alone know what to do with, with parameters.
    Opaque(Arc<str>, Arc<[Type]>),
    /// The type of a type.
    Type(Option<Arc<Type>>),
    /// To be found, in a signature or while checking.
    Param(Arc<str>),
}

/// The name of optional values' type.
pub(crate) const OPTIONAL: &str = "optional_type";

impl Type {
    /// A list of `items`.
    #[must_use]
    pub fn list(items: Type) -> Self {
        Self::List(Arc::new(items))
    }

    /// A map from `keys` to `values`.
    #[must_use]
    pub fn map(keys: Type, values: Type) -> Self {
        Self::Map(Arc::new((keys, values)))
    }

    /// An optional `value`.
    #[must_use]
    pub fn optional(value: Type) -> Self {
        Self::Opaque(OPTIONAL.into(), [value].into())
    }

    /// An object of the type that is called `name`.
    #[must_use]
    pub fn object(name: &str) -> Self {
        Self::Object(name.into())
    }

    /// The type of the type `of`.
    #[must_use]
    pub fn of_type(of: Type) -> Self {
        Self::Type(Some(Arc::new(of)))
    }

    /// What is in the optional, if this is one.
    #[must_use]
    pub fn unwrap_optional(&self) -> Option<&Type> {
        match self {
            Self::Opaque(name, parameters) if &**name == OPTIONAL => parameters.first(),
            _ => None,
        }
    }

    /// Whether nothing is known of it before evaluation.
    #[must_use]
    pub fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any)
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any | Self::Error)
    }

    /// Whether it is made of more than `limit` types, counting each as often as it stands in it.
    pub(crate) fn is_larger_than(&self, limit: usize) -> bool {
        let mut rest = vec![self];
        let mut count = 0;
        while let Some(next) = rest.pop() {
            count += 1;
            if count > limit {
                return true;
            }
            rest.extend(next.parameters());
        }
        false
    }

    /// The types it is made of.
    #[must_use]
    pub fn parameters(&self) -> Vec<&Type> {
        match self {
            Self::List(items) => vec![items],
            Self::Map(entries) => vec![&entries.0, &entries.1],
            Self::Opaque(_, parameters) => parameters.iter().collect(),
            Self::Type(Some(of)) | Self::Nullable(of) => vec![of],
            _ => Vec::new(),
        }
    }

    /// The name that `type()` gives, without parameters.
    #[must_use]
    pub fn runtime_name(&self) -> &str {
        match self {
            Self::Error => "!error!",
            Self::Dyn => "dyn",
            Self::Any => "google.protobuf.Any",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Nullable(of) => of.runtime_name(),
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Object(name) | Self::Opaque(name, _) | Self::Param(name) => name,
            Self::Type(_) => "type",
        }
    }
}

impl Type {
    /// As messages about what an expression has to give write it: timestamps and null by their full names.
    #[must_use]
    pub fn full_name(&self) -> String {
        let parameters: Vec<String> = match self {
            Self::Nullable(of) => return format!("wrapper({})", of.full_name()),
            other => other.parameters().into_iter().map(Type::full_name).collect(),
        };
        if parameters.is_empty() {
            return self.runtime_name().to_owned();
        }
        format!("{}({})", self.runtime_name(), parameters.join(", "))
    }
}

/// As messages write it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Nullable(of) => write!(f, "wrapper({of})"),
            Self::List(items) => write!(f, "list({items})"),
            Self::Map(entries) => write!(f, "map({}, {})", entries.0, entries.1),
            Self::Type(Some(of)) => write!(f, "type({of})"),
            Self::Opaque(name, parameters) => {
                f.write_str(name)?;
                for (index, parameter) in parameters.iter().enumerate() {
                    write!(f, "{}{parameter}", if index == 0 { "(" } else { ", " })?;
                }
                f.write_str(if parameters.is_empty() { "" } else { ")" })
            }
            other => f.write_str(other.runtime_name()),
        }
    }
}
