//! WebSockets whose messages begin with a channel number, and WebSockets that carry any bytes.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/httpstream/wsstream, k8s.io/client-go/transport/websocket (v1.35).

mod bytes_io;
mod channels;
mod frames;
mod messages;

pub use bytes_io::ByteStream;
pub use channels::{Channels, Encoding, connect};
pub use frames::copy_frames;
pub use messages::{send_bytes, send_messages};

use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use crate::BoxIo;

/// The longest message that is read: upstream's clients send 32 KiB at once.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A connection that was switched to WebSocket already, seen from `role`.
pub async fn switched(io: BoxIo, role: Role) -> WebSocketStream<BoxIo> {
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = 32 << 10;
    // Messages go out when the writer flushes: after each, because frames must not share a TLS record (see `frames`).
    config.write_buffer_size = 32 << 10;
    config.max_write_buffer_size = 4 * MESSAGE_BYTES_MAX;
    config.max_message_size = Some(MESSAGE_BYTES_MAX);
    config.max_frame_size = Some(MESSAGE_BYTES_MAX);
    WebSocketStream::from_raw_socket(io, role, Some(config)).await
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
