//! What a token's secret lacks.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_apimachinery::value::Value;

/// Which account a secret is for.
pub(super) const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
/// The incarnation of that account.
pub(super) const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// The parts of a secret that are to be filled in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// `ca.crt` is absent or another one.
    pub(super) authority: bool,
    /// `namespace` is absent.
    pub(super) namespace: bool,
    /// `token` is absent.
    pub(super) token: bool,
}

impl Missing {
    /// What `secret` lacks; `authority` is the bundle, PEM, empty for none.
    pub(super) fn of(secret: &Value, authority: &str) -> Self {
        let data = |key: &str| secret.str_at(&["data", key]).unwrap_or_default();
        Self {
            authority: !authority.is_empty() && data("ca.crt") != BASE64_STANDARD.encode(authority),
            namespace: data("namespace").is_empty(),
            token: data("token").is_empty(),
        }
    }

    /// Whether there is anything.
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    #[track_caller]
    fn check(data: serde_json::Value, authority: &str, want: [bool; 3]) {
        let missing = Missing::of(&from_json(&json!({"data": data})), authority);
        assert_eq!([missing.authority, missing.namespace, missing.token], want);
        assert_eq!(missing.any(), want.contains(&true));
    }

    #[test]
    fn only_the_authority_is_brought_up_to_date() {
        check(json!({}), "pem", [true, true, true]);
        check(json!({}), "", [false, true, true]);
        // "cGVt" is "pem".
        check(json!({"ca.crt": "cGVt", "namespace": "eA==", "token": "eA=="}), "pem", [false; 3]);
        check(json!({"ca.crt": "eA==", "namespace": "eA==", "token": "eA=="}), "pem", [true, false, false]);
    }
}
