//! Writes one answer into a reused buffer, record by record, within the client's size.

use std::net::IpAddr;

use super::{
    HEADER_BYTES, Name, Query, code,
    query::{AUTHENTIC_DATA, CHECKING_DISABLED, RECURSION_DESIRED},
};

const RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_AVAILABLE: u16 = 0x0080;
const POINTER: u16 = 0xc000;
/// What a pointer can reach.
const MAX_POINTER: usize = 0x3fff;
/// The bytes of our EDNS record.
pub(super) const OPT_BYTES: usize = 11;
/// What we take over UDP (DNS flag day 2020: fits every path without fragments).
const OUR_UDP_BYTES: u16 = 1_232;

/// The parts of an answer, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who says that there is nothing.
    Authority,
    /// What the client would ask next.
    Additional,
}

/// Who a record belongs to: the place of a name that is already in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(u16);

impl Owner {
    /// The name in the question.
    pub const QUESTION: Self = Self(HEADER_BYTES as u16);
}

/// An answer being written.
#[derive(Debug)]
pub struct Response {
    out: Vec<u8>,
    counts: [u16; 3],
    /// Records that are no aliases.
    others: u32,
    flags: u16,
    id: u16,
    limit: usize,
    edns: Option<bool>,
    truncated: bool,
}

/// A state to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    length: usize,
    counts: [u16; 3],
    others: u32,
    truncated: bool,
}

impl Response {
    /// Starts the answer to `query`, of at most `limit` bytes, in `buffer`, whose content is dropped.
    #[must_use]
    pub fn begin(mut buffer: Vec<u8>, query: &Query<'_>, limit: usize) -> Self {
        buffer.clear();
        buffer.extend([0; HEADER_BYTES]);
        buffer.extend(query.question);
        let edns = query.edns.map(|edns| edns.dnssec_ok);
        Self {
            out: buffer,
            counts: [0; 3],
            others: 0,
            flags: RESPONSE | RECURSION_AVAILABLE | query.flags & (RECURSION_DESIRED | CHECKING_DISABLED),
            id: query.id,
            limit: limit - edns.map_or(0, |_| OPT_BYTES),
            edns,
            truncated: false,
        }
    }

    /// How many records of the answer section there are.
    #[must_use]
    pub fn answers(&self) -> u16 {
        self.counts[0]
    }

    /// Remembers this state.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { length: self.out.len(), counts: self.counts, others: self.others, truncated: self.truncated }
    }

    /// Whether nothing but aliases was written since, and nothing was cut.
    #[must_use]
    pub fn only_aliases_since(&self, mark: &Mark) -> bool {
        self.others == mark.others && !self.truncated
    }

    /// Takes back what was written since.
    pub fn go_back(&mut self, mark: Mark) {
        self.out.truncate(mark.length);
        (self.counts, self.others, self.truncated) = (mark.counts, mark.others, mark.truncated);
    }

    /// The data came from a validating upstream.
    pub fn authentic(&mut self) {
        self.flags |= AUTHENTIC_DATA;
    }

    /// Adds an address record. False: it did not fit.
    pub fn address(&mut self, section: Section, owner: Owner, ttl: u32, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.record(section, owner, code::A, ttl, |out| out.extend(ip.octets())),
            IpAddr::V6(ip) => self.record(section, owner, code::AAAA, ttl, |out| out.extend(ip.octets())),
        }
    }

    /// Adds an alias and gives the owner of what it leads to.
    pub fn cname(&mut self, owner: Owner, ttl: u32, target: &[u8]) -> Option<Owner> {
        self.named(Section::Answer, owner, code::CNAME, ttl, &[], target)
    }

    /// Adds a record whose data is `fields` and then a name, and gives the place of that name.
    /// `None`: it did not fit, or lies where no pointer reaches.
    pub fn named(
        &mut self,
        section: Section,
        owner: Owner,
        record_type: u16,
        ttl: u32,
        fields: &[u16],
        name: &[u8],
    ) -> Option<Owner> {
        let written = self.record(section, owner, record_type, ttl, |out| {
            fields.iter().for_each(|field| out.extend(field.to_be_bytes()));
            out.extend(name);
        });
        let at = self.out.len() - name.len();
        (written && at <= MAX_POINTER).then_some(Owner(at as u16))
    }

    /// Adds a text of one string.
    pub fn text(&mut self, owner: Owner, ttl: u32, text: &str) -> bool {
        let length = u8::try_from(text.len()).expect("texts of ours are short");
        self.record(Section::Answer, owner, code::TXT, ttl, |out| {
            out.push(length);
            out.extend(text.as_bytes());
        })
    }

    /// Adds the start of authority of the zone that begins `zone_at` bytes into the question's name.
    pub fn soa(&mut self, section: Section, zone_at: usize, ttl: u32, serial: u32) -> bool {
        let zone = Owner((HEADER_BYTES + zone_at) as u16);
        self.record(section, zone, code::SOA, ttl, |out| {
            for labels in [&b"\x02ns\x03dns"[..], b"\x0ahostmaster"] {
                out.extend(labels);
                out.extend((POINTER | zone.0).to_be_bytes());
            }
            // Refresh, retry and expire are CoreDNS' and used by no one: there are no secondaries.
            for number in [serial, 7_200, 1_800, 86_400, ttl] {
                out.extend(number.to_be_bytes());
            }
        })
    }

    /// Copies a record as it is: `owner` and `data` must not contain pointers.
    pub fn copied(&mut self, owner: &Name, record_type: u16, ttl: u32, data: &[u8]) -> bool {
        let start = self.out.len();
        self.out.extend(owner.wire());
        self.rest(start, Section::Answer, record_type, ttl, |out| out.extend(data))
    }

    /// A record of the answer did not fit: none is taken any more.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.truncated
    }

    /// The answer was cut elsewhere.
    pub fn cut(&mut self) {
        self.truncated = true;
    }

    fn record(
        &mut self,
        section: Section,
        owner: Owner,
        record_type: u16,
        ttl: u32,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let start = self.out.len();
        self.out.extend((POINTER | owner.0).to_be_bytes());
        self.rest(start, section, record_type, ttl, data)
    }

    fn rest(
        &mut self,
        start: usize,
        section: Section,
        record_type: u16,
        ttl: u32,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        self.out.extend(record_type.to_be_bytes());
        self.out.extend(code::IN.to_be_bytes());
        self.out.extend(ttl.to_be_bytes());
        let length_at = self.out.len();
        self.out.extend([0; 2]);
        data(&mut self.out);
        let length = self.out.len() - length_at - 2;
        if self.truncated || self.out.len() > self.limit {
            self.out.truncate(start);
            // What is only additional may be missing without a word (RFC 2181, 9).
            self.truncated |= section != Section::Additional;
            return false;
        }
        self.out[length_at..length_at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        self.counts[section as usize] += 1;
        self.others += u32::from(record_type != code::CNAME);
        true
    }

    /// Gives the answer up and its buffer back.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.out
    }

    /// Ends the answer and gives its bytes.
    #[must_use]
    pub fn finish(mut self, response_code: u16, authoritative: bool) -> Vec<u8> {
        let mut flags = self.flags | response_code & 0xf;
        flags |= if authoritative { AUTHORITATIVE } else { 0 };
        flags |= if self.truncated { TRUNCATED } else { 0 };
        if let Some(dnssec_ok) = self.edns {
            put_opt(&mut self.out, response_code, dnssec_ok);
            self.counts[Section::Additional as usize] += 1;
        }
        let words = [self.id, flags, 1, self.counts[0], self.counts[1], self.counts[2]];
        for (place, word) in self.out.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        self.out
    }

    /// Appends whole records that were cut from another message with the same question, and says how many of each section.
    pub(super) fn splice(&mut self, records: &[u8], counts: [u16; 3]) -> usize {
        let at = self.out.len();
        self.out.extend(records);
        self.counts = counts;
        at
    }

    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.out.len())
    }

    pub(super) fn lower_ttl(&mut self, at: usize, ttl: u32) {
        self.out[at..at + 4].copy_from_slice(&ttl.to_be_bytes());
    }
}

/// Our EDNS record; `response_code` gives the upper bits of the code.
pub(super) fn put_opt(out: &mut Vec<u8>, response_code: u16, dnssec_ok: bool) {
    out.push(0);
    out.extend(code::OPT.to_be_bytes());
    out.extend(OUR_UDP_BYTES.to_be_bytes());
    out.extend([(response_code >> 4) as u8, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
}
