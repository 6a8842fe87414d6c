//! The error of every call: a gRPC code that callers act on, and a message that people read in events.

use std::fmt;

/// A failed call.
///
/// The text is what upstream's kubelet shows in events and in `status.message`, whether or not gRPC was involved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rpc error: code = {code} desc = {message}")]
pub struct CriError {
    /// What kind of failure.
    pub code: Code,
    /// What failed, for people.
    pub message: String,
}

/// The kinds of failure that gRPC knows, under its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The caller gave up.
    Canceled,
    /// Nothing better fits.
    Unknown,
    /// The request is wrong, whatever the state of the runtime.
    InvalidArgument,
    /// The time ran out.
    DeadlineExceeded,
    /// What the request names does not exist.
    NotFound,
    /// What the request would make exists.
    AlreadyExists,
    /// Not allowed.
    PermissionDenied,
    /// Something is full.
    ResourceExhausted,
    /// The request does not fit the present state.
    FailedPrecondition,
    /// A concurrent change got in the way.
    Aborted,
    /// Past the end.
    OutOfRange,
    /// The runtime does not have this call or option.
    Unimplemented,
    /// A bug.
    Internal,
    /// The runtime cannot be reached, or not yet: try again.
    Unavailable,
    /// Data are lost or corrupt.
    DataLoss,
    /// No valid credentials.
    Unauthenticated,
}

/// Each code with its number on the wire and its name in messages.
const CODES: &[(Code, tonic::Code, &str)] = &[
    (Code::Canceled, tonic::Code::Cancelled, "Canceled"),
    (Code::Unknown, tonic::Code::Unknown, "Unknown"),
    (Code::InvalidArgument, tonic::Code::InvalidArgument, "InvalidArgument"),
    (Code::DeadlineExceeded, tonic::Code::DeadlineExceeded, "DeadlineExceeded"),
    (Code::NotFound, tonic::Code::NotFound, "NotFound"),
    (Code::AlreadyExists, tonic::Code::AlreadyExists, "AlreadyExists"),
    (Code::PermissionDenied, tonic::Code::PermissionDenied, "PermissionDenied"),
    (Code::ResourceExhausted, tonic::Code::ResourceExhausted, "ResourceExhausted"),
    (Code::FailedPrecondition, tonic::Code::FailedPrecondition, "FailedPrecondition"),
    (Code::Aborted, tonic::Code::Aborted, "Aborted"),
    (Code::OutOfRange, tonic::Code::OutOfRange, "OutOfRange"),
    (Code::Unimplemented, tonic::Code::Unimplemented, "Unimplemented"),
    (Code::Internal, tonic::Code::Internal, "Internal"),
    (Code::Unavailable, tonic::Code::Unavailable, "Unavailable"),
    (Code::DataLoss, tonic::Code::DataLoss, "DataLoss"),
    (Code::Unauthenticated, tonic::Code::Unauthenticated, "Unauthenticated"),
];

impl CriError {
    /// An error of any kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What the request names does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// What the request would make exists.
    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, message)
    }

    /// The request is wrong.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// The request does not fit the present state.
    pub fn failed_precondition(message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, message)
    }

    /// The runtime does not have this.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self::new(Code::Unimplemented, message)
    }

    /// The runtime cannot be reached, or not yet.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// A failure without a better name.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(Code::Unknown, message)
    }

    /// Whether what the request named does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

impl Code {
    /// The code as gRPC's Go library prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, tonic::Code, &'static str) {
        CODES.iter().find(|row| row.0 == self).expect("the table has a row for every code")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<tonic::Status> for CriError {
    fn from(status: tonic::Status) -> Self {
        // `Ok` in an error is a peer's bug, which Go's library too shows as an unknown failure.
        let code = CODES.iter().find(|row| row.1 == status.code()).map_or(Code::Unknown, |row| row.0);
        let mut message = status.message().to_owned();
        // A lost connection says why only in its sources.
        let mut source = std::error::Error::source(&status);
        while let Some(error) = source {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = error.source();
        }
        Self { code, message }
    }
}

impl From<CriError> for tonic::Status {
    fn from(error: CriError) -> Self {
        Self::new(error.code.row().1, error.message)
    }
}

/// The refusals that a kubelet tells apart: the message begins with one of these words, which becomes the reason of a
/// waiting container.
///
/// Source: k8s.io/cri-api, pkg/errors.
pub mod reason {
    /// The image registry cannot be reached.
    pub const REGISTRY_UNAVAILABLE: &str = "RegistryUnavailable";
    /// The image's signature is not acceptable.
    pub const SIGNATURE_VALIDATION_FAILED: &str = "SignatureValidationFailed";
    /// Recursively read-only mounts were asked for and are not supported.
    pub const RRO_UNSUPPORTED: &str = "RROUnsupported";
    /// An image could not be mounted as a volume.
    pub const IMAGE_VOLUME_MOUNT_FAILED: &str = "ImageVolumeMountFailed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_events_show_upstream() {
        let error = CriError::not_found("no such container");
        assert_eq!(error.to_string(), "rpc error: code = NotFound desc = no such container");
    }

    #[test]
    fn every_code_survives_the_wire() {
        for (code, ..) in CODES {
            let error = CriError::new(*code, "why");
            assert_eq!(CriError::from(tonic::Status::from(error.clone())), error);
        }
    }

    #[test]
    fn an_ok_that_arrives_as_an_error_is_an_unknown_failure() {
        assert_eq!(CriError::from(tonic::Status::ok("odd")), CriError::unknown("odd"));
    }
}
