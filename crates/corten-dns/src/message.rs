//! The DNS message format (RFC 1035, RFC 6891): what a cluster's DNS reads and writes, and nothing more. Pure.
//!
//! Invariant: no input can make it panic, loop, or read outside the message.

pub mod name;
pub mod query;
pub mod response;
pub mod upstream;

pub use name::Name;
pub use query::{Edns, Query, Rejection};
pub use response::{Response, Section};
pub use upstream::UpstreamReply;

/// Record types, classes and codes, by their names in the registry.
pub mod code {
    /// IPv4 address.
    pub const A: u16 = 1;
    /// Name server.
    pub const NS: u16 = 2;
    /// Alias.
    pub const CNAME: u16 = 5;
    /// Start of authority.
    pub const SOA: u16 = 6;
    /// Name of an address.
    pub const PTR: u16 = 12;
    /// Text.
    pub const TXT: u16 = 16;
    /// IPv6 address.
    pub const AAAA: u16 = 28;
    /// Service location.
    pub const SRV: u16 = 33;
    /// EDNS pseudo record.
    pub const OPT: u16 = 41;
    /// Incremental zone transfer.
    pub const IXFR: u16 = 251;
    /// Zone transfer.
    pub const AXFR: u16 = 252;
    /// The class of the internet.
    pub const IN: u16 = 1;

    /// Response code: no error.
    pub const NO_ERROR: u16 = 0;
    /// Response code: the query was malformed.
    pub const FORMAT_ERROR: u16 = 1;
    /// Response code: the server failed.
    pub const SERVER_FAILURE: u16 = 2;
    /// Response code: the name does not exist.
    pub const NAME_ERROR: u16 = 3;
    /// Response code: not implemented.
    pub const NOT_IMPLEMENTED: u16 = 4;
    /// Response code: refused.
    pub const REFUSED: u16 = 5;
    /// Response code (extended): EDNS version not supported.
    pub const BAD_VERSION: u16 = 16;
}

/// The bytes of a message's header.
pub const HEADER_BYTES: usize = 12;
/// The largest message: the length in front of it over TCP has two bytes.
pub const MAX_MESSAGE_BYTES: usize = 65_535;
/// The largest answer over UDP without EDNS (RFC 1035).
pub const MIN_UDP_BYTES: usize = 512;
/// The largest answer over UDP that a client may ask for: enough for a big headless service, little enough for fragments.
pub const MAX_UDP_BYTES: usize = 4_096;

/// Big-endian, at `at`.
pub(crate) fn read_u16(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// Big-endian, at `at`.
pub(crate) fn read_u32(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(message.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
