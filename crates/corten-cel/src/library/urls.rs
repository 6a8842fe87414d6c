//! URLs.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/urls.go (v1.35).

use std::{any::Any, collections::BTreeMap, sync::Arc};

use corten_apimachinery::{
    field::quote,
    go_url::{GoUrl, NoUrl},
};

use super::{Function, Library, Overload, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Entries, Key, Map, Opaque, Text, Value},
};

impl Opaque for GoUrl {
    fn type_name(&self) -> &'static str {
        "kubernetes.URL"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Reads an absolute URL or path.
///
/// Errors: why it is none.
fn parse(text: &str) -> Result<GoUrl, NoUrl> {
    // The request form has no fragment, so a path or query with a broken escape behind the mark is refused as well.
    GoUrl::parse_request(text).and_then(|_| GoUrl::parse(text))
}

/// Whether `text` is an absolute URL or path.
///
/// Errors: why it is none.
pub(super) fn check(text: &str) -> Result<(), String> {
    parse(text).map(|_| ()).map_err(|error| format!("parse {}: {error}", quote(text)))
}

fn url<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    context.make_text(text.len())?;
    match parse(text) {
        Ok(url) => Ok(Value::Opaque(Arc::new(url))),
        Err(error) => Err(EvalError::failed(format!(
            "URL parse error during conversion from string: parse {}: {error}",
            quote(text)
        ))),
    }
}

fn is_url<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    Ok(Value::Bool(parse(text).is_ok()))
}

fn part<'a>(context: &mut Context<'_>, args: &[Value<'a>], part: fn(&GoUrl) -> String) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Opaque(opaque)] => match opaque.downcast::<GoUrl>() {
            Some(url) => {
                let part = part(url);
                context.make_text(part.len())?;
                Ok(Value::string(part))
            }
            None => wrong_types(),
        },
        _ => wrong_types(),
    }
}

fn scheme<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part(context, args, |url| url.scheme.clone())
}

fn host<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part(context, args, |url| url.host.clone())
}

fn hostname<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part(context, args, |url| url.hostname().to_owned())
}

fn port<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part(context, args, |url| url.port().to_owned())
}

fn escaped_path<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    part(context, args, |url| url.escaped_path.clone())
}

fn query<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Opaque(opaque)] = args else { return wrong_types() };
    let Some(url) = opaque.downcast::<GoUrl>() else { return wrong_types() };
    let mut values: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for (key, value) in url.query() {
        context.make_entries(1)?;
        context.make_text(key.len() + value.len())?;
        values.entry(key).or_default().push(Value::string(value));
    }
    let entries: Entries<'a> = values
        .into_iter()
        .map(|(key, values)| {
            let key = Text::from(key);
            (Key::String(key.clone()), (Value::String(key), Value::list(values)))
        })
        .collect();
    Ok(Value::Map(Map::of(entries)))
}

const fn unit(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::UNIT, overloads }
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "url",
        cost: &costs::URL,
        overloads: &[overload("string_to_url", "(string): kubernetes.URL", url)],
    },
    Function {
        name: "isURL",
        cost: &costs::STANDARD,
        overloads: &[overload("is_url_string", "(string): bool", is_url)],
    },
    unit("getScheme", &[overload("url_get_scheme", "kubernetes.URL.(): string", scheme)]),
    unit("getHost", &[overload("url_get_host", "kubernetes.URL.(): string", host)]),
    unit("getHostname", &[overload("url_get_hostname", "kubernetes.URL.(): string", hostname)]),
    unit("getPort", &[overload("url_get_port", "kubernetes.URL.(): string", port)]),
    unit("getEscapedPath", &[overload("url_get_escaped_path", "kubernetes.URL.(): string", escaped_path)]),
    unit("getQuery", &[overload("url_get_query", "kubernetes.URL.(): map(string, list(string))", query)]),
];

pub(super) static LIBRARY: Library =
    Library { name: "kubernetes.urls", types: &["kubernetes.URL"], functions: &[FUNCTIONS] };
