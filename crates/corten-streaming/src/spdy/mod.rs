//! SPDY/3.1: many streams on one connection, for clients that do not speak WebSocket, and inside of WebSockets.
//!
//! Flow: `connect` gives new streams of the peer and a driver. The driver reads frames into the streams' buffers and writes
//! what their writers have queued.
//! Flow control: the peer is told of room in a stream as its bytes are read, and a full buffer stops the reading of the whole
//! connection. Sending is bounded by the connection alone: upstream's clients neither open windows nor keep to them.
//! Upstream: github.com/moby/spdystream, k8s.io/apimachinery/pkg/util/httpstream/spdy (v1.35).

mod connection;
mod dictionary;
pub(crate) mod frame;
mod headers;

pub use connection::{Connection, Role, STREAMS_MAX, Stream, connect};
pub use headers::Headers;

/// The peer breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpdyError {
    /// A header block cannot be decompressed.
    #[error("header compression broke")]
    Compression,
    /// A frame or a header block is longer than allowed.
    #[error("frame too large")]
    TooLarge,
    /// Something does not have its form.
    #[error("malformed {0}")]
    Malformed(&'static str),
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
