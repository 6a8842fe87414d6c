//! The instructions of the packet machine, written and read.
//!
//! A rule is a list of these. Most callers use the words of [`super::Rule`], which pick registers; this level is for
//! what they do not cover.

use std::time::Duration;

use super::{
    set::milliseconds,
    table::Verdict,
    uapi::{DATA_VALUE, EXPR_DATA, EXPR_NAME, LIST_ELEM},
};
use crate::netlink::{
    Error,
    codec::{Attributes, Writer},
};

/// One of the sixteen 32-bit registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reg(pub u8);

impl Reg {
    /// The number that instructions carry. The kernel also knows four 128-bit registers under the numbers 1 to 4, which
    /// cover the same bytes.
    fn number(self) -> u32 {
        assert!(self.0 < 16, "there are sixteen registers");
        8 + u32::from(self.0)
    }

    fn from_number(number: u32) -> Option<Self> {
        match number {
            1..=4 => Some(Self(u8::try_from((number - 1) * 4).ok()?)),
            8..=23 => Some(Self(u8::try_from(number - 8).ok()?)),
            _ => None,
        }
    }
}

/// Where the offset of a packet field counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadBase {
    /// The Ethernet header.
    Link,
    /// The IP header.
    Network,
    /// The TCP, UDP, SCTP header.
    Transport,
}

/// What is known about a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MetaKey {
    /// Ethernet protocol.
    Protocol = 1,
    /// Mark, host order.
    Mark = 3,
    /// Index of the interface it came by.
    IifIndex = 4,
    /// Index of the interface it leaves by.
    OifIndex = 5,
    /// Name of the interface it came by.
    IifName = 6,
    /// Name of the interface it leaves by.
    OifName = 7,
    /// Family: 2 IPv4, 10 IPv6.
    NfProto = 15,
    /// Transport protocol.
    L4Proto = 16,
    /// Unicast, broadcast, multicast.
    PacketType = 19,
}

/// What is known about a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CtKey {
    /// State bits, see `ct_state`.
    State = 0,
    /// 0 for the direction of the first packet, 1 for the other.
    Direction = 1,
    /// Status bits, see `ct_status`.
    Status = 2,
    /// Mark, host order.
    Mark = 3,
    /// Transport protocol.
    Protocol = 10,
    /// Source port in one direction.
    SourcePort = 11,
    /// Destination port in one direction.
    DestinationPort = 12,
    /// IPv4 source in one direction.
    SourceIp4 = 19,
    /// IPv4 destination in one direction.
    DestinationIp4 = 20,
    /// IPv6 source in one direction.
    SourceIp6 = 21,
    /// IPv6 destination in one direction.
    DestinationIp6 = 22,
}

/// Comparison of a register with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CmpOp {
    /// Equal.
    Eq = 0,
    /// Not equal.
    Ne = 1,
    /// Smaller, as big-endian numbers.
    Lt = 2,
    /// Smaller or equal.
    Le = 3,
    /// Greater.
    Gt = 4,
    /// Greater or equal.
    Ge = 5,
}

/// What a look-up in the routing table is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FibFlags(pub u32);

impl FibFlags {
    /// The source address.
    pub const SOURCE: Self = Self(1);
    /// The destination address.
    pub const DESTINATION: Self = Self(2);
    /// The interface it came by.
    pub const IIF: Self = Self(8);
    /// The interface it leaves by.
    pub const OIF: Self = Self(16);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a look-up in the routing table gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FibResult {
    /// Index of the interface, 0 if there is no route.
    OifIndex = 1,
    /// Name of the interface.
    OifName = 2,
    /// Kind of the address, see `Value::AddressType`.
    AddressType = 3,
}

/// Flags of address translation, from Linux `include/uapi/linux/netfilter/nf_nat.h`.
pub mod nat_flags {
    /// Pick the port at random.
    pub const RANDOM: u32 = 1 << 2;
    /// The same address for all connections of a client.
    pub const PERSISTENT: u32 = 1 << 3;
    /// Pick the port at random, without looking for the original one first: avoids the insertion race of simultaneous
    /// connections.
    pub const FULLY_RANDOM: u32 = 1 << 4;
}

/// Address translation to what is in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Destination (true) or source.
    pub is_destination: bool,
    /// IPv6 or IPv4.
    pub is_ip6: bool,
    /// Where the address is; the address stays as it is if absent.
    pub address: Option<Reg>,
    /// Where the port is, in network order; the port stays as it is if absent.
    pub port: Option<Reg>,
    /// See [`nat_flags`].
    pub flags: u32,
}

/// How a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// An ICMP (in IPv6: `ICMPv6`) message with this code. Port unreachable: 3 for IPv4, 4 for IPv6.
    Icmp(u8),
    /// A TCP reset.
    TcpReset,
    /// For the family `inet`: 0 no route, 1 port unreachable, 2 host unreachable, 3 prohibited.
    Icmpx(u8),
}

/// An instruction.
#[expect(missing_docs, reason = "operands are named after their role in the sentence that documents the instruction")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Loads bytes of the packet.
    Payload { base: PayloadBase, offset: u32, length: u32, to: Reg },
    /// Loads something known about the packet.
    Meta { key: MetaKey, to: Reg },
    /// Changes something about the packet.
    MetaSet { key: MetaKey, from: Reg },
    /// Loads something about the connection; some keys need a direction (0 original, 1 reply).
    Ct { key: CtKey, direction: Option<u8>, to: Reg },
    /// Changes something about the connection.
    CtSet { key: CtKey, from: Reg },
    /// Looks into the routing table.
    Fib { flags: FibFlags, result: FibResult, to: Reg },
    /// Goes on if the comparison holds.
    Cmp { from: Reg, op: CmpOp, value: Vec<u8> },
    /// Goes on if the register is inside (or outside) a range, both ends included.
    Range { from: Reg, negated: bool, first: Vec<u8>, last: Vec<u8> },
    /// `to = (from & mask) ^ xor`.
    Bitwise { from: Reg, to: Reg, mask: Vec<u8>, xor: Vec<u8> },
    /// Loads a constant.
    Immediate { to: Reg, value: Vec<u8> },
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Goes on if the key is (or is not) in the set; with `to`, loads what the map holds.
    Lookup { set: String, key: Reg, to: Option<Reg>, negated: bool },
    /// Applies the verdict that the map holds; goes on if it holds none.
    VerdictMap { set: String, key: Reg },
    /// Counts up or draws a number in `offset..offset + modulus`.
    Numgen { random: bool, modulus: u32, offset: u32, to: Reg },
    /// Hashes registers to a number in `offset..offset + modulus`.
    Hash { from: Reg, length: u32, modulus: u32, seed: Option<u32>, offset: u32, to: Reg },
    /// Adds an element to a set; with `update`, also starts its time anew if it is there. Goes on unless the set is
    /// full.
    Dynset { set: String, update: bool, key: Reg, data: Option<Reg>, timeout: Option<Duration> },
    /// Deletes an element from a set.
    DynsetDelete { set: String, key: Reg },
    /// Translates the source to the address of the interface the packet leaves by.
    Masquerade { flags: u32 },
    /// Translates the destination to this machine.
    Redirect { port: Option<Reg>, flags: u32 },
    /// Translates addresses.
    Nat(Nat),
    /// Refuses the packet.
    Reject(Reject),
    /// Counts packets and bytes. The numbers start the counter.
    Counter { packets: u64, bytes: u64 },
    /// Goes on below a rate (or above it, if `over`), in packets.
    Limit { rate: u64, per: Duration, burst: u32, over: bool },
    /// Writes to the kernel log.
    Log { prefix: String },
    /// The packet is not to be tracked.
    Notrack,
    /// Something that is not modelled; only ever read.
    Other { name: String },
}

impl Expr {
    /// Appends the instruction to a list.
    pub(super) fn write(&self, w: &mut Writer) {
        w.nest(LIST_ELEM, |w| {
            w.string(EXPR_NAME, self.name());
            w.nest(EXPR_DATA, |w| self.write_data(w));
        });
    }

    fn name(&self) -> &str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta { .. } | Self::MetaSet { .. } => "meta",
            Self::Ct { .. } | Self::CtSet { .. } => "ct",
            Self::Fib { .. } => "fib",
            Self::Cmp { .. } => "cmp",
            Self::Range { .. } => "range",
            Self::Bitwise { .. } => "bitwise",
            Self::Immediate { .. } | Self::Verdict(_) => "immediate",
            Self::Lookup { .. } | Self::VerdictMap { .. } => "lookup",
            Self::Numgen { .. } => "numgen",
            Self::Hash { .. } => "hash",
            Self::Dynset { .. } | Self::DynsetDelete { .. } => "dynset",
            Self::Masquerade { .. } => "masq",
            Self::Redirect { .. } => "redir",
            Self::Nat(_) => "nat",
            Self::Reject(_) => "reject",
            Self::Counter { .. } => "counter",
            Self::Limit { .. } => "limit",
            Self::Log { .. } => "log",
            Self::Notrack => "notrack",
            Self::Other { name } => name,
        }
    }

    /// The attributes of each instruction, numbered as in `nf_tables.h` (`enum nft_payload_attributes` and so on).
    fn write_data(&self, w: &mut Writer) {
        match self {
            Self::Payload { base, offset, length, to } => {
                let base = match base {
                    PayloadBase::Link => 0,
                    PayloadBase::Network => 1,
                    PayloadBase::Transport => 2,
                };
                w.be32(1, to.number()).be32(2, base).be32(3, *offset).be32(4, *length);
            }
            Self::Meta { key, to } => {
                w.be32(1, to.number()).be32(2, *key as u32);
            }
            Self::MetaSet { key, from } => {
                w.be32(2, *key as u32).be32(3, from.number());
            }
            Self::Ct { key, direction, to } => {
                w.be32(1, to.number()).be32(2, *key as u32);
                if let Some(direction) = direction {
                    w.u8(3, *direction);
                }
            }
            Self::CtSet { key, from } => {
                w.be32(2, *key as u32).be32(4, from.number());
            }
            Self::Fib { flags, result, to } => {
                w.be32(1, to.number()).be32(2, *result as u32).be32(3, flags.0);
            }
            Self::Cmp { from, op, value } => {
                w.be32(1, from.number()).be32(2, *op as u32);
                write_value(w, 3, value);
            }
            Self::Range { from, negated, first, last } => {
                w.be32(1, from.number()).be32(2, u32::from(*negated));
                write_value(w, 3, first);
                write_value(w, 4, last);
            }
            Self::Bitwise { from, to, mask, xor } => {
                w.be32(1, from.number()).be32(2, to.number()).be32(3, length(mask));
                write_value(w, 4, mask);
                write_value(w, 5, xor);
            }
            Self::Immediate { to, value } => {
                w.be32(1, to.number());
                write_value(w, 2, value);
            }
            Self::Verdict(verdict) => {
                // Register 0 is the verdict.
                w.be32(1, 0).nest(2, |w| verdict.write(w));
            }
            Self::Lookup { set, key, to, negated } => {
                w.string(1, set).be32(2, key.number());
                if let Some(to) = to {
                    w.be32(3, to.number());
                }
                if *negated {
                    w.be32(5, 1);
                }
            }
            Self::VerdictMap { set, key } => {
                w.string(1, set).be32(2, key.number()).be32(3, 0);
            }
            Self::Numgen { random, modulus, offset, to } => {
                w.be32(1, to.number()).be32(2, *modulus).be32(3, u32::from(*random)).be32(4, *offset);
            }
            Self::Hash { from, length, modulus, seed, offset, to } => {
                w.be32(1, from.number()).be32(2, to.number()).be32(3, *length).be32(4, *modulus);
                if let Some(seed) = seed {
                    w.be32(5, *seed);
                }
                w.be32(6, *offset).be32(7, 0);
            }
            Self::Dynset { set, update, key, data, timeout } => {
                w.string(1, set).be32(3, u32::from(*update)).be32(4, key.number());
                if let Some(data) = data {
                    w.be32(5, data.number());
                }
                if let Some(timeout) = timeout {
                    w.be64(6, milliseconds(*timeout));
                }
            }
            Self::DynsetDelete { set, key } => {
                w.string(1, set).be32(3, 2).be32(4, key.number());
            }
            Self::Masquerade { flags } => {
                if *flags != 0 {
                    w.be32(1, *flags);
                }
            }
            Self::Redirect { port, flags } => {
                if let Some(port) = port {
                    w.be32(1, port.number());
                }
                if *flags != 0 {
                    w.be32(3, *flags);
                }
            }
            Self::Nat(nat) => {
                let family = if nat.is_ip6 { 10 } else { 2 };
                w.be32(1, u32::from(nat.is_destination)).be32(2, family);
                if let Some(address) = nat.address {
                    w.be32(3, address.number());
                }
                if let Some(port) = nat.port {
                    w.be32(5, port.number());
                }
                if nat.flags != 0 {
                    w.be32(7, nat.flags);
                }
            }
            Self::Reject(reject) => {
                match reject {
                    Reject::Icmp(code) => w.be32(1, 0).u8(2, *code),
                    Reject::TcpReset => w.be32(1, 1),
                    Reject::Icmpx(code) => w.be32(1, 2).u8(2, *code),
                };
            }
            Self::Counter { packets, bytes } => {
                w.be64(1, *bytes).be64(2, *packets);
            }
            Self::Limit { rate, per, burst, over } => {
                w.be64(1, *rate).be64(2, per.as_secs()).be32(3, *burst).be32(4, 0).be32(5, u32::from(*over));
            }
            Self::Log { prefix } => {
                w.string(2, prefix);
            }
            Self::Notrack | Self::Other { .. } => {}
        }
    }

    /// Reads one instruction.
    pub(super) fn read(element: Attributes<'_>) -> Result<Self, Error> {
        let name = element.string(EXPR_NAME).ok_or(Error::Malformed("instruction without name"))?;
        let empty = Attributes::parse(&[])?;
        let data = element.nested(EXPR_DATA)?.unwrap_or(empty);
        Ok(Self::read_data(&name, data)?.unwrap_or(Self::Other { name }))
    }

    /// Nothing if the instruction uses a form that is not modelled.
    fn read_data(name: &str, a: Attributes<'_>) -> Result<Option<Self>, Error> {
        let reg = |kind| a.be32(kind).and_then(Reg::from_number);
        let value = |kind| -> Result<Option<Vec<u8>>, Error> {
            Ok(a.nested(kind)?.and_then(|d| d.get(DATA_VALUE)).map(<[u8]>::to_vec))
        };
        let number = |kind| a.be32(kind).unwrap_or(0);
        Ok(match name {
            "payload" => reg(1).and_then(|to| {
                let base = match number(2) {
                    0 => PayloadBase::Link,
                    1 => PayloadBase::Network,
                    2 => PayloadBase::Transport,
                    _ => return None,
                };
                Some(Self::Payload { base, offset: number(3), length: number(4), to })
            }),
            "meta" => meta_key(number(2)).and_then(|key| match (reg(1), reg(3)) {
                (Some(to), _) => Some(Self::Meta { key, to }),
                (None, Some(from)) => Some(Self::MetaSet { key, from }),
                _ => None,
            }),
            "ct" => ct_key(number(2)).and_then(|key| match (reg(1), reg(4)) {
                (Some(to), _) => Some(Self::Ct { key, direction: a.u8(3), to }),
                (None, Some(from)) => Some(Self::CtSet { key, from }),
                _ => None,
            }),
            "fib" => {
                let result = match number(2) {
                    1 => Some(FibResult::OifIndex),
                    2 => Some(FibResult::OifName),
                    3 => Some(FibResult::AddressType),
                    _ => None,
                };
                reg(1).zip(result).map(|(to, result)| Self::Fib { flags: FibFlags(number(3)), result, to })
            }
            "cmp" => {
                let op = [CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge]
                    .into_iter()
                    .find(|op| *op as u32 == number(2));
                let value = value(3)?;
                reg(1).zip(op).zip(value).map(|((from, op), value)| Self::Cmp { from, op, value })
            }
            "range" => {
                let (first, last) = (value(3)?, value(4)?);
                let negated = number(2) == 1;
                reg(1).zip(first).zip(last).map(|((from, first), last)| Self::Range { from, negated, first, last })
            }
            "bitwise" => {
                let (mask, xor) = (value(4)?, value(5)?);
                let regs = reg(1).zip(reg(2));
                regs.zip(mask).zip(xor).map(|(((from, to), mask), xor)| Self::Bitwise { from, to, mask, xor })
            }
            "immediate" => {
                let verdict = match a.nested(2)? {
                    Some(data) => Verdict::read(data)?,
                    None => None,
                };
                match verdict {
                    Some(verdict) => Some(Self::Verdict(verdict)),
                    None => reg(1).zip(value(2)?).map(|(to, value)| Self::Immediate { to, value }),
                }
            }
            "lookup" => a.string(1).zip(reg(2)).map(|(set, key)| match a.be32(3) {
                Some(0) => Self::VerdictMap { set, key },
                _ => Self::Lookup { set, key, to: reg(3), negated: number(5) & 1 != 0 },
            }),
            "numgen" => {
                reg(1).map(|to| Self::Numgen { random: number(3) == 1, modulus: number(2), offset: number(4), to })
            }
            "hash" => reg(1).zip(reg(2)).filter(|_| number(7) == 0).map(|(from, to)| Self::Hash {
                from,
                length: number(3),
                modulus: number(4),
                seed: a.be32(5),
                offset: number(6),
                to,
            }),
            "dynset" => a.string(1).zip(reg(4)).map(|(set, key)| match number(3) {
                2 => Self::DynsetDelete { set, key },
                op => Self::Dynset {
                    set,
                    update: op == 1,
                    key,
                    data: reg(5),
                    timeout: a.be64(6).filter(|ms| *ms > 0).map(Duration::from_millis),
                },
            }),
            "masq" => Some(Self::Masquerade { flags: number(1) }),
            "redir" => Some(Self::Redirect { port: reg(1), flags: number(3) & !NAT_IMPLIED }),
            "nat" => Some(Self::Nat(Nat {
                is_destination: number(1) == 1,
                is_ip6: number(2) == 10,
                address: reg(3),
                port: reg(5),
                flags: number(7) & !NAT_IMPLIED,
            })),
            "reject" => {
                let code = a.u8(2).unwrap_or(0);
                match number(1) {
                    0 => Some(Self::Reject(Reject::Icmp(code))),
                    1 => Some(Self::Reject(Reject::TcpReset)),
                    2 => Some(Self::Reject(Reject::Icmpx(code))),
                    _ => None,
                }
            }
            "counter" => Some(Self::Counter { packets: a.be64(2).unwrap_or(0), bytes: a.be64(1).unwrap_or(0) }),
            "limit" if number(4) == 0 => Some(Self::Limit {
                rate: a.be64(1).unwrap_or(0),
                per: Duration::from_secs(a.be64(2).unwrap_or(0)),
                burst: number(3),
                over: number(5) & 1 != 0,
            }),
            "log" => a.string(2).map(|prefix| Self::Log { prefix }),
            "notrack" => Some(Self::Notrack),
            _ => None,
        })
    }
}

/// "An address is given", "a port is given": flags that the kernel sets by itself.
const NAT_IMPLIED: u32 = 0b11;

fn write_value(w: &mut Writer, kind: u16, value: &[u8]) {
    w.nest(kind, |w| {
        w.bytes(DATA_VALUE, value);
    });
}

fn length(value: &[u8]) -> u32 {
    u32::try_from(value.len()).expect("at most the 64 bytes of all registers")
}

fn meta_key(number: u32) -> Option<MetaKey> {
    use MetaKey as K;
    [K::Protocol, K::Mark, K::IifIndex, K::OifIndex, K::IifName, K::OifName, K::NfProto, K::L4Proto, K::PacketType]
        .into_iter()
        .find(|key| *key as u32 == number)
}

fn ct_key(number: u32) -> Option<CtKey> {
    use CtKey as K;
    [
        K::State,
        K::Direction,
        K::Status,
        K::Mark,
        K::Protocol,
        K::SourcePort,
        K::DestinationPort,
        K::SourceIp4,
        K::DestinationIp4,
        K::SourceIp6,
        K::DestinationIp6,
    ]
    .into_iter()
    .find(|key| *key as u32 == number)
}
