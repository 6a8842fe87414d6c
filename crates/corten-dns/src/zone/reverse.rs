//! Addresses as names and names as addresses: `in-addr.arpa`, `ip6.arpa`, and the dashed labels of pods and endpoints.

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use smallvec::SmallVec;

use crate::message::Name;

/// A label made of an address: as text, an IPv6 address takes up to 45 bytes.
pub(super) type Label = SmallVec<[u8; 64]>;

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
pub(super) fn address_of(name: &Name) -> Option<IpAddr> {
    let labels: SmallVec<[&[u8]; 36]> = name.labels().collect();
    match *labels {
        [d, c, b, a, b"in-addr", b"arpa"] => {
            Some(IpAddr::V4(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?)))
        }
        [ref nibbles @ .., b"ip6", b"arpa"] if nibbles.len() == 32 => {
            let mut bits = 0_u128;
            for nibble in nibbles.iter().rev() {
                let [digit] = **nibble else { return None };
                bits = bits << 4 | u128::from(char::from(digit).to_digit(16)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
        }
        _ => None,
    }
}

fn octet(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    // One spelling for each: no signs, no zeros in front.
    text.parse().ok().filter(|number: &u8| number.to_string() == text)
}

/// The label of an endpoint without a name of its own.
pub(super) fn dashed(ip: IpAddr) -> Label {
    struct Text(Label);
    impl fmt::Write for Text {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let mut text = Text(Label::new());
    write!(text, "{ip}").expect("writing to memory does not fail");
    let mut label = text.0;
    label.iter_mut().filter(|byte| matches!(**byte, b'.' | b':')).for_each(|byte| *byte = b'-');
    label
}

/// The address that a dashed label spells: three single dashes are IPv4, all else IPv6.
pub(super) fn from_dashed(label: &[u8]) -> Option<IpAddr> {
    let mut text: Label = label.into();
    let v4 = label.iter().filter(|byte| **byte == b'-').count() == 3 && !label.windows(2).any(|pair| pair == b"--");
    let separator = if v4 { b'.' } else { b':' };
    text.iter_mut().filter(|byte| **byte == b'-').for_each(|byte| *byte = separator);
    std::str::from_utf8(&text).ok()?.parse().ok()
}
