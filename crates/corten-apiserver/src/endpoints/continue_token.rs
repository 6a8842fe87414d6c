//! Tokens that continue a list where its last page ended.
//!
//! A client can forge one: it leads to nothing that a list without it would not show.
//! Upstream: k8s.io/apiserver/pkg/storage/continue.go (v1.35).

use corten_apimachinery::{codec::FieldValidation, status::Status, value::Value};

use super::{body::decode_json, go_base64};

/// The token for the next page, in upstream's form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContinueToken {
    /// The revision of the list; 0 for "whatever is newest".
    pub(super) revision: u64,
    /// The cache key to start from.
    pub(super) start: String,
    /// How many objects there are from there on, if all are in view: counted for the first page, and not for each one anew.
    /// Upstream's tokens do not say it, and nothing but the number that a client is told depends on it.
    pub(super) left: Option<u64>,
}

impl ContinueToken {
    const VERSION: &str = "meta.k8s.io/v1";

    pub(super) fn encode(&self) -> String {
        let rv = if self.revision == 0 { -1 } else { i64::try_from(self.revision).unwrap_or(i64::MAX) };
        let mut tree = Value::object_of([
            ("v", Value::from(Self::VERSION)),
            ("rv", rv.into()),
            ("start", self.start.as_str().into()),
        ]);
        if let Some(left) = self.left.and_then(|left| i64::try_from(left).ok()) {
            tree.set(&["left"], left);
        }
        crate::base64_url(&corten_apimachinery::codec::json::encode(&tree, None))
    }

    /// Errors: 400, for what is no token of ours.
    ///
    /// Upstream: `DecodeContinue` in k8s.io/apiserver/pkg/storage/continue.go (v1.35).
    pub(super) fn decode(token: &str) -> Result<Self, Status> {
        let invalid =
            |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = go_base64::decode_url(token).map_err(|error| invalid(&error.to_string()))?;
        let tree =
            decode_json(&bytes, None, FieldValidation::Ignore).map_err(|error| invalid(&error.to_string()))?.value;
        if let Some(why) = Self::mismatch(&tree) {
            return Err(invalid(&why));
        }
        let text = |key: &str| tree.str_at(&[key]).unwrap_or_default();
        if text("v") != Self::VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {}", text("v"))));
        }
        let revision = match tree.i64_at(&["rv"]).unwrap_or_default() {
            0 => return Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
            revision => u64::try_from(revision).unwrap_or(0),
        };
        let start = text("start");
        if start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        // A forged key could only leave the resource's keys by stepping up.
        if start.strip_prefix('/').unwrap_or(start).split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(invalid(start));
        }
        let left = tree.i64_at(&["left"]).and_then(|left| u64::try_from(left).ok());
        Ok(Self { revision, start: start.to_owned(), left })
    }

    /// The first field that is of another type than it should be, in the words of Go's decoder.
    fn mismatch(tree: &Value) -> Option<String> {
        let is_type = |value: &Value, ty: &str| match value {
            Value::Null => true,
            Value::String(_) => ty == "string",
            Value::Int(_) => ty == "int64",
            _ => false,
        };
        let fields = match tree {
            Value::Null => return None,
            Value::Object(fields) => fields,
            other => {
                let found = other.go_json_type();
                return Some(format!("json: cannot unmarshal {found} into Go value of type storage.continueToken"));
            }
        };
        [("v", "string"), ("rv", "int64"), ("start", "string")].into_iter().find_map(|(name, ty)| {
            let value = fields.get(name).filter(|value| !is_type(value, ty))?;
            let found = match value {
                Value::Float(number) => format!("number {number}"),
                other => other.go_json_type().to_owned(),
            };
            Some(format!("json: cannot unmarshal {found} into Go struct field continueToken.{name} of type {ty}"))
        })
    }
}

/// The list can only be finished in another state than it began: the client may choose that, or start again.
pub(super) fn expired_continue(token: &ContinueToken) -> Status {
    let expired = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
         the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
         Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
         deleted between the time the first chunk was returned and now may show up in the list.",
    );
    Status { continue_token: ContinueToken { revision: 0, start: token.start.clone(), left: None }.encode(), ..expired }
}

#[cfg(test)]
mod tests {
    use corten_base::SimRng;

    use super::ContinueToken;

    #[test]
    fn no_input_harms_a_decoder() {
        let corpus = || {
            let tokens = [(7, "default/web"), (0, "a"), (u64::MAX, "x/y/z")];
            let token = |(revision, start): (u64, &str)| {
                ContinueToken { revision, start: start.to_owned(), left: None }.encode()
            };
            let forged = [r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"../x"}"#, r#"{"v":1,"rv":1e99,"start":[]}"#];
            let forged = forged.map(|text| crate::base64_url(text.as_bytes()));
            tokens.map(token).into_iter().chain(forged).map(String::into_bytes).collect()
        };
        let run = |input: &[u8]| {
            let Ok(text) = std::str::from_utf8(input) else { return };
            if let Ok(token) = ContinueToken::decode(text) {
                assert!(!token.start.split('/').any(|segment| segment == ".."), "{token:?} leads elsewhere");
                assert_eq!(ContinueToken::decode(&token.encode()).unwrap().start, token.start);
            }
            // What is inside, past the encoding.
            let _ = ContinueToken::decode(&crate::base64_url(input));
        };
        corten_fuzz::smoke(&[corten_fuzz::Target { name: "continue token", corpus, run }]);
    }

    #[test]
    fn a_token_survives() {
        let token = ContinueToken { revision: 7, start: "default/web".to_owned(), left: Some(3) };
        assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
    }

    #[test]
    fn a_token_that_was_tampered_with_harms_nobody() {
        let rng = SimRng::shared(7);
        let token = ContinueToken { revision: 7, start: "default/web".to_owned(), left: Some(3) }.encode();
        for _ in 0..20_000 {
            let mut forged = token.clone().into_bytes();
            for _ in 0..=rng.below(2) {
                let at = rng.below(forged.len() as u64) as usize;
                forged[at] = b' ' + rng.below(95) as u8;
            }
            if let Ok(read) = ContinueToken::decode(std::str::from_utf8(&forged).unwrap()) {
                assert_eq!(ContinueToken::decode(&read.encode()).unwrap(), read);
            }
        }
    }

    /// Go's decoders speak through upstream's.
    #[test]
    fn a_forged_token_is_refused_in_upstreams_words() {
        #[track_caller]
        fn check(token: &str, want: &str) {
            let status = ContinueToken::decode(token).unwrap_err();
            let prefix = "invalid continue token: continue key is not valid: ";
            assert_eq!((status.code, status.message.strip_prefix(prefix)), (400, Some(want)), "{token}");
        }
        let forged = |json: &str| crate::base64_url(json.as_bytes());
        check("abc", "invalid character 'i' looking for beginning of value");
        check("", "unexpected end of JSON input");
        check("not base64!", "illegal base64 data at input byte 3");
        check("abcde", "illegal base64 data at input byte 4");
        check("e30=", "illegal base64 data at input byte 3");
        check("e30", "server does not recognize this encoded version ");
        check(&forged("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken");
        check(&forged("7"), "json: cannot unmarshal number into Go value of type storage.continueToken");
        let field = "json: cannot unmarshal number into Go struct field continueToken.v of type string";
        check(&forged(r#"{"v": 1}"#), field);
        check(&forged(r#"{"v": "v2"}"#), "server does not recognize this encoded version v2");
        let version = r#""v": "meta.k8s.io/v1""#;
        let revision = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
        check(&forged(&format!("{{{version}}}")), revision);
        check(&forged(&format!("{{{version}, \"rv\": 3}}")), "encoded start key empty (version meta.k8s.io/v1)");
        for start in ["../secrets", "a//b", "a/./b", "a/", "//a"] {
            check(&ContinueToken { revision: 7, start: start.to_owned(), left: None }.encode(), start);
        }
    }
}
