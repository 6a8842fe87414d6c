//! The netlink wire format: a message is a 16-byte header, a fixed header of its family, and attributes (16-bit length,
//! 16-bit type, value, padding to 4).
//!
//! Integers are in host order unless an attribute says otherwise (nftables uses network order throughout: the `be*`
//! functions).
//! Source: Linux `include/uapi/linux/netlink.h`.

use super::error::Error;

/// Bytes of `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const NESTED: u16 = 1 << 15;
/// The upper two bits of a type are flags (nested, network byte order).
const TYPE_MASK: u16 = 0x3fff;

/// Flags of a message header.
pub mod flags {
    /// Every message to the kernel carries this.
    pub const REQUEST: u16 = 0x001;
    /// One of several answers; the last one is a "done" message.
    pub const MULTI: u16 = 0x002;
    /// Ask for an acknowledgement.
    pub const ACK: u16 = 0x004;
    /// Send the notification about the change back to the sender too.
    pub const ECHO: u16 = 0x008;
    /// All objects that match (on a get).
    pub const DUMP: u16 = 0x300;
    /// Change an existing object (on a new).
    pub const REPLACE: u16 = 0x100;
    /// Refuse when the object exists (on a new).
    pub const EXCL: u16 = 0x200;
    /// Create the object when it does not exist (on a new).
    pub const CREATE: u16 = 0x400;
    /// Put it at the end of the list (on a new).
    pub const APPEND: u16 = 0x800;
    /// The objects changed while they were listed.
    pub const DUMP_INTERRUPTED: u16 = 0x010;
}

/// Writes one or several messages into one buffer.
///
/// An attribute that exceeds the 16-bit length is remembered and reported by [`Writer::finish`], so that builders need
/// no error path of their own.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    message_start: usize,
    oversized: Option<usize>,
}

impl Writer {
    /// Starts a buffer with one message of the given type. The socket fills in the sequence number.
    #[must_use]
    pub fn message(kind: u16, message_flags: u16) -> Self {
        let mut writer = Self::default();
        writer.begin(kind, message_flags, 0);
        writer
    }

    /// Starts another message in the same buffer. The one before it is complete.
    pub fn begin(&mut self, kind: u16, message_flags: u16, sequence: u32) {
        self.close();
        self.message_start = self.buffer.len();
        self.buffer.extend_from_slice(&0_u32.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(&(message_flags | flags::REQUEST).to_ne_bytes());
        self.buffer.extend_from_slice(&sequence.to_ne_bytes());
        // The sender's port: the kernel knows it.
        self.buffer.extend_from_slice(&0_u32.to_ne_bytes());
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Bytes of the current message so far, its header included: the unit in which the kernel names the attribute that
    /// it did not like.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.buffer.len() - self.message_start
    }

    /// Appends a fixed header.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Appends an attribute.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.buffer.extend_from_slice(value);
        self.seal(start);
        self
    }

    /// Appends a zero-terminated string.
    pub fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.buffer.extend_from_slice(value.as_bytes());
        self.buffer.push(0);
        self.seal(start);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// Appends a 16-bit number in host order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a 32-bit number in host order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a 16-bit number in network order.
    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a 32-bit number in network order.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a 64-bit number in network order.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends an attribute whose value is what `fill` writes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind | NESTED);
        fill(self);
        self.seal(start);
        self
    }

    /// The complete buffer.
    ///
    /// Errors: [`Error::TooLarge`] if an attribute did not fit its length field.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.close();
        match self.oversized {
            Some(size_bytes) => Err(Error::TooLarge { size_bytes }),
            None => Ok(self.buffer),
        }
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0, 0]);
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn seal(&mut self, start: usize) {
        let size_bytes = self.buffer.len() - start;
        match u16::try_from(size_bytes) {
            Ok(size) => self.buffer[start..start + 2].copy_from_slice(&size.to_ne_bytes()),
            Err(_) => self.oversized = Some(size_bytes),
        }
        self.pad();
    }

    fn pad(&mut self) {
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }

    fn close(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let size = self.buffer.len() - self.message_start;
        match u32::try_from(size) {
            Ok(size) => self.buffer[self.message_start..self.message_start + 4].copy_from_slice(&size.to_ne_bytes()),
            Err(_) => self.oversized = Some(size),
        }
    }
}

/// One received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message type.
    pub kind: u16,
    /// Header flags.
    pub flags: u16,
    /// The sequence number of the request that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Splits a received buffer into messages.
pub fn messages(mut buffer: &[u8]) -> Result<Vec<Message>, Error> {
    let mut out = Vec::new();
    while !buffer.is_empty() {
        let header = buffer.get(..HEADER_BYTES).ok_or(Error::Malformed("short message header"))?;
        let size = u32_at(header, 0) as usize;
        let payload = buffer.get(HEADER_BYTES..size).ok_or(Error::Malformed("message length"))?;
        out.push(Message {
            kind: u16_at(header, 4),
            flags: u16_at(header, 6),
            sequence: u32_at(header, 8),
            payload: payload.to_vec(),
        });
        buffer = buffer.get(size.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(out)
}

/// The attributes of a message or of a nested attribute, lengths checked.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Checks all lengths once, so that reading cannot fail half way.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let header = rest.get(..ATTRIBUTE_HEADER_BYTES).ok_or(Error::Malformed("short attribute header"))?;
            let size = usize::from(u16_at(header, 0));
            if size < ATTRIBUTE_HEADER_BYTES || size > rest.len() {
                return Err(Error::Malformed("attribute length"));
            }
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(Self(bytes))
    }

    /// All attributes in order: type (without flags) and value.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let header = rest.get(..ATTRIBUTE_HEADER_BYTES)?;
            let size = usize::from(u16_at(header, 0));
            let item = (u16_at(header, 2) & TYPE_MASK, &rest[ATTRIBUTE_HEADER_BYTES..size]);
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            Some(item)
        })
    }

    /// The value of the first attribute of this type.
    #[must_use]
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find_map(|(k, value)| (k == kind).then_some(value))
    }

    /// The attributes inside a nested attribute.
    pub fn nested(self, kind: u16) -> Result<Option<Self>, Error> {
        self.get(kind).map(Self::parse).transpose()
    }

    /// A string, without its terminating zero.
    #[must_use]
    pub fn string(self, kind: u16) -> Option<String> {
        let value = self.get(kind)?;
        let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
        Some(String::from_utf8_lossy(&value[..end]).into_owned())
    }

    /// One byte.
    #[must_use]
    pub fn u8(self, kind: u16) -> Option<u8> {
        self.get(kind)?.first().copied()
    }

    /// A 16-bit number in network order.
    #[must_use]
    pub fn be16(self, kind: u16) -> Option<u16> {
        Some(u16::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A 32-bit number in host order.
    #[must_use]
    pub fn u32(self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A 32-bit number in network order.
    #[must_use]
    pub fn be32(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A 64-bit number in network order.
    #[must_use]
    pub fn be64(self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }
}

/// Reads a 16-bit number in host order. The caller has checked the length.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a 32-bit number in host order. The caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote() {
        let mut w = Writer::message(7, flags::ACK);
        w.raw(&[1, 2, 3, 4]).string(1, "eth0").be16(2, 0x1234).nest(3, |w| {
            w.u8(1, 9).be64(2, 5);
        });
        w.begin(8, 0, 42);
        let buffer = w.finish().unwrap();
        let got = messages(&buffer).unwrap();
        assert_eq!((got.len(), got[0].kind, got[0].flags), (2, 7, flags::ACK | flags::REQUEST));
        assert_eq!((got[1].kind, got[1].sequence, got[1].payload.len()), (8, 42, 0));
        let attributes = Attributes::parse(&got[0].payload[4..]).unwrap();
        assert_eq!(attributes.string(1).as_deref(), Some("eth0"));
        assert_eq!(attributes.be16(2), Some(0x1234));
        let nested = attributes.nested(3).unwrap().unwrap();
        assert_eq!((nested.u8(1), nested.be64(2)), (Some(9), Some(5)));
    }

    #[test]
    fn refuses_an_attribute_that_does_not_fit() {
        let mut w = Writer::message(1, 0);
        w.nest(1, |w| {
            w.bytes(1, &[0; 40_000]).bytes(2, &[0; 40_000]);
        });
        assert!(matches!(w.finish(), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn refuses_truncated_input_without_panicking() {
        let mut w = Writer::message(1, 0);
        w.string(1, "abcdef").u32(2, 7);
        let buffer = w.finish().unwrap();
        for end in 1..buffer.len() {
            assert!(messages(&buffer[..end]).is_err(), "{end} bytes were accepted");
        }
        for end in HEADER_BYTES + 1..buffer.len() - 1 {
            // A cut at an attribute's end is a shorter, valid list.
            if let Ok(attributes) = Attributes::parse(&buffer[HEADER_BYTES..end]) {
                assert!(attributes.iter().count() < 2);
            }
        }
    }
}
