//! A client's query: one question, perhaps EDNS.

use super::{HEADER_BYTES, MAX_UDP_BYTES, MIN_UDP_BYTES, Name, code, read_u16, read_u32};

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
pub(super) const RECURSION_DESIRED: u16 = 0x0100;
pub(super) const CHECKING_DISABLED: u16 = 0x0010;
pub(super) const AUTHENTIC_DATA: u16 = 0x0020;
const DNSSEC_OK: u32 = 0x8000;

/// A well-formed query.
#[derive(Debug, Clone, Copy)]
pub struct Query<'m> {
    /// The client's number for it.
    pub id: u16,
    /// The header's flags.
    pub flags: u16,
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub record_type: u16,
    /// The class asked for.
    pub class: u16,
    /// What the client says about itself.
    pub edns: Option<Edns>,
    /// The question as it was sent: the answer repeats it in the client's own case.
    pub question: &'m [u8],
}

/// The EDNS record of a query (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The largest message over UDP.
    pub udp_bytes: u16,
    /// The client wants DNSSEC records.
    pub dnssec_ok: bool,
}

/// Why a message is not answered as a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Not a query at all; answering would invite loops.
    Ignore,
    /// Answered with these bytes.
    Reply(Vec<u8>),
}

impl<'m> Query<'m> {
    /// Reads a message.
    pub fn read(message: &'m [u8]) -> Result<Self, Rejection> {
        let word = |at| read_u16(message, at).ok_or(Rejection::Ignore);
        let (id, flags) = (word(0)?, word(2)?);
        let counts = [word(4)?, word(6)?, word(8)?, word(10)?];
        if flags & RESPONSE != 0 {
            return Err(Rejection::Ignore);
        }
        let reject = |code, edns| Err(Rejection::Reply(error(id, flags, code, edns)));
        if flags & OPCODE != 0 {
            return reject(code::NOT_IMPLEMENTED, false);
        }
        match read_body(message, counts) {
            None => reject(code::FORMAT_ERROR, false),
            Some((_, Some((version, _)))) if version > 0 => reject(code::BAD_VERSION, true),
            Some((question, edns)) => Ok(Self {
                id,
                flags,
                name: question.name,
                record_type: question.record_type,
                class: question.class,
                edns: edns.map(|(_, edns)| edns),
                question: question.bytes,
            }),
        }
    }

    /// The client wants DNSSEC records.
    #[must_use]
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// The client wants unchecked data.
    #[must_use]
    pub fn checking_disabled(&self) -> bool {
        self.flags & CHECKING_DISABLED != 0
    }

    /// The largest answer over UDP, in bytes.
    #[must_use]
    pub fn udp_limit(&self) -> usize {
        self.edns.map_or(MIN_UDP_BYTES, |edns| usize::from(edns.udp_bytes).clamp(MIN_UDP_BYTES, MAX_UDP_BYTES))
    }
}

struct Question<'m> {
    name: Name,
    record_type: u16,
    class: u16,
    bytes: &'m [u8],
}

fn read_body(message: &[u8], counts: [u16; 4]) -> Option<(Question<'_>, Option<(u8, Edns)>)> {
    if counts[0] != 1 {
        return None;
    }
    let (name, after) = Name::read(message, HEADER_BYTES)?;
    let end = after + 4;
    // A pointer in the only question could only point into the header.
    if after != HEADER_BYTES + name.wire().len() {
        return None;
    }
    let question = Question {
        name,
        record_type: read_u16(message, after)?,
        class: read_u16(message, after + 2)?,
        bytes: message.get(HEADER_BYTES..end)?,
    };
    let (mut at, mut edns) = (end, None);
    for _ in 0..counts[1..].iter().map(|count| u32::from(*count)).sum() {
        let (name, fields) = Name::read(message, at)?;
        let record_type = read_u16(message, fields)?;
        if record_type == code::OPT {
            // RFC 6891, 6.1.1: one, at the root.
            if edns.is_some() || name.wire().len() != 1 {
                return None;
            }
            let (udp_bytes, rest) = (read_u16(message, fields + 2)?, read_u32(message, fields + 4)?);
            edns = Some(((rest >> 16) as u8, Edns { udp_bytes, dnssec_ok: rest & DNSSEC_OK != 0 }));
        }
        at = fields + 10 + usize::from(read_u16(message, fields + 8)?);
        if at > message.len() {
            return None;
        }
    }
    Some((question, edns))
}

/// A reply without a question: the query could not be read far enough to repeat it.
fn error(id: u16, flags: u16, code: u16, edns: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + super::response::OPT_BYTES);
    let kept = flags & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED);
    for word in [id, RESPONSE | kept | (code & 0xf), 0, 0, 0, u16::from(edns)] {
        out.extend(word.to_be_bytes());
    }
    if edns {
        super::response::put_opt(&mut out, code, false);
    }
    out
}
