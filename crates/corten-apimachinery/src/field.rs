//! Validation errors with the path of the field they are about, worded as upstream words them.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/validation/field (v1.35).

mod error_list;
mod path;

use std::{collections::BTreeSet, fmt, fmt::Write as _, sync::LazyLock};

pub use error_list::{ERRORS_MAX, ErrorList};
pub use path::Path;
use regex::Regex;

use crate::{
    codec,
    value::{Str, Value, go_text},
};

/// How many bytes of errors are shown, not counting the one that goes beyond. Upstream shows all; that many bytes hold some
/// thousand errors, and the text of a hostile object's would be hundreds of times as large as its body.
pub(crate) const SHOWN_BYTES_MAX: usize = 1024 * 1024;

/// What stands in for the errors that are not shown.
pub(crate) const NOT_SHOWN: &str = "and more errors, which are not shown";

/// The kind of an error, with the reason that its cause in a `Status` carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// A referenced value does not exist.
    NotFound,
    /// A value is missing.
    Required,
    /// A value that must be unique is not.
    Duplicate,
    /// A value is malformed or not allowed in this place.
    Invalid,
    /// A value is not one of a fixed set.
    NotSupported,
    /// The field must not be set here.
    Forbidden,
    /// A text is too long.
    TooLong,
    /// A list has too many items.
    TooMany,
    /// The check itself failed.
    Internal,
    /// A value has the wrong type.
    TypeInvalid,
}

impl ErrorType {
    /// The reason of the cause in a `Status`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// What an error shows of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum BadValue {
    /// A tree: a text by itself in quotes, all else as JSON.
    Tree(Value),
    /// JSON as it is to be shown: of a struct that has another form inside of the server.
    Json(Str),
}

/// One validation error.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// The kind.
    pub kind: ErrorType,
    /// The field's path.
    pub field: String,
    /// The offending value, if it is to be shown.
    pub bad_value: Option<BadValue>,
    /// What is wrong with it; may be empty.
    pub detail: String,
}

impl Error {
    fn new(kind: ErrorType, path: &Path, bad_value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: path.to_string(), bad_value: bad_value.map(BadValue::Tree), detail: detail.into() }
    }

    /// A value is missing.
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Required, path, None, detail)
    }

    /// A value is not allowed.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, path, Some(value.into()), detail)
    }

    /// This error with `json` in place of its value.
    #[must_use]
    pub fn showing(self, json: impl Into<Str>) -> Self {
        Self { bad_value: Some(BadValue::Json(json.into())), ..self }
    }

    /// A value is not allowed that is not shown.
    pub fn invalid_unshown(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, path, None, detail)
    }

    /// A value has the wrong type.
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::TypeInvalid, path, Some(value.into()), detail)
    }

    /// A value is not one of `supported`.
    pub fn not_supported<S: AsRef<str>>(path: &Path, value: impl Into<Value>, supported: &[S]) -> Self {
        let mut detail = String::new();
        if !supported.is_empty() {
            detail.push_str("supported values: ");
            for (index, value) in supported.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                let _ = write!(detail, "{comma}{}", quote(value.as_ref()));
            }
        }
        Self::new(ErrorType::NotSupported, path, Some(value.into()), detail)
    }

    /// A referenced value does not exist.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::NotFound, path, Some(value.into()), "")
    }

    /// A value that must be unique is not.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::Duplicate, path, Some(value.into()), "")
    }

    /// A value that must be unique is not, and is not shown.
    #[must_use]
    pub fn duplicate_unshown(path: &Path) -> Self {
        Self::new(ErrorType::Duplicate, path, None, "")
    }

    /// The field must not be set, or not like this.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Forbidden, path, None, detail)
    }

    /// A text is longer than `limit_bytes`.
    pub fn too_long(path: &Path, limit_bytes: usize) -> Self {
        let plural = if limit_bytes == 1 { "byte" } else { "bytes" };
        Self::new(ErrorType::TooLong, path, None, format!("may not be more than {limit_bytes} {plural}"))
    }

    /// A list has `actual` items, more than `limit`.
    pub fn too_many(path: &Path, actual: usize, limit: usize) -> Self {
        let plural = if limit == 1 { "item" } else { "items" };
        let value = Value::Int(i64::try_from(actual).unwrap_or(i64::MAX));
        Self::new(ErrorType::TooMany, path, Some(value), format!("must have at most {limit} {plural}"))
    }

    /// The check itself failed.
    pub fn internal(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(ErrorType::Internal, path, None, error.to_string())
    }

    /// The text without the field's path: what a cause's message says.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = self.kind.text().to_owned();
        if let Some(value) = &self.bad_value {
            body.push_str(": ");
            match value {
                BadValue::Json(json) => body.push_str(json),
                BadValue::Tree(Value::String(text)) => body.push_str(&quote(text)),
                // By itself a number is shown as Go prints it, within others as JSON.
                BadValue::Tree(value @ Value::Float(_)) => body.push_str(&go_text(value)),
                BadValue::Tree(value) => body.push_str(&String::from_utf8_lossy(&codec::json::encode(value, None))),
            }
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.body()) } else { write!(f, "{}: {}", self.field, self.body()) }
    }
}

/// The text of a whole list: one error as it is, several in brackets, each text once. The end of a very long one is not shown.
#[must_use]
pub fn aggregate(errors: &[Error]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut left_bytes = SHOWN_BYTES_MAX;
    for error in errors {
        if left_bytes == 0 {
            texts.push(NOT_SHOWN.to_owned());
            break;
        }
        let text = error.to_string();
        // Also for one that was there before: making it costs as much.
        left_bytes = left_bytes.saturating_sub(text.len());
        if seen.insert(text.clone()) {
            texts.push(text);
        }
    }
    if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) }
}

/// Quotes text as Go's `%q` does.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if !c.is_ascii() && !is_print(c) => {
                let _ = if c > '\u{ffff}' {
                    write!(out, "\\U{:08x}", c as u32)
                } else {
                    write!(out, "\\u{:04x}", c as u32)
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether Go prints a character as it is: letters, marks, numbers, punctuation and symbols, and of spaces only the ASCII one.
fn is_print(c: char) -> bool {
    static PRINTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").ok());
    let mut bytes = [0; 4];
    PRINTED.as_ref().is_none_or(|printed| printed.is_match(c.encode_utf8(&mut bytes)))
}

/// A value that has no tree form shows as its text.
impl From<fmt::Arguments<'_>> for Value {
    fn from(text: fmt::Arguments<'_>) -> Self {
        Self::String(Str::from(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &Error, want: &str) {
        assert_eq!(error.to_string(), want);
    }

    #[test]
    fn errors_read_as_upstreams() {
        let path = Path::new("spec").child("containers").index(0).child("name");
        check(&Error::required(&path, ""), "spec.containers[0].name: Required value");
        check(
            &Error::invalid(&path, "A\"", "must be lower case"),
            r#"spec.containers[0].name: Invalid value: "A\"": must be lower case"#,
        );
        check(
            &Error::invalid(&path, -1, "must be positive"),
            "spec.containers[0].name: Invalid value: -1: must be positive",
        );
        check(
            &Error::not_supported(&path, "x", &["a", "b"]),
            r#"spec.containers[0].name: Unsupported value: "x": supported values: "a", "b""#,
        );
        check(&Error::duplicate(&path, "x"), r#"spec.containers[0].name: Duplicate value: "x""#);
        check(
            &Error::forbidden(&Path::new("metadata").child("labels").key("app"), "no"),
            "metadata.labels[app]: Forbidden: no",
        );
        check(&Error::too_many(&path, 3, 1), "spec.containers[0].name: Too many: 3: must have at most 1 item");
        check(&Error::too_long(&path, 1), "spec.containers[0].name: Too long: may not be more than 1 byte");
        check(&Error::too_long(&path, 2), "spec.containers[0].name: Too long: may not be more than 2 bytes");
    }

    #[test]
    fn texts_are_quoted_and_all_else_is_json() {
        let path = Path::new("a");
        check(
            &Error::invalid(&path, "<\u{a0}\u{e9}\u{200b}\u{e000}\u{10ffff}>\u{7f}", ""),
            r#"a: Invalid value: "<\u00a0\u{e9}\u200b\ue000\U0010ffff>\x7f""#.replace("\\u{e9}", "\u{e9}").as_str(),
        );
        let list = Value::array(["<a>", "\u{1}\u{2028}"].map(Value::from));
        check(&Error::invalid(&path, list, ""), r#"a: Invalid value: ["\u003ca\u003e","\u0001\u2028"]"#);
        check(&Error::invalid(&path, "x", "why").showing("{\"A\":null}"), "a: Invalid value: {\"A\":null}: why");
    }

    #[test]
    fn a_list_says_each_text_once() {
        let (a, b) = (Error::required(&Path::new("a"), ""), Error::required(&Path::new("b"), ""));
        assert_eq!(aggregate(std::slice::from_ref(&a)), "a: Required value");
        assert_eq!(aggregate(&[a.clone(), b, a]), "[a: Required value, b: Required value]");
    }

    /// Each text was compared with all before it, and all were shown: one request kept a thread busy for minutes.
    #[test]
    fn a_very_long_list_is_cut_short() {
        let path = Path::new("metadata").child("annotations");
        let error = |number: usize| Error::invalid(&path, format!("{number:06}!"), "x".repeat(100));
        let errors: Vec<Error> = (0..250_000).map(error).collect();
        let text = aggregate(&errors);
        assert!((SHOWN_BYTES_MAX..2 * SHOWN_BYTES_MAX).contains(&text.len()), "{}", text.len());
        assert!(text.starts_with(&format!("[{}, {}, ", errors[0], errors[1])));
        assert!(text.ends_with(", and more errors, which are not shown]"));
        // As many as anybody has are shown, and so is a single large one.
        let thousand = aggregate(&errors[..1_000]);
        let all: Vec<String> = errors[..1_000].iter().map(ToString::to_string).collect();
        assert_eq!(thousand, format!("[{}]", all.join(", ")));
        let large = Error::invalid(&path, "y".repeat(2 * SHOWN_BYTES_MAX), "");
        assert_eq!(aggregate(std::slice::from_ref(&large)), large.to_string());
    }
}
