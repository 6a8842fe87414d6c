//! The last word about a remote command, as clients read it from the error stream.
//!
//! Upstream: k8s.io/kubelet/pkg/cri/streaming/remotecommand/{exec,attach,httpstream}.go (v1.35).

use serde_json::{Value, json};

/// How a remote command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// A command exited with a code other than 0.
    ExitCode {
        /// The code.
        code: i32,
        /// Who says so: `error executing command [false], exit code 1`.
        message: String,
    },
    /// It could not be run or joined.
    Error(String),
}

impl Outcome {
    /// The `Status` as protocols from version 4 on carry it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Success => json!({"metadata": {}, "status": "Success"}),
            Self::ExitCode { code, .. } => json!({
                "metadata": {},
                "status": "Failure",
                "message": self.message(),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Error(message) => json!({
                "metadata": {},
                "status": "Failure",
                "message": self.message(),
                "reason": "InternalError",
                "details": {"causes": [{"message": message}]},
                "code": 500,
            }),
        }
    }

    /// What goes to the error stream. Protocols before version 4 send a message, and nothing for success.
    #[must_use]
    pub fn to_bytes(&self, as_status: bool) -> Vec<u8> {
        if as_status { self.to_json().to_string().into_bytes() } else { self.message().into_bytes() }
    }

    fn message(&self) -> String {
        match self {
            Self::Success => String::new(),
            Self::ExitCode { message, .. } => format!("command terminated with non-zero exit code: {message}"),
            Self::Error(message) => format!("Internal error occurred: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_a_cause_that_clients_read() {
        let outcome = Outcome::ExitCode { code: 3, message: "error executing command [false], exit code 3".to_owned() };
        let status = outcome.to_json();
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
        assert_eq!(
            String::from_utf8(outcome.to_bytes(false)).unwrap(),
            "command terminated with non-zero exit code: error executing command [false], exit code 3"
        );
    }

    #[test]
    fn success_says_nothing_in_old_protocols() {
        assert!(Outcome::Success.to_bytes(false).is_empty());
        assert_eq!(Outcome::Success.to_bytes(true), br#"{"metadata":{},"status":"Success"}"#);
    }
}
