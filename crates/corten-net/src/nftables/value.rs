//! Values as the packet machine sees them, and the types that let nft(8) print them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netlink::MacAddress;

/// A register holds 4 bytes; every part of a concatenation starts at a register.
pub(super) const REGISTER_BYTES: usize = 4;
/// Bytes of an interface name in the kernel.
const IFNAME_BYTES: usize = 16;
/// Types of the parts of a concatenation are packed into one number, this many bits each.
const TYPE_BITS: u32 = 6;

/// The type of a key, of one part of a concatenated key, or of a map's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// IPv4 address.
    Ip4,
    /// IPv6 address.
    Ip6,
    /// Ethernet address.
    Ether,
    /// Number of a transport protocol.
    Protocol,
    /// Port of a transport protocol.
    Port,
    /// Packet or connection mark.
    Mark,
    /// Index of an interface.
    IfIndex,
    /// Name of an interface.
    IfName,
    /// A 32-bit number, such as what `numgen` and `jhash` give.
    Integer,
    /// Kind of a destination (local, broadcast ...), see [`Value::AddressType`].
    AddressType,
}

impl DataType {
    const ALL: [Self; 10] = [
        Self::Ip4,
        Self::Ip6,
        Self::Ether,
        Self::Protocol,
        Self::Port,
        Self::Mark,
        Self::IfIndex,
        Self::IfName,
        Self::Integer,
        Self::AddressType,
    ];

    /// Number of the type in nft(8).
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Integer => 4,
            Self::Ip4 => 7,
            Self::Ip6 => 8,
            Self::Ether => 9,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Mark => 19,
            Self::IfIndex => 20,
            Self::AddressType => 38,
            Self::IfName => 41,
        }
    }

    /// Size in bytes.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Ip4 | Self::Mark | Self::IfIndex | Self::Integer | Self::AddressType => 4,
            Self::Ether => 6,
            Self::Ip6 => 16,
            Self::IfName => IFNAME_BYTES,
        }
    }

    /// Size in a concatenation.
    pub(super) fn padded_width(self) -> usize {
        self.width().next_multiple_of(REGISTER_BYTES)
    }
}

/// A value of one of the types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// IPv4 address.
    Ip4(Ipv4Addr),
    /// IPv6 address.
    Ip6(Ipv6Addr),
    /// Ethernet address.
    Ether(MacAddress),
    /// Number of a transport protocol: 6 TCP, 17 UDP, 132 SCTP.
    Protocol(u8),
    /// Port of a transport protocol.
    Port(u16),
    /// Packet or connection mark.
    Mark(u32),
    /// Index of an interface.
    IfIndex(u32),
    /// Name of an interface.
    IfName(String),
    /// A number.
    Integer(u32),
    /// Kind of a destination, as in `rtnetlink.h`: 1 unicast, 2 local, 3 broadcast, 5 multicast.
    AddressType(u32),
}

impl From<IpAddr> for Value {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::Ip4(ip),
            IpAddr::V6(ip) => Self::Ip6(ip),
        }
    }
}

impl Value {
    /// `RTN_LOCAL`: an address of this machine.
    pub const LOCAL: Self = Self::AddressType(2);

    /// Its type.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Ip4(_) => DataType::Ip4,
            Self::Ip6(_) => DataType::Ip6,
            Self::Ether(_) => DataType::Ether,
            Self::Protocol(_) => DataType::Protocol,
            Self::Port(_) => DataType::Port,
            Self::Mark(_) => DataType::Mark,
            Self::IfIndex(_) => DataType::IfIndex,
            Self::IfName(_) => DataType::IfName,
            Self::Integer(_) => DataType::Integer,
            Self::AddressType(_) => DataType::AddressType,
        }
    }

    /// The address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip4(ip) => Some((*ip).into()),
            Self::Ip6(ip) => Some((*ip).into()),
            _ => None,
        }
    }

    /// Its bytes, as packet fields and registers hold them. Too long interface names are cut, as the kernel never has
    /// one.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Ip4(ip) => ip.octets().to_vec(),
            Self::Ip6(ip) => ip.octets().to_vec(),
            Self::Ether(address) => address.0.to_vec(),
            Self::Protocol(number) => vec![*number],
            Self::Port(port) => port.to_be_bytes().to_vec(),
            Self::Mark(n) | Self::IfIndex(n) | Self::Integer(n) | Self::AddressType(n) => n.to_ne_bytes().to_vec(),
            Self::IfName(name) => {
                let mut out = name.as_bytes().to_vec();
                out.resize(IFNAME_BYTES, 0);
                out
            }
        }
    }

    fn read(data_type: DataType, bytes: &[u8]) -> Option<Self> {
        let word = || bytes.try_into().ok().map(u32::from_ne_bytes);
        Some(match data_type {
            DataType::Ip4 => Self::Ip4(<[u8; 4]>::try_from(bytes).ok()?.into()),
            DataType::Ip6 => Self::Ip6(<[u8; 16]>::try_from(bytes).ok()?.into()),
            DataType::Ether => Self::Ether(MacAddress(bytes.try_into().ok()?)),
            DataType::Protocol => Self::Protocol(*bytes.first()?),
            DataType::Port => Self::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
            DataType::Mark => Self::Mark(word()?),
            DataType::IfIndex => Self::IfIndex(word()?),
            DataType::Integer => Self::Integer(word()?),
            DataType::AddressType => Self::AddressType(word()?),
            DataType::IfName => {
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
                Self::IfName(String::from_utf8_lossy(&bytes[..end]).into_owned())
            }
        })
    }
}

/// The bytes of a concatenation: each part padded to whole registers, a single value as it is.
pub(super) fn concatenate(values: &[Value]) -> Vec<u8> {
    if let [single] = values {
        return single.bytes();
    }
    let mut out = Vec::new();
    for value in values {
        out.extend(value.bytes());
        out.resize(out.len().next_multiple_of(REGISTER_BYTES), 0);
    }
    out
}

/// Takes a concatenation apart again.
pub(super) fn split(types: &[DataType], bytes: &[u8]) -> Option<Vec<Value>> {
    let mut rest = bytes;
    types
        .iter()
        .map(|t| {
            let value = Value::read(*t, rest.get(..t.width())?)?;
            rest = rest.get(t.padded_width()..).unwrap_or_default();
            Some(value)
        })
        .collect()
}

/// Size of a key or of data in bytes.
pub(super) fn width(types: &[DataType]) -> usize {
    match types {
        [single] => single.width(),
        many => many.iter().map(|t| t.padded_width()).sum(),
    }
}

/// The one number that describes a concatenation to nft(8).
pub(super) fn type_number(types: &[DataType]) -> u32 {
    types.iter().fold(0, |number, t| number << TYPE_BITS | t.number())
}

/// Reads that number; nothing if it contains a type that is not in [`DataType`].
pub(super) fn read_types(mut number: u32) -> Option<Vec<DataType>> {
    let mut out = Vec::new();
    while number != 0 {
        let part = number & ((1 << TYPE_BITS) - 1);
        out.insert(0, DataType::ALL.into_iter().find(|t| t.number() == part)?);
        number >>= TYPE_BITS;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concatenation_comes_apart_as_it_was_put_together() {
        let cases: [&[Value]; 4] = [
            &[Value::Port(80)],
            &[Value::Ip4([10, 0, 0, 1].into()), Value::Protocol(6), Value::Port(443)],
            &[Value::Ip6(Ipv6Addr::LOCALHOST), Value::IfName("eth0".into()), Value::Mark(0x4000)],
            &[Value::Ether(MacAddress([1, 2, 3, 4, 5, 6])), Value::Integer(7)],
        ];
        for values in cases {
            let types: Vec<_> = values.iter().map(Value::data_type).collect();
            let bytes = concatenate(values);
            assert_eq!(bytes.len(), width(&types));
            assert_eq!(split(&types, &bytes).unwrap(), values);
            assert_eq!(read_types(type_number(&types)).unwrap(), types);
        }
    }

    #[test]
    fn an_unknown_type_is_not_guessed() {
        assert_eq!(read_types(63), None);
    }
}
