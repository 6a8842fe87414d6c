//! Rules, in words close to those of nft(8).
//!
//! Each word appends instructions and may overwrite registers, so no word relies on what another one loaded. Fields of
//! a header are read wherever the header would be: in a table of the family `inet`, ask for `Field::NfProto` before an
//! address, and for `Field::L4Proto` before a port.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{
    expr::{CmpOp, CtKey, Expr, FibFlags, FibResult, MetaKey, Nat, PayloadBase, Reg, Reject},
    table::Verdict,
    value::{REGISTER_BYTES, Value},
};

/// Where keys and looked-up data go.
const KEY: Reg = Reg(0);
/// Where the input of a hash goes, so that its output does not overlap it.
const HASH_INPUT: Reg = Reg(4);

/// Bits of [`Field::CtState`].
pub mod ct_state {
    /// Belongs to no connection and could not start one.
    pub const INVALID: u32 = 1;
    /// Belongs to a connection with packets in both directions.
    pub const ESTABLISHED: u32 = 2;
    /// Starts a connection that an existing one announced.
    pub const RELATED: u32 = 4;
    /// Starts a connection.
    pub const NEW: u32 = 8;
    /// Is exempt from tracking.
    pub const UNTRACKED: u32 = 64;
}

/// Bits of [`Field::CtStatus`].
pub mod ct_status {
    /// The source was translated.
    pub const SNAT: u32 = 1 << 4;
    /// The destination was translated.
    pub const DNAT: u32 = 1 << 5;
}

/// Something to compare or to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// IPv4 source.
    Ip4Source,
    /// IPv4 destination.
    Ip4Destination,
    /// IPv6 source.
    Ip6Source,
    /// IPv6 destination.
    Ip6Destination,
    /// Source port of TCP, UDP, SCTP.
    SourcePort,
    /// Destination port of TCP, UDP, SCTP.
    DestinationPort,
    /// Type of an ICMP message, in a `Value::Protocol`.
    IcmpType,
    /// Family (2 IPv4, 10 IPv6), in a `Value::Protocol`.
    NfProto,
    /// Transport protocol.
    L4Proto,
    /// Name of the interface the packet came by.
    IifName,
    /// Name of the interface the packet leaves by.
    OifName,
    /// Index of the interface the packet came by.
    IifIndex,
    /// Index of the interface the packet leaves by.
    OifIndex,
    /// Mark.
    Mark,
    /// State of the connection, see [`ct_state`].
    CtState,
    /// Status of the connection, see [`ct_status`].
    CtStatus,
    /// Mark of the connection.
    CtMark,
    /// 0 in the direction of the connection's first packet, 1 in the other; in a `Value::Protocol`.
    CtDirection,
    /// Destination of the connection's first packet, before translation (IPv4).
    CtOriginalDestinationIp4,
    /// Destination of the connection's first packet, before translation (IPv6).
    CtOriginalDestinationIp6,
    /// Destination port of the connection's first packet, before translation.
    CtOriginalDestinationPort,
    /// Kind of the destination address, see `Value::LOCAL`.
    FibDestinationType,
    /// Kind of the source address.
    FibSourceType,
}

impl Field {
    fn load(self, to: Reg) -> Expr {
        let payload = |base, offset, length| Expr::Payload { base, offset, length, to };
        let meta = |key| Expr::Meta { key, to };
        let ct = |key| Expr::Ct { key, direction: None, to };
        let original = |key| Expr::Ct { key, direction: Some(0), to };
        let fib = |flags| Expr::Fib { flags, result: FibResult::AddressType, to };
        match self {
            Self::Ip4Source => payload(PayloadBase::Network, 12, 4),
            Self::Ip4Destination => payload(PayloadBase::Network, 16, 4),
            Self::Ip6Source => payload(PayloadBase::Network, 8, 16),
            Self::Ip6Destination => payload(PayloadBase::Network, 24, 16),
            Self::SourcePort => payload(PayloadBase::Transport, 0, 2),
            Self::DestinationPort => payload(PayloadBase::Transport, 2, 2),
            Self::IcmpType => payload(PayloadBase::Transport, 0, 1),
            Self::NfProto => meta(MetaKey::NfProto),
            Self::L4Proto => meta(MetaKey::L4Proto),
            Self::IifName => meta(MetaKey::IifName),
            Self::OifName => meta(MetaKey::OifName),
            Self::IifIndex => meta(MetaKey::IifIndex),
            Self::OifIndex => meta(MetaKey::OifIndex),
            Self::Mark => meta(MetaKey::Mark),
            Self::CtState => ct(CtKey::State),
            Self::CtStatus => ct(CtKey::Status),
            Self::CtMark => ct(CtKey::Mark),
            Self::CtDirection => ct(CtKey::Direction),
            Self::CtOriginalDestinationIp4 => original(CtKey::DestinationIp4),
            Self::CtOriginalDestinationIp6 => original(CtKey::DestinationIp6),
            Self::CtOriginalDestinationPort => original(CtKey::DestinationPort),
            Self::FibDestinationType => fib(FibFlags::DESTINATION),
            Self::FibSourceType => fib(FibFlags::SOURCE),
        }
    }

    fn width(self) -> usize {
        match self {
            Self::IcmpType | Self::NfProto | Self::L4Proto | Self::CtDirection => 1,
            Self::SourcePort | Self::DestinationPort | Self::CtOriginalDestinationPort => 2,
            Self::Ip6Source | Self::Ip6Destination | Self::CtOriginalDestinationIp6 | Self::IifName | Self::OifName => {
                16
            }
            _ => 4,
        }
    }

    /// Registers that the field takes.
    fn registers(self) -> u8 {
        u8::try_from(self.width().div_ceil(REGISTER_BYTES)).expect("at most four registers")
    }
}

/// What a map is looked up with.
#[derive(Clone, Copy, Debug)]
pub enum Selector<'a> {
    /// Fields, concatenated.
    Fields(&'a [Field]),
    /// A random number below `modulus`.
    Random {
        /// How many numbers.
        modulus: u32,
    },
    /// Numbers below `modulus` in turn, from zero: each rule counts for itself, anew when it is replaced.
    Turn {
        /// How many numbers.
        modulus: u32,
    },
    /// A hash of fields, below `modulus`.
    Hash {
        /// What to hash.
        fields: &'a [Field],
        /// How many numbers.
        modulus: u32,
        /// Another seed, another distribution.
        seed: u32,
    },
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The chain it belongs to.
    pub chain: String,
    /// What it does.
    pub exprs: Vec<Expr>,
    /// Comment, at most 127 bytes.
    pub comment: Option<String>,
}

impl Rule {
    /// An empty rule for a chain.
    #[must_use]
    pub fn new(chain: impl Into<String>) -> Self {
        Self { chain: chain.into(), exprs: Vec::new(), comment: None }
    }

    /// With a comment.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// With one more instruction.
    #[must_use]
    pub fn expr(mut self, expr: Expr) -> Self {
        self.exprs.push(expr);
        self
    }

    /// Goes on if the field has this value.
    #[must_use]
    pub fn matches(self, field: Field, value: &Value) -> Self {
        self.compares(field, CmpOp::Eq, value)
    }

    /// Goes on if the comparison of the field with the value holds.
    #[must_use]
    pub fn compares(self, field: Field, op: CmpOp, value: &Value) -> Self {
        let value = value.bytes();
        assert_eq!(value.len(), field.width(), "{field:?} and its value have the same size");
        self.expr(field.load(KEY)).expr(Expr::Cmp { from: KEY, op, value })
    }

    /// Goes on if the packet is of the family of `ip`.
    #[must_use]
    pub fn matches_family_of(self, ip: IpAddr) -> Self {
        self.matches(Field::NfProto, &Value::Protocol(if ip.is_ipv4() { 2 } else { 10 }))
    }

    /// Goes on if the address field is inside the network (outside, if `negated`).
    #[must_use]
    pub fn in_network(mut self, field: Field, net: IpNet, negated: bool) -> Self {
        let value = Value::from(net.network()).bytes();
        assert_eq!(value.len(), field.width(), "{field:?} and its network are of one family");
        self.exprs.push(field.load(KEY));
        if net.prefix_len() < net.max_prefix_len() {
            let xor = vec![0; value.len()];
            self.exprs.push(Expr::Bitwise { from: KEY, to: KEY, mask: Value::from(net.netmask()).bytes(), xor });
        }
        self.expr(Expr::Cmp { from: KEY, op: if negated { CmpOp::Ne } else { CmpOp::Eq }, value })
    }

    /// Goes on if at least one of the bits is set in a 32-bit field.
    #[must_use]
    pub fn any_bit(self, field: Field, bits: u32) -> Self {
        self.bits(field, bits, CmpOp::Ne)
    }

    /// Goes on if none of the bits is set in a 32-bit field.
    #[must_use]
    pub fn no_bit(self, field: Field, bits: u32) -> Self {
        self.bits(field, bits, CmpOp::Eq)
    }

    fn bits(self, field: Field, bits: u32, op: CmpOp) -> Self {
        assert_eq!(field.width(), 4, "{field:?} has bits");
        let mask = bits.to_ne_bytes().to_vec();
        self.expr(field.load(KEY)).expr(Expr::Bitwise { from: KEY, to: KEY, mask, xor: vec![0; 4] }).expr(Expr::Cmp {
            from: KEY,
            op,
            value: vec![0; 4],
        })
    }

    /// Goes on if the fields are in the set.
    #[must_use]
    pub fn in_set(mut self, fields: &[Field], set: impl Into<String>) -> Self {
        self.load(fields, KEY);
        self.expr(Expr::Lookup { set: set.into(), key: KEY, to: None, negated: false })
    }

    /// Goes on if the fields are not in the set.
    #[must_use]
    pub fn not_in_set(mut self, fields: &[Field], set: impl Into<String>) -> Self {
        self.load(fields, KEY);
        self.expr(Expr::Lookup { set: set.into(), key: KEY, to: None, negated: true })
    }

    /// Applies the verdict that the map holds; goes on if it holds none.
    #[must_use]
    pub fn verdict_map(mut self, selector: Selector<'_>, map: impl Into<String>) -> Self {
        self.select(selector);
        self.expr(Expr::VerdictMap { set: map.into(), key: KEY })
    }

    /// Ends with a verdict.
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.expr(Expr::Verdict(verdict))
    }

    /// Ends by going to a chain and back.
    #[must_use]
    pub fn jump(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Jump(chain.into()))
    }

    /// Ends by going to a chain for good.
    #[must_use]
    pub fn goto(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// Ends by translating the destination.
    #[must_use]
    pub fn dnat(self, ip: IpAddr, port: Option<u16>) -> Self {
        let address_registers: u8 = if ip.is_ipv4() { 1 } else { 4 };
        let port_at = Reg(KEY.0 + address_registers);
        let mut rule = self.expr(Expr::Immediate { to: KEY, value: Value::from(ip).bytes() });
        if let Some(port) = port {
            rule = rule.expr(Expr::Immediate { to: port_at, value: Value::Port(port).bytes() });
        }
        let port = port.map(|_| port_at);
        rule.expr(Expr::Nat(Nat { is_destination: true, is_ip6: ip.is_ipv6(), address: Some(KEY), port, flags: 0 }))
    }

    /// Ends by translating the destination to what the map holds: address and port, concatenated. Goes on if it holds
    /// nothing.
    #[must_use]
    pub fn dnat_map(mut self, selector: Selector<'_>, map: impl Into<String>, is_ip6: bool) -> Self {
        self.select(selector);
        let port = Some(Reg(KEY.0 + if is_ip6 { 4 } else { 1 }));
        self.expr(Expr::Lookup { set: map.into(), key: KEY, to: Some(KEY), negated: false }).expr(Expr::Nat(Nat {
            is_destination: true,
            is_ip6,
            address: Some(KEY),
            port,
            flags: 0,
        }))
    }

    /// Ends by translating the source.
    #[must_use]
    pub fn snat(self, ip: IpAddr, flags: u32) -> Self {
        self.expr(Expr::Immediate { to: KEY, value: Value::from(ip).bytes() }).expr(Expr::Nat(Nat {
            is_destination: false,
            is_ip6: ip.is_ipv6(),
            address: Some(KEY),
            port: None,
            flags,
        }))
    }

    /// Ends by translating the source to the address of the interface the packet leaves by; `flags` from `nat_flags`.
    #[must_use]
    pub fn masquerade(self, flags: u32) -> Self {
        self.expr(Expr::Masquerade { flags })
    }

    /// Ends by refusing the packet.
    #[must_use]
    pub fn reject(self, how: Reject) -> Self {
        self.expr(Expr::Reject(how))
    }

    /// Counts, from zero.
    #[must_use]
    pub fn counter(self) -> Self {
        self.expr(Expr::Counter { packets: 0, bytes: 0 })
    }

    /// Sets the bits of the packet's mark that are in `mask` to those of `value`.
    #[must_use]
    pub fn set_mark(self, value: u32, mask: u32) -> Self {
        self.expr(Expr::Meta { key: MetaKey::Mark, to: KEY })
            .expr(Expr::Bitwise {
                from: KEY,
                to: KEY,
                mask: (!mask).to_ne_bytes().to_vec(),
                xor: (value & mask).to_ne_bytes().to_vec(),
            })
            .expr(Expr::MetaSet { key: MetaKey::Mark, from: KEY })
    }

    /// Adds the fields to a set, or starts their time there anew. `timeout` overrides the set's. Goes on unless the set
    /// is full.
    #[must_use]
    pub fn update_set(mut self, fields: &[Field], set: impl Into<String>, timeout: Option<Duration>) -> Self {
        self.load(fields, KEY);
        self.expr(Expr::Dynset { set: set.into(), update: true, key: KEY, data: None, timeout })
    }

    fn select(&mut self, selector: Selector<'_>) {
        match selector {
            Selector::Fields(fields) => self.load(fields, KEY),
            Selector::Random { modulus } => {
                self.exprs.push(Expr::Numgen { random: true, modulus, offset: 0, to: KEY });
            }
            Selector::Turn { modulus } => {
                self.exprs.push(Expr::Numgen { random: false, modulus, offset: 0, to: KEY });
            }
            Selector::Hash { fields, modulus, seed } => {
                self.load(fields, HASH_INPUT);
                let length = match fields {
                    [single] => single.width(),
                    many => many.iter().map(|f| usize::from(f.registers()) * REGISTER_BYTES).sum(),
                };
                self.exprs.push(Expr::Hash {
                    from: HASH_INPUT,
                    length: u32::try_from(length).expect("at most the 64 bytes of all registers"),
                    modulus,
                    seed: Some(seed),
                    offset: 0,
                    to: KEY,
                });
            }
        }
    }

    /// Loads fields one after the other, each at the start of a register.
    fn load(&mut self, fields: &[Field], first: Reg) {
        let mut at = first.0;
        for field in fields {
            self.exprs.push(field.load(Reg(at)));
            at += field.registers();
        }
    }
}
