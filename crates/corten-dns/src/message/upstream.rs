//! Queries to a resolver upstream, and its replies: kept as they came, with the places of their TTLs.

use super::{
    HEADER_BYTES, Name, Query, Response, code,
    query::{AUTHENTIC_DATA, CHECKING_DISABLED, RECURSION_DESIRED},
    read_u16, read_u32,
    response::put_opt,
};

const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;

/// A question to ask upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// The type.
    pub record_type: u16,
    /// The class.
    pub class: u16,
    /// DNSSEC records are wanted.
    pub dnssec_ok: bool,
    /// Unchecked data is wanted.
    pub checking_disabled: bool,
}

impl Question {
    /// What `query` asks.
    #[must_use]
    pub fn of(query: &Query<'_>) -> Self {
        Self {
            name: query.name,
            record_type: query.record_type,
            class: query.class,
            dnssec_ok: query.dnssec_ok(),
            checking_disabled: query.checking_disabled(),
        }
    }

    /// The message to send, numbered `id`.
    #[must_use]
    pub fn message(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.name.wire().len() + 16);
        let flags = RECURSION_DESIRED | if self.checking_disabled { CHECKING_DISABLED } else { 0 };
        for word in [id, flags, 1, 0, 0, 1] {
            out.extend(word.to_be_bytes());
        }
        out.extend(self.name.wire());
        out.extend(self.record_type.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        put_opt(&mut out, 0, self.dnssec_ok);
        out
    }
}

/// A record's places in a reply.
#[derive(Debug, Clone, Copy)]
struct Place {
    section: u8,
    record_type: u16,
    start: u16,
    ttl_at: u16,
    end: u16,
}

/// A resolver's reply.
#[derive(Debug)]
pub struct UpstreamReply {
    message: Box<[u8]>,
    records: Box<[Place]>,
    records_start: u16,
    flags: u16,
}

impl UpstreamReply {
    /// Reads `message` as the reply to `question` with number `id`. `None`: it is not that, or malformed.
    ///
    /// The EDNS record is the resolver's own and dropped, with what follows it: anything there is additional.
    #[must_use]
    pub fn read(message: &[u8], id: u16, question: &Question) -> Option<Self> {
        let flags = read_u16(message, 2)?;
        if read_u16(message, 0)? != id || flags & RESPONSE == 0 || read_u16(message, 4)? != 1 {
            return None;
        }
        let (name, after) = Name::read(message, HEADER_BYTES)?;
        let same = name == question.name
            && after == HEADER_BYTES + name.wire().len()
            && read_u16(message, after)? == question.record_type
            && read_u16(message, after + 2)? == question.class;
        if !same {
            return None;
        }
        let records_start = after + 4;
        let (mut at, mut records) = (records_start, Vec::new());
        'sections: for section in 0..3_u8 {
            for _ in 0..read_u16(message, 6 + 2 * usize::from(section))? {
                let (_, fields) = Name::read(message, at)?;
                let record_type = read_u16(message, fields)?;
                let end = fields + 10 + usize::from(read_u16(message, fields + 8)?);
                message.get(..end)?;
                if record_type == code::OPT {
                    // The upper bits of the code say what no code of ours says: not a usable reply.
                    if *message.get(fields + 4)? != 0 {
                        return None;
                    }
                    break 'sections;
                }
                records.push(Place {
                    section,
                    record_type,
                    start: u16::try_from(at).ok()?,
                    ttl_at: u16::try_from(fields + 4).ok()?,
                    end: u16::try_from(end).ok()?,
                });
                at = end;
            }
        }
        let message = message.get(..at)?.into();
        Some(Self { message, records: records.into(), records_start: u16::try_from(records_start).ok()?, flags })
    }

    /// The response code.
    #[must_use]
    pub fn response_code(&self) -> u16 {
        self.flags & 0xf
    }

    /// It settles the question: the name has this, has nothing, or does not exist.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        matches!(self.response_code(), code::NO_ERROR | code::NAME_ERROR)
    }

    /// The resolver had more to say than fits.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flags & TRUNCATED != 0
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.len() + size_of_val(&*self.records)
    }

    /// For how many seconds it may be kept, as its records say. `None`: not at all.
    ///
    /// Source: RFC 2181 section 5.2, RFC 2308 section 5.
    #[must_use]
    pub fn seconds_to_live(&self) -> Option<u32> {
        let negative = match self.response_code() {
            code::NO_ERROR => !self.records.iter().any(|record| record.section == 0),
            code::NAME_ERROR => true,
            _ => return None,
        };
        if self.is_truncated() {
            return None;
        }
        let seconds = if negative { self.negative_ttl()? } else { self.records.iter().map(|r| self.ttl(r)).min()? };
        (seconds > 0).then_some(seconds)
    }

    /// It says that there is nothing.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        !self.records.iter().any(|record| record.section == 0)
    }

    fn negative_ttl(&self) -> Option<u32> {
        let soa = self.records.iter().find(|record| record.section == 1 && record.record_type == code::SOA)?;
        // The last number of its data is the zone's TTL for what is not there.
        let minimum = read_u32(&self.message, usize::from(soa.end).checked_sub(4)?)?;
        Some(minimum.min(self.ttl(soa)))
    }

    fn ttl(&self, record: &Place) -> u32 {
        // A TTL with the highest bit set counts as zero (RFC 2181, 8).
        read_u32(&self.message, usize::from(record.ttl_at)).filter(|ttl| ttl >> 31 == 0).unwrap_or(0)
    }

    /// Writes it as the answer to `query`, `age` seconds after it came, in at most `limit` bytes.
    #[must_use]
    pub fn answer(&self, buffer: Vec<u8>, query: &Query<'_>, limit: usize, age: u32) -> Vec<u8> {
        let mut response = Response::begin(buffer, query, limit);
        let (start, room) = (usize::from(self.records_start), response.room());
        let fit = self.records.partition_point(|record| usize::from(record.end) - start <= room);
        let kept = &self.records[..fit];
        if self.is_truncated() || self.records.get(fit).is_some_and(|record| record.section < 2) {
            response.cut();
        }
        let mut counts = [0_u16; 3];
        kept.iter().for_each(|record| counts[usize::from(record.section)] += 1);
        let end = kept.last().map_or(start, |record| usize::from(record.end));
        let moved_to = response.splice(&self.message[start..end], counts);
        // The question has the same length in both messages, so every pointer still points at what it pointed at.
        debug_assert_eq!(moved_to, start);
        for record in kept {
            response.lower_ttl(usize::from(record.ttl_at), self.ttl(record).saturating_sub(age));
        }
        if self.flags & AUTHENTIC_DATA != 0 {
            response.authentic();
        }
        response.finish(self.response_code(), false)
    }

    /// Adds its addresses and aliases to an answer that an alias of the cluster leads out of, `age` seconds after it came.
    pub fn append_to(&self, response: &mut Response, age: u32) {
        for record in self.records.iter().filter(|record| record.section == 0) {
            let (start, data_at) = (usize::from(record.start), usize::from(record.ttl_at) + 6);
            let Some((owner, _)) = Name::read(&self.message, start) else { continue };
            let ttl = self.ttl(record).saturating_sub(age);
            match record.record_type {
                code::CNAME => {
                    if let Some((target, _)) = Name::read(&self.message, data_at) {
                        response.copied(&owner, code::CNAME, ttl, target.wire());
                    }
                }
                code::A | code::AAAA => {
                    response.copied(&owner, record.record_type, ttl, &self.message[data_at..usize::from(record.end)]);
                }
                // Only addresses are looked up through an alias; a signature would not be checked by those who ask for them.
                _ => {}
            }
        }
        if self.is_truncated() {
            response.cut();
        }
    }
}
