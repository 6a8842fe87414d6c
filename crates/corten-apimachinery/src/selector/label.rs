//! Label selectors, from their text form and from `LabelSelector` objects.
//!
//! Upstream: k8s.io/apimachinery/pkg/labels/selector.go and pkg/apis/meta/v1/helpers.go (v1.35).

use std::{cmp::Ordering, fmt};

use crate::{
    field::quote,
    validation::{is_label_value, is_qualified_name},
    value::{Str, Value},
};

/// All requirements have to hold. Without any, everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    /// Whether nothing is selected at all.
    is_nothing: bool,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: Str,
    /// The condition.
    pub operator: Operator,
    /// The values, sorted; none for `Exists` and `DoesNotExist`.
    pub values: Vec<Str>,
}

/// The condition of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or does not exist.
    NotIn,
    /// `=` or `==`: the label has the value.
    Equals,
    /// `!=`: the label has another value, or does not exist.
    NotEquals,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The label is an integer greater than the value.
    GreaterThan,
    /// The label is an integer less than the value.
    LessThan,
}

/// A selector that cannot be read. The text is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl Selector {
    /// Selects nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), is_nothing: true }
    }

    /// Selects by these requirements.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, is_nothing: false }
    }

    /// Selects objects that have all of `labels`.
    pub fn from_map<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let equals = |(key, value): (&str, &str)| Requirement {
            key: key.into(),
            operator: Operator::Equals,
            values: vec![value.into()],
        };
        Self::new(labels.into_iter().map(equals).collect())
    }

    /// Reads the text form: `a=b,c!=d,e in (x,y),!f,g`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Parser { tokens: tokens(text), at: 0 }.selector()
    }

    /// Reads a `LabelSelector` object; an absent one (null) selects nothing, an empty one everything.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        let Some(object) = selector.as_object() else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        if let Some(labels) = object.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels.iter() {
                requirements.push(Requirement {
                    key: key.into(),
                    operator: Operator::In,
                    values: vec![value.as_str().unwrap_or_default().into()],
                });
            }
        }
        for expression in selector.items_at(&["matchExpressions"]) {
            let operator = match expression.str_at(&["operator"]).unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(SelectorError(format!("{} is not a valid label selector operator", quote(other)))),
            };
            let mut values: Vec<Str> =
                expression.items_at(&["values"]).iter().filter_map(Value::as_str).map(Str::from).collect();
            values.sort_unstable();
            let key = expression.str_at(&["key"]).unwrap_or_default().into();
            requirements.push(checked(Requirement { key, operator, values })?);
        }
        Ok(Self::new(requirements))
    }

    /// Whether everything is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.is_nothing
    }

    /// The requirements, by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether an object with `labels`, sorted by key, is selected.
    #[must_use]
    pub fn matches(&self, labels: &[(Str, Str)]) -> bool {
        !self.is_nothing
            && self.requirements.iter().all(|requirement| {
                let found = labels.binary_search_by(|(key, _)| key.cmp(&requirement.key)).ok();
                requirement.matches(found.map(|at| labels[at].1.as_str()))
            })
    }

    /// Whether an object whose labels `get` reads is selected.
    pub fn matches_by<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.is_nothing && self.requirements.iter().all(|requirement| requirement.matches(get(&requirement.key)))
    }
}

impl Requirement {
    /// Whether a label with this value (`None`: no such label) fulfils the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|candidate| candidate == value);
        let compared = |wanted: Ordering| {
            let (Some(Ok(actual)), Some(Ok(limit))) =
                (value.map(str::parse::<i64>), self.values.first().map(|value| value.parse::<i64>()))
            else {
                return false;
            };
            actual.cmp(&limit) == wanted
        };
        match self.operator {
            Operator::In | Operator::Equals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compared(Ordering::Greater),
            Operator::LessThan => compared(Ordering::Less),
        }
    }
}

fn checked(requirement: Requirement) -> Result<Requirement, SelectorError> {
    let failed = |field: &str, value: &str, why: &[String]| {
        Err(SelectorError(format!("{field}: Invalid value: {}: {}", quote(value), why.join("; "))))
    };
    let broken = is_qualified_name(&requirement.key);
    if !broken.is_empty() {
        return failed("key", &requirement.key, &broken);
    }
    let count = requirement.values.len();
    let wrong = match requirement.operator {
        Operator::In | Operator::NotIn if count == 0 => Some("for 'in', 'notin' operators, values set can't be empty"),
        Operator::Equals | Operator::NotEquals if count != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if count != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if count != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    if let Some(why) = wrong {
        let values: Vec<String> = requirement.values.iter().map(|value| quote(value)).collect();
        return Err(SelectorError(format!("values: Invalid value: [{}]: {why}", values.join(","))));
    }
    for (index, value) in requirement.values.iter().enumerate() {
        let field = format!("values[{index}][{}]", requirement.key);
        if matches!(requirement.operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
            return failed(&field, value, &["for 'Gt', 'Lt' operators, the value must be an integer".to_owned()]);
        }
        let broken = is_label_value(value);
        if !broken.is_empty() {
            return failed(&field, value, &broken);
        }
    }
    Ok(requirement)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Comma,
    Not,
    NotEquals,
    Equals,
    DoubleEquals,
    Greater,
    Less,
    Open,
    Close,
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Not => "!",
            Self::NotEquals => "!=",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::Greater => ">",
            Self::Less => "<",
            Self::Open => "(",
            Self::Close => ")",
            Self::End => "",
        })
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '>' => (Token::Greater, 1),
            '<' => (Token::Less, 1),
            '!' if rest.starts_with("!=") => (Token::NotEquals, 2),
            '!' => (Token::Not, 1),
            '=' if rest.starts_with("==") => (Token::DoubleEquals, 2),
            '=' => (Token::Equals, 1),
            _ => {
                let special = |c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '>' | '<' | '!' | '=');
                let length = rest.find(special).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens.push(Token::End);
    tokens
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(mut self) -> Result<Selector, SelectorError> {
        let failed = |why: String| SelectorError(format!("unable to parse requirement: {why}"));
        let mut requirements = Vec::new();
        if self.peek() == Token::End {
            return Ok(Selector::default());
        }
        loop {
            match self.peek() {
                Token::Word(_) | Token::Not => {
                    let requirement = self.requirement().map_err(failed)?;
                    requirements.push(checked(requirement).map_err(|error| failed(error.0))?);
                    match self.next() {
                        Token::End => return Ok(Selector::new(requirements)),
                        Token::Comma => match self.peek() {
                            Token::Word(_) | Token::Not => {}
                            other => {
                                return Err(SelectorError(format!("found '{other}', expected: identifier after ','")));
                            }
                        },
                        other => {
                            return Err(SelectorError(format!("found '{other}', expected: ',' or 'end of string'")));
                        }
                    }
                }
                other => {
                    return Err(SelectorError(format!("found '{other}', expected: !, identifier, or 'end of string'")));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.peek() == Token::Not;
        if negated {
            self.at += 1;
        }
        let key: Str = match self.next() {
            Token::Word(word) => word.into(),
            other => return Err(format!("found '{other}', expected: identifier")),
        };
        let alone = matches!(self.peek(), Token::End | Token::Comma);
        if alone || negated {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Ok(Requirement { key, operator, values: Vec::new() });
        }
        let operator = match self.next() {
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            Token::Equals | Token::DoubleEquals => Operator::Equals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Ok(Requirement { key, operator, values })
    }

    /// A value after `=`; none stands for the empty text.
    fn exact_value(&mut self) -> Result<Str, String> {
        match self.peek() {
            Token::End | Token::Comma => Ok(Str::default()),
            Token::Word(word) => {
                self.at += 1;
                Ok(word.into())
            }
            other => Err(format!("found '{other}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<Str>, String> {
        match self.next() {
            Token::Open => {}
            other => return Err(format!("found '{other}' expected: '('")),
        }
        let mut values: Vec<Str> = Vec::new();
        let mut pending = Str::default();
        loop {
            match self.next() {
                Token::Word(word) => pending = word.into(),
                Token::Comma => values.push(std::mem::take(&mut pending)),
                Token::Close => {
                    values.push(pending);
                    values.sort_unstable();
                    values.dedup();
                    return Ok(values);
                }
                other => return Err(format!("found '{other}', expected: ',', ')' or identifier")),
            }
        }
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
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, yes: &[&[(&str, &str)]], no: &[&[(&str, &str)]]) {
        let selector = Selector::parse(text).unwrap();
        let labels = |pairs: &[(&str, &str)]| -> Vec<(Str, Str)> {
            pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect()
        };
        for pairs in yes {
            assert!(selector.matches(&labels(pairs)), "{text} selects {pairs:?}");
        }
        for pairs in no {
            assert!(!selector.matches(&labels(pairs)), "{text} does not select {pairs:?}");
        }
    }

    #[test]
    fn selectors_select_what_upstreams_do() {
        check("", &[&[], &[("a", "b")]], &[]);
        check("a=b", &[&[("a", "b")]], &[&[], &[("a", "c")]]);
        check("a==b, c", &[&[("a", "b"), ("c", "")]], &[&[("a", "b")]]);
        check("a!=b", &[&[], &[("a", "c")]], &[&[("a", "b")]]);
        check("!a", &[&[]], &[&[("a", "b")]]);
        check("a in (x, y)", &[&[("a", "x")], &[("a", "y")]], &[&[], &[("a", "z")]]);
        check("a notin (x,y)", &[&[], &[("a", "z")]], &[&[("a", "x")]]);
        check("a>3,a<10", &[&[("a", "4")]], &[&[("a", "3")], &[("a", "x")], &[]]);
        check("a=", &[&[("a", "")]], &[&[("a", "b")], &[]]);
    }

    #[test]
    fn bad_selectors_are_refused() {
        for text in ["a b", "a=b,", ",", "a in", "a in (x", "=b", "a>x", "-a=b", "a=b=c"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_absent_selector_object_selects_nothing_and_an_empty_one_everything() {
        assert!(!Selector::from_object(&Value::Null).unwrap().matches(&[]));
        assert!(Selector::from_object(&Value::object()).unwrap().matches(&[]));
    }
}
