//! What can go wrong between us and the kernel.

use std::{error::Error as StdError, io};

/// A failed netlink operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be opened or configured.
    #[error("open netlink socket")]
    Open {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A message could not be sent or received.
    #[error("{action} netlink message")]
    Transfer {
        /// `send` or `receive`.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the request.
    #[error("{operation}{}", kernel_message(message.as_deref()))]
    Refused {
        /// What was asked for, with the names of the objects.
        operation: String,
        /// The kernel's own words, if it had any.
        message: Option<String>,
        /// Byte offset of the offending attribute in the request, if the kernel named one.
        attribute_offset: Option<u32>,
        /// The error number.
        #[source]
        source: io::Error,
    },
    /// A message from the kernel does not have the form it must have.
    #[error("netlink message is malformed: {0}")]
    Malformed(&'static str),
    /// A request does not fit the protocol: an attribute can carry 65,535 bytes.
    #[error("netlink attribute of {size_bytes} bytes is too large")]
    TooLarge {
        /// Size of the attribute that did not fit.
        size_bytes: usize,
    },
    /// A name or value is not acceptable to the kernel and was not sent.
    #[error("{what} {value:?} is not valid")]
    Invalid {
        /// Which input.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// Something that has to exist does not.
    #[error("{what} {name} does not exist")]
    Missing {
        /// The kind of object.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The network namespace could not be entered.
    #[error("enter network namespace")]
    Netns {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// The error number of the kernel, if it refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source } | Self::Transfer { source, .. } | Self::Refused { source, .. } => {
                source.raw_os_error()
            }
            _ => None,
        }
    }

    /// Whether the object was there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// Whether the object (or the interface, route, address it refers to) is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL))
            || matches!(self, Self::Missing { .. })
    }

    /// Says what was being done when the kernel refused.
    pub(crate) fn during(self, describe: impl FnOnce() -> String) -> Self {
        match self {
            Self::Refused { message, attribute_offset, source, .. } => {
                Self::Refused { operation: describe(), message, attribute_offset, source }
            }
            other => other,
        }
    }
}

fn kernel_message(message: Option<&str>) -> String {
    message.map(|m| format!(" (kernel: {m})")).unwrap_or_default()
}
