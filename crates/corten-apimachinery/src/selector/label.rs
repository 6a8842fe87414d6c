//! Label selectors: `app=web,tier in (a,b),!canary`, and their object form.
//!
//! Upstream: k8s.io/apimachinery/pkg/labels and metav1.LabelSelectorAsSelector (v1.35), with their messages.

mod matcher;
mod parse;

use std::fmt;

use self::matcher::Matcher;

use crate::{
    field::{self, ErrorList, Path, quote},
    labels::Labels,
    validation,
    value::{Map, Str, Value},
};

/// Why a text or an object is no label selector, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

/// Which objects are meant: those whose labels meet every requirement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// Sorted by key.
    requirements: Vec<Requirement>,
    /// The same, as it is compared.
    matcher: Matcher,
    /// Nothing is meant, whatever the requirements.
    nothing: bool,
}

/// What the label of one key must be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// The label's key.
    pub key: Str,
    /// How the label is compared.
    pub operator: Operator,
    /// What it is compared with, sorted; nothing for `Exists` and `DoesNotExist`.
    pub values: Vec<Str>,
}

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or no label.
    NotIn,
    /// The value.
    Equals,
    /// The value; written with two signs.
    DoubleEquals,
    /// Not the value, or no label.
    NotEquals,
    /// Any value.
    Exists,
    /// No label.
    DoesNotExist,
    /// An integer above the value.
    GreaterThan,
    /// An integer below the value.
    LessThan,
}

impl Requirement {
    /// A requirement that is checked.
    ///
    /// Errors: a malformed key or value, or values that do not go with the operator; all of them in one text.
    pub fn new(key: &str, operator: Operator, mut values: Vec<Str>) -> Result<Self, SelectorError> {
        let mut errors = ErrorList::new();
        check_key(&Path::new("key"), key, &mut errors);
        let path = Path::new("values");
        let shown = || Value::array(values.iter().cloned().map(Value::String));
        let why = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        errors.extend(why.map(|why| field::Error::invalid(&path, shown(), why)));
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (index, value) in values.iter().enumerate() {
                if value.parse::<i64>().is_err() {
                    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.push(field::Error::invalid(&path.index(index), value.clone(), why));
                }
            }
        }
        for (index, value) in values.iter().enumerate() {
            let why = validation::is_label_value(value);
            if !why.is_empty() {
                errors.push(field::Error::invalid(&path.index(index).key(key), value.clone(), why.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(SelectorError(field::aggregate(&errors)));
        }
        values.sort_unstable();
        Ok(Self { key: key.into(), operator, values })
    }

    /// Reads a `LabelSelectorRequirement`.
    ///
    /// Errors: an operator that is none, and those of `new`.
    pub fn from_object(expression: &Value) -> Result<Self, SelectorError> {
        let operator = match expression.str_at(&["operator"]).unwrap_or_default() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                return Err(SelectorError(format!("{} is not a valid label selector operator", quote(other))));
            }
        };
        let values = expression.items_at(&["values"]).iter().filter_map(Value::as_str).map(Str::from).collect();
        Self::new(expression.str_at(&["key"]).unwrap_or_default(), operator, values)
    }

    fn has_value(&self, label: &str) -> bool {
        matcher::has(&self.values, label)
    }

    /// What an integer is compared with.
    fn bound(&self) -> Option<i64> {
        self.values.first()?.parse().ok()
    }

    /// Whether a label meets it; `None` for no label of its key.
    #[must_use]
    pub fn matches(&self, label: Option<&str>) -> bool {
        let among = |label: &str| self.has_value(label);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(among),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(among),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let label = label.and_then(|label| label.parse::<i64>().ok());
                let (Some(label), Some(bound)) = (label, self.bound()) else { return false };
                if self.operator == Operator::GreaterThan { label > bound } else { label < bound }
            }
        }
    }
}

fn check_key(path: &Path, key: &str, errors: &mut ErrorList) {
    let why = validation::is_qualified_name(key);
    if !why.is_empty() {
        errors.push(field::Error::invalid(path, key, why.join("; ")));
    }
}

impl Selector {
    /// Selects everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self { nothing: true, ..Self::default() }
    }

    /// Selects what meets all of these.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { matcher: Matcher::new(&requirements), requirements, nothing: false }
    }

    /// Selects what has all of these labels, which are not checked: the selector of a replication controller or service.
    #[must_use]
    pub fn from_map<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirements = labels.into_iter().map(|(key, value)| Requirement {
            key: key.into(),
            operator: Operator::Equals,
            values: vec![value.into()],
        });
        Self::new(requirements.collect())
    }

    /// Reads the text form; the empty text selects everything.
    ///
    /// Errors: where the text stops making sense, or what is wrong with a key or value.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text).map(Self::new).map_err(SelectorError)
    }

    /// Reads a `LabelSelector`; null selects nothing, the empty object everything.
    ///
    /// Errors: the first of its requirements that is none.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in
            selector.get("matchLabels").and_then(Value::as_object).into_iter().flat_map(|map| map.iter())
        {
            let value = Str::from(value.as_str().unwrap_or_default());
            requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
        }
        for expression in selector.items_at(&["matchExpressions"]) {
            requirements.push(Requirement::from_object(expression)?);
        }
        Ok(Self::new(requirements))
    }

    /// Whether everything is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// What labels must meet, sorted by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// How many keys of labels are asked for: what a match costs at most, if the object has as many labels.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.matcher.keys()
    }

    /// Whether an object with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        !self.nothing && self.matcher.matches(labels.len(), labels.iter(), |key| labels.get(key))
    }

    /// Whether the object is meant, by its `metadata.labels`.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = object.at(&["metadata", "labels"]).and_then(Value::as_object);
        let get = |key: &str| labels?.get(key)?.as_str();
        let all = labels.into_iter().flat_map(Map::iter).filter_map(|(key, value)| Some((key, value.as_str()?)));
        !self.nothing && self.matcher.matches(labels.map_or(0, Map::len), all, get)
    }

    /// Whether an object is meant whose labels `get` tells.
    pub fn matches_by<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.matcher.matches_by(get)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = match self.operator {
            Operator::Exists => return f.write_str(&self.key),
            Operator::DoesNotExist => return write!(f, "!{}", self.key),
            Operator::In => (" in (", ")"),
            Operator::NotIn => (" notin (", ")"),
            Operator::Equals => ("=", ""),
            Operator::DoubleEquals => ("==", ""),
            Operator::NotEquals => ("!=", ""),
            Operator::GreaterThan => (">", ""),
            Operator::LessThan => ("<", ""),
        };
        let mut values: Vec<&str> = self.values.iter().map(Str::as_str).collect();
        values.sort_unstable();
        write!(f, "{}{before}{}{after}", self.key, values.join(","))
    }
}

#[cfg(test)]
mod tests;
