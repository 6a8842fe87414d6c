//! DNS messages, as far as a stub resolver needs them: one question out, addresses and names in. RFC 1035, 3596.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;
const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
/// A name is at most 255 bytes in labels of at least two, so an honest one has fewer pointers than this.
const MAX_POINTERS: usize = 128;

/// What is asked of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V4,
    V6,
    Pointer,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::V4 => TYPE_A,
            Self::V6 => TYPE_AAAA,
            Self::Pointer => TYPE_PTR,
        }
    }
}

/// A server's answer to one question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 0: no error, 3: no such name; others are failures of the server.
    pub(crate) code: u8,
    pub(crate) truncated: bool,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) names: Vec<String>,
}

/// Encodes a question; `None` for a name that is none.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    // One question, no records.
    for word in [id, FLAG_RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    let labels = name.trim_end_matches('.');
    if labels.is_empty() || labels.len() > 253 {
        return None;
    }
    for label in labels.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.code().to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    Some(message)
}

/// Decodes the answer to question `id`; `None` for anything else.
pub(crate) fn answer(id: u16, message: &[u8]) -> Option<Answer> {
    let flags = word(message, 2)?;
    if word(message, 0)? != id || flags & FLAG_RESPONSE == 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(message, 4)? {
        at = read_name(message, at)?.1 + 4;
    }
    let mut answer = Answer {
        code: (flags & 0xf) as u8,
        truncated: flags & FLAG_TRUNCATED != 0,
        addresses: Vec::new(),
        names: Vec::new(),
    };
    for _ in 0..word(message, 6)? {
        let (_, after_name) = read_name(message, at)?;
        let kind = word(message, after_name)?;
        let length = usize::from(word(message, after_name + 8)?);
        let start = after_name + 10;
        let data = message.get(start..start + length)?;
        match kind {
            TYPE_A => answer.addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            TYPE_AAAA => answer.addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            TYPE_PTR => answer.names.push(read_name(message, start)?.0),
            // CNAMEs only lead to the records asked for, which the server adds.
            _ => {}
        }
        at = start + length;
    }
    Some(answer)
}

/// The name under which the owner of an address is found.
pub(crate) fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 0xf, byte >> 4));
            digits.collect::<String>() + "ip6.arpa"
        }
    }
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// A name, with pointers followed, and the offset behind it.
fn read_name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let (mut at, mut end) = (start, None);
    for _ in 0..MAX_POINTERS {
        let length = *message.get(at)?;
        if length & 0xc0 == 0xc0 {
            end = end.or(Some(at + 2));
            at = usize::from(word(message, at)? & 0x3fff);
        } else if length == 0 {
            return Some((labels.join("."), end.unwrap_or(at + 1)));
        } else {
            let label = message.get(at + 1..at + 1 + usize::from(length))?;
            labels.push(String::from_utf8_lossy(label).into_owned());
            at += 1 + usize::from(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to `question` with the same name, as a pointer to it, in every record.
    pub(crate) fn response(question: &[u8], code: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&(FLAG_RESPONSE | u16::from(code)).to_be_bytes());
        message[7] = records.len() as u8;
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 5, 0, data.len() as u8]);
            message.extend(data);
        }
        message
    }

    #[test]
    fn reads_addresses_and_names() {
        let question = question(7, "a.b", Kind::V4).unwrap();
        let records = [(TYPE_A, vec![10, 0, 0, 1]), (5, vec![0]), (TYPE_PTR, vec![1, b'x', 0xc0, 12])];
        let got = answer(7, &response(&question, 0, &records)).unwrap();
        assert_eq!(got.addresses, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(got.names, ["x.a.b"]);
        assert_eq!(answer(8, &response(&question, 0, &[])), None, "another question's answer");
        assert_eq!(answer(7, &response(&question, 3, &[])).unwrap().code, 3);
    }

    #[test]
    fn refuses_broken_names_and_messages() {
        for name in ["", ".", "a..b", &"x".repeat(64), &"abc.".repeat(64)] {
            assert_eq!(question(1, name, Kind::V4), None, "{name}");
        }
        let mut looping = question(7, "a", Kind::V4).unwrap();
        looping[2] = 0x80;
        looping[12..14].copy_from_slice(&[0xc0, 12]);
        assert_eq!(answer(7, &looping), None);
        let whole = response(&question(7, "a.b", Kind::V4).unwrap(), 0, &[(TYPE_A, vec![1, 2, 3, 4])]);
        for length in 0..whole.len() {
            assert_eq!(answer(7, &whole[..length]), None, "cut after {length} bytes");
        }
    }

    #[test]
    fn reverses_addresses() {
        assert_eq!(reverse_name([10, 96, 0, 1].into()), "1.0.96.10.in-addr.arpa");
        assert!(reverse_name("fd00::1".parse().unwrap()).starts_with("1.0.0.0."));
    }
}
