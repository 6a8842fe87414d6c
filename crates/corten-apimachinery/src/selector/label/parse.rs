//! The text form of label selectors.

use std::iter::Peekable;

use super::{Operator, Requirement, check_key};
use crate::{
    field::{ErrorList, Path, aggregate},
    value::Str,
};

/// Reads the requirements in the order written.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: Lexer { text, at: 0 }.peekable() };
    let mut requirements = Vec::new();
    loop {
        match parser.peek(Context::Values) {
            (Token::Identifier | Token::Not, _) => {
                let requirement = parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
                requirements.push(requirement);
                match parser.next(Context::Values) {
                    (Token::End, _) => return Ok(requirements),
                    (Token::Comma, _) => match parser.peek(Context::Values) {
                        (Token::Identifier | Token::Not, _) => {}
                        (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
                    },
                    (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
                }
            }
            (Token::End, _) => return Ok(requirements),
            (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Open,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    Identifier,
}

/// Where the words `in` and `notin` are values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    KeyAndOperator,
    Values,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

fn is_special(byte: u8) -> bool {
    b"=!(),><".contains(&byte)
}

fn special(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "(" => Token::Open,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        "!=" => Token::NotEquals,
        ">" => Token::Greater,
        "<" => Token::Less,
        _ => return None,
    })
}

impl<'a> Iterator for Lexer<'a> {
    type Item = (Token, &'a str);

    fn next(&mut self) -> Option<(Token, &'a str)> {
        let bytes = self.text.as_bytes();
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        while bytes.get(self.at).is_some_and(|&byte| is_space(byte)) {
            self.at += 1;
        }
        let start = self.at;
        let first = *bytes.get(start)?;
        if is_special(first) {
            // The longest operator that the signs begin with.
            let run = bytes[start..].iter().position(|&byte| !is_special(byte)).unwrap_or(bytes.len() - start);
            let known = (1..=run.min(2)).rev().find_map(|len| Some((special(&self.text[start..start + len])?, len)));
            let Some((token, len)) = known else {
                self.at += run;
                return Some((Token::Error, &self.text[start..start + run]));
            };
            self.at += len;
            return Some((token, &self.text[start..self.at]));
        }
        let len = bytes[start..].iter().position(|&byte| is_special(byte) || is_space(byte));
        self.at = len.map_or(bytes.len(), |len| start + len);
        let word = &self.text[start..self.at];
        let token = match word {
            "in" => Token::In,
            "notin" => Token::NotIn,
            _ => Token::Identifier,
        };
        Some((token, word))
    }
}

struct Parser<'a> {
    tokens: Peekable<Lexer<'a>>,
}

fn in_context(found: Option<(Token, &str)>, context: Context) -> (Token, &str) {
    match found {
        None => (Token::End, ""),
        Some((Token::In | Token::NotIn, word)) if context == Context::Values => (Token::Identifier, word),
        Some(found) => found,
    }
}

impl<'a> Parser<'a> {
    fn peek(&mut self, context: Context) -> (Token, &'a str) {
        in_context(self.tokens.peek().copied(), context)
    }

    fn next(&mut self, context: Context) -> (Token, &'a str) {
        in_context(self.tokens.next(), context)
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut found = self.next(Context::Values);
        let negated = found.0 == Token::Not;
        if negated {
            found = self.next(Context::KeyAndOperator);
        }
        let (Token::Identifier, key) = found else { return Err(format!("found '{}', expected: identifier", found.1)) };
        let mut errors = ErrorList::new();
        check_key(&Path::root(), key, &mut errors);
        if !errors.is_empty() {
            // Upstream has no path at this place, and shows that.
            return Err(format!("<nil>: {}", aggregate(&errors)));
        }
        if negated {
            return self.finish(key, Operator::DoesNotExist, Vec::new());
        }
        if let (Token::End | Token::Comma, _) = self.peek(Context::KeyAndOperator) {
            return self.finish(key, Operator::Exists, Vec::new());
        }
        let operator = match self.next(Context::KeyAndOperator) {
            (Token::In, _) => Operator::In,
            (Token::NotIn, _) => Operator::NotIn,
            (Token::Equals, _) => Operator::Equals,
            (Token::DoubleEquals, _) => Operator::DoubleEquals,
            (Token::NotEquals, _) => Operator::NotEquals,
            (Token::Greater, _) => Operator::GreaterThan,
            (Token::Less, _) => Operator::LessThan,
            (_, found) => return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        self.finish(key, operator, values)
    }

    fn finish(&self, key: &str, operator: Operator, mut values: Vec<Str>) -> Result<Requirement, String> {
        values.sort_unstable();
        values.dedup();
        Requirement::new(key, operator, values).map_err(|error| error.to_string())
    }

    fn exact_value(&mut self) -> Result<Str, String> {
        if let (Token::End | Token::Comma, _) = self.peek(Context::Values) {
            return Ok(Str::default());
        }
        match self.next(Context::Values) {
            (Token::Identifier, value) => Ok(value.into()),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<Str>, String> {
        match self.next(Context::Values) {
            (Token::Open, _) => {}
            (_, found) => return Err(format!("found '{found}' expected: '('")),
        }
        match self.peek(Context::Values) {
            (Token::Identifier | Token::Comma, first) => {
                let values = self.identifiers()?;
                match self.next(Context::Values) {
                    (Token::Close, _) => Ok(values),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            (Token::Close, _) => {
                self.next(Context::Values);
                Ok(Vec::new())
            }
            (_, found) => Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
    }

    /// Values between parentheses; nothing before, between or after commas is the empty value.
    fn identifiers(&mut self) -> Result<Vec<Str>, String> {
        let mut values: Vec<Str> = Vec::new();
        loop {
            match self.next(Context::Values) {
                (Token::Identifier, value) => {
                    values.push(value.into());
                    match self.peek(Context::Values) {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push(Str::default());
                    }
                    match self.peek(Context::Values) {
                        (Token::Close, _) => {
                            values.push(Str::default());
                            return Ok(values);
                        }
                        (Token::Comma, _) => {
                            self.next(Context::Values);
                            values.push(Str::default());
                        }
                        _ => {}
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }
}
