//! Carries out a ruleset.
//!
//! Two implementations run the same conformance suite: `nftables`, and `userspace` for kernels without nftables.

pub mod nftables;
pub mod userspace;

#[cfg(test)]
mod conformance;

use crate::ruleset::{Change, Ruleset};

/// A way to carry out rulesets. Calls block for as long as the kernel works (milliseconds).
pub trait Backend: Send + 'static {
    /// Its name for `--proxy-mode`.
    fn name(&self) -> &'static str;

    /// Brings everything from whatever it is to this ruleset, at once: what both have in common keeps working
    /// throughout.
    ///
    /// Errors: nothing has changed, or it can be called again.
    fn replace(&mut self, ruleset: &Ruleset) -> Result<(), BackendError>;

    /// Makes these changes to what the last `replace` or `apply` left, all at once where the backend can.
    ///
    /// Errors: the state is unknown; call `replace`.
    fn apply(&mut self, changes: &[Change]) -> Result<(), BackendError>;

    /// Whether what was put in place is still there, as far as can be told cheaply. `false` calls for `replace`.
    fn is_intact(&mut self) -> Result<bool, BackendError>;

    /// Takes everything out again (`--cleanup`).
    fn clean_up(&mut self) -> Result<(), BackendError>;
}

/// Why a backend could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The kernel did not take the packet rules.
    #[error("change packet rules")]
    Commit(#[from] corten_net::nftables::CommitError),
    /// Addresses, rules or connections could not be read or changed.
    #[error("talk to the kernel")]
    Netlink(#[from] corten_net::netlink::Error),
    /// A kernel setting could not be made.
    #[error("change kernel setting")]
    Sysctl(#[from] corten_net::sysctl::SysctlError),
    /// The network namespace could not be opened.
    #[error("open network namespace")]
    Netns(#[from] corten_net::netns::NetnsError),
    /// The rules are in place, but connections to endpoints that are gone could not be forgotten.
    #[error("forget stale connections")]
    Conntrack(#[source] corten_net::netlink::Error),
    /// A port could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}
