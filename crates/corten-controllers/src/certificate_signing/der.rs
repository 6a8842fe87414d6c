//! Writing DER: the few types that a certificate needs.

/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
/// `INTEGER`.
pub(super) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub(super) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub(super) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
const OBJECT_IDENTIFIER: u8 = 0x06;

/// One value: tag, length, content.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len();
    if length < 0x80 {
        bytes.push(u8::try_from(length).expect("below 128"));
    } else {
        let digits = length.to_be_bytes();
        let first = digits.iter().position(|digit| *digit != 0).expect("a length of 128 or more is not zero");
        let digits = &digits[first..];
        bytes.push(0x80 | u8::try_from(digits.len()).expect("a length has eight digits at most"));
        bytes.extend_from_slice(digits);
    }
    bytes.extend_from_slice(content);
    bytes
}

/// Several values in a row, in one.
pub(super) fn sequence<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    value(SEQUENCE, &parts.into_iter().collect::<Vec<_>>().concat())
}

/// An object identifier.
pub(super) fn oid(arcs: &[u64]) -> Vec<u8> {
    let mut content =
        vec![u8::try_from(arcs[0] * 40 + arcs[1]).expect("the first two arcs of our identifiers are small")];
    for arc in &arcs[2..] {
        let mut digits = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        content.extend(digits.iter().rev());
    }
    value(OBJECT_IDENTIFIER, &content)
}

/// `BIT STRING` of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], bytes].concat())
}

/// `BIT STRING` of named bits, without zeros at its end.
pub(super) fn named_bits(bits: u16) -> Vec<u8> {
    // Bit 0 of the name is the highest of the first byte.
    let reversed = bits.reverse_bits().to_be_bytes();
    let length = reversed.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let unused = reversed[..length].last().map_or(0, |byte| byte.trailing_zeros() as u8);
    value(BIT_STRING, &[&[unused], &reversed[..length]].concat())
}

/// A point in time, as RFC 5280 wants it: with two digits for the year until 2049.
pub(super) fn time(at: jiff::Timestamp) -> Vec<u8> {
    let date = at.to_zoned(jiff::tz::TimeZone::UTC);
    let rest = date.strftime("%m%d%H%M%SZ").to_string();
    let year = date.year();
    if (1950..2050).contains(&year) {
        value(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        value(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_standard_says() {
        assert_eq!(oid(&[1, 2, 840, 113_549]), [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        // digitalSignature and keyEncipherment.
        assert_eq!(named_bits(0b101), [3, 2, 5, 0xa0]);
        assert_eq!(named_bits(0), [3, 1, 0]);
        assert_eq!(value(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(time("2026-01-02T03:04:05Z".parse().unwrap())[2..], *b"260102030405Z");
        assert_eq!(time("2051-01-02T03:04:05Z".parse().unwrap())[2..], *b"20510102030405Z");
    }
}
