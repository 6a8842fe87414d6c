//! Where the frames of a WebSocket end, for whoever hands its bytes on without a look at them.
//!
//! Invariant: a frame ends where a write ends, so that over TLS no record has the end of one frame and the start of the next.
//! Clients that wait for the socket to become readable, as the Python client does (websocket-client reads a frame at a time),
//! would not see what their TLS library holds of the next frame already: they wait for seconds, or for ever.
//! Upstream: Go's `tls.Conn` reads and writes a record at a time, so that its proxies keep the writes of the origin
//! (k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go, v1.35). RFC 6455, section 5.2, has the layout.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Two bytes, a length of up to eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;

/// As much as a peer sends at once; a longer frame takes several writes.
const BUFFER_BYTES: usize = 32 << 10;

/// How far into a frame the bytes that were seen lead.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    payload_left: u64,
}

/// Hands on what a WebSocket sends until it ends, then ends `writer`: each frame ends a write.
pub async fn copy_frames(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let len = reader.read(&mut buffer).await?;
        if len == 0 {
            return writer.shutdown().await;
        }
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(frames.advance(rest));
            writer.write_all(piece).await?;
            // A buffer on the way would join what was parted.
            writer.flush().await?;
            rest = others;
        }
    }
}

impl Frames {
    /// Passes over `bytes` up to the end of the frame that they are in, or over all of them; tells how many that is, which is
    /// at least one unless there is none.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.payload_left == 0 {
            let Some(&byte) = bytes.get(at) else { return at };
            at += 1;
            self.header[self.header_len] = byte;
            self.header_len += 1;
            if let Some(payload) = self.payload() {
                self.header_len = 0;
                self.payload_left = payload;
                if payload == 0 {
                    return at;
                }
            }
        }
        let here = bytes.len() - at;
        let taken = usize::try_from(self.payload_left).map_or(here, |left| left.min(here));
        self.payload_left -= taken as u64;
        at + taken
    }

    /// How long the frame's payload is, once its header is complete.
    fn payload(&self) -> Option<u64> {
        let header = &self.header[..self.header_len];
        let second = *header.get(1)?;
        let mask_len = if second & 0x80 == 0 { 0 } else { 4 };
        let (length_end, payload) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(header.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        (header.len() == length_end + mask_len).then_some(payload)
    }
}

/// Where frames end in bytes that come in pieces of this length.
#[cfg(test)]
pub(super) fn ends(bytes: &[u8], piece: usize) -> Vec<usize> {
    let (mut frames, mut at, mut ends) = (Frames::default(), 0, Vec::new());
    for mut rest in bytes.chunks(piece.max(1)) {
        while !rest.is_empty() {
            let taken = frames.advance(rest);
            assert!(taken > 0, "it goes on");
            at += taken;
            rest = &rest[taken..];
            if frames.payload_left == 0 && frames.header_len == 0 {
                ends.push(at);
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests;
