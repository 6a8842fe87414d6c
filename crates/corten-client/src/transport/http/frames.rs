//! Cuts the body of a watch into its events, one JSON text to a line, however the bytes arrive.

use bytes::{Bytes, BytesMut};
use corten_apimachinery::status::{Reason, Status};

/// Bytes that have arrived and are not cut yet. Capacity: one event of at most `bytes_max`, and one chunk of the
/// connection.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// Up to here there is no line end.
    searched: usize,
    bytes_max: usize,
}

impl Frames {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, bytes_max }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Whether nothing but space is left.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.iter().all(u8::is_ascii_whitespace)
    }

    /// The next complete event; `None` when more bytes are needed.
    ///
    /// Errors: an event is larger than allowed.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return if self.searched > self.bytes_max { Err(self.too_large()) } else { Ok(None) };
            };
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            if line.len() > self.bytes_max {
                return Err(self.too_large());
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
    }

    fn too_large(&self) -> Status {
        Status::new(Reason::Unknown, format!("an event of the watch is larger than {} bytes", self.bytes_max))
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn events_are_cut_however_the_bytes_arrive() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\"";
        for size in 1..text.len() {
            let (mut frames, mut got) = (Frames::new(10), Vec::new());
            for chunk in text.chunks(size) {
                frames.push(chunk);
                while let Some(frame) = frames.next().unwrap() {
                    got.push(String::from_utf8(frame.to_vec()).unwrap().trim().to_owned());
                }
            }
            assert_eq!(got, ["{\"a\":1}", "{\"b\":2}"], "chunks of {size}");
            assert!(!frames.is_empty());
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut frames = Frames::new(8);
        frames.push(b"12345678");
        assert_eq!(frames.next(), Ok(None));
        frames.push(b"9");
        assert!(frames.next().is_err());
    }
}
