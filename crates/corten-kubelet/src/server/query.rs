//! Queries of requests.

use http::{Request, Uri};
use percent_encoding::percent_decode_str;

/// A decoded query. Pairs that cannot be decoded are dropped, as upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The query of a request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self::parse(Uri::query(request.uri()).unwrap_or_default())
    }

    /// Decodes a query.
    pub(super) fn parse(text: &str) -> Self {
        let decode = |part: &str| {
            percent_decode_str(&part.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Self(pairs.collect())
    }

    /// The first value of `name`.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether `name` is given and says neither `0` nor `false`, in whatever case.
    ///
    /// Source: `Convert_Slice_string_To_bool` (`apimachinery/pkg/runtime/conversion.go`, v1.35).
    pub(super) fn flag(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// Whether `name` is `1`, which is how the API server asks for a stream.
    pub(super) fn is_one(&self, name: &str) -> bool {
        self.find(name) == Some("1")
    }
}
