//! A domain name, in lower case, in the form it has on the wire.

use std::{cmp::Ordering, fmt};

use super::read_u16;

/// The longest name, root included (RFC 1035, 2.3.4).
pub const MAX_NAME_BYTES: usize = 255;
const MAX_LABEL_BYTES: usize = 63;
/// No honest name has more pointers than labels; a chain of pointers to pointers would cost time for nothing.
const MAX_POINTERS: usize = 127;

/// A domain name without case, on the stack.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; MAX_NAME_BYTES],
    length: u8,
}

impl Name {
    /// The root.
    #[must_use]
    pub const fn root() -> Self {
        Self { bytes: [0; MAX_NAME_BYTES], length: 1 }
    }

    /// Reads the name at `at` of `message`, following pointers; also gives where the reader goes on.
    ///
    /// `None`: the name is malformed. A pointer must point before the name it is in, so that no message can make this loop.
    #[must_use]
    pub fn read(message: &[u8], at: usize) -> Option<(Self, usize)> {
        let (mut name, mut used) = (Self::root(), 0);
        let (mut cursor, mut limit, mut end, mut pointers) = (at, at, None, 0);
        loop {
            let length = *message.get(cursor)?;
            match length {
                0 => {
                    *name.bytes.get_mut(used)? = 0;
                    name.length = u8::try_from(used + 1).ok()?;
                    return Some((name, end.unwrap_or(cursor + 1)));
                }
                1..=63 => {
                    let next = cursor + 1 + usize::from(length);
                    let label = message.get(cursor..next)?;
                    let place = name.bytes.get_mut(used..used + label.len())?;
                    place.copy_from_slice(label);
                    // The length byte is below 64, so below every letter: lower case does not touch it.
                    place.make_ascii_lowercase();
                    used += label.len();
                    cursor = next;
                }
                192..=255 => {
                    let target = usize::from(read_u16(message, cursor)? & 0x3fff);
                    end.get_or_insert(cursor + 2);
                    pointers += 1;
                    if target >= limit || pointers > MAX_POINTERS {
                        return None;
                    }
                    (cursor, limit) = (target, target);
                }
                _ => return None,
            }
        }
    }

    /// A name from its text, with or without the dot at the end. `None`: empty or too long labels.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut name = Self::root();
        if text.is_empty() {
            return Some(name);
        }
        let mut used = 0;
        for label in text.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL_BYTES {
                return None;
            }
            let next = used + 1 + label.len();
            let place = name.bytes.get_mut(used..next)?;
            place[0] = label.len() as u8;
            place[1..].copy_from_slice(label.as_bytes());
            place.make_ascii_lowercase();
            used = next;
        }
        *name.bytes.get_mut(used)? = 0;
        name.length = (used + 1) as u8;
        Some(name)
    }

    /// The bytes, root included.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The labels from the left, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels(self.wire())
    }

    /// The part in front of `suffix`, as labels on the wire without a root; empty when both are equal.
    /// `None`: this name does not lie in `suffix`.
    #[must_use]
    pub fn in_front_of(&self, suffix: &Self) -> Option<&[u8]> {
        let (name, suffix) = (self.wire(), suffix.wire());
        let at = name.len().checked_sub(suffix.len())?;
        if &name[at..] != suffix {
            return None;
        }
        // The bytes agree; they must also start where a label starts.
        let mut cursor = 0;
        while cursor < at {
            cursor += 1 + usize::from(name[cursor]);
        }
        (cursor == at).then_some(&name[..at])
    }
}

/// The labels of a name or of a part of one.
#[derive(Debug, Clone)]
pub struct Labels<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.0.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        (length > 0).then_some(label)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire() == other.wire()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.wire().cmp(other.wire())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == 1 {
            return f.write_str(".");
        }
        self.labels().try_for_each(|label| write!(f, "{}.", label.escape_ascii()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
