//! Tables, chains and verdicts.

use std::fmt;

use super::uapi::{DATA_VERDICT, UDATA_COMMENT, VERDICT_CHAIN, VERDICT_CODE};
use crate::netlink::{
    Error,
    codec::{Attributes, Writer},
};

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// All families, when listing.
    Unspecified,
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
    /// Frames crossing a bridge.
    Bridge,
    /// Frames of one device, before everything else.
    Netdev,
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Inet => 1,
            Self::Ip4 => 2,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
        }
    }

    /// Its word in nft(8).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspec",
            Self::Inet => "inet",
            Self::Ip4 => "ip",
            Self::Ip6 => "ip6",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A table: a namespace for chains and sets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name.
    pub name: String,
    /// Comment, at most 127 bytes.
    pub comment: Option<String>,
}

impl Table {
    /// A table without comment.
    #[must_use]
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self { family, name: name.into(), comment: None }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Name, at most 127 bytes.
    pub name: String,
    /// Where it is attached; an unattached chain is only reached by jumps.
    pub base: Option<BaseChain>,
    /// Comment, at most 127 bytes.
    pub comment: Option<String>,
}

impl Chain {
    /// A chain that is reached by jumps.
    #[must_use]
    pub fn regular(name: impl Into<String>) -> Self {
        Self { name: name.into(), base: None, comment: None }
    }

    /// A chain that packets enter at a hook, and leave accepted.
    #[must_use]
    pub fn base(name: impl Into<String>, chain_type: ChainType, hook: Hook, priority: i32) -> Self {
        let base = BaseChain { chain_type, hook, priority, policy: Policy::Accept, device: None };
        Self { name: name.into(), base: Some(base), comment: None }
    }
}

/// Where a chain is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// What the chain may do.
    pub chain_type: ChainType,
    /// Point in the packet's way.
    pub hook: Hook,
    /// Order among chains of one hook, smaller first; see [`priority`].
    pub priority: i32,
    /// What happens to packets that reach the end.
    pub policy: Policy,
    /// The device, for the family `netdev`.
    pub device: Option<String>,
}

/// Usual priorities, as in Linux `include/uapi/linux/netfilter_ipv4.h`.
pub mod priority {
    /// Before connection tracking.
    pub const RAW: i32 = -300;
    /// After connection tracking, before routing decisions.
    pub const MANGLE: i32 = -150;
    /// Translation of destinations.
    pub const DSTNAT: i32 = -100;
    /// Dropping and accepting.
    pub const FILTER: i32 = 0;
    /// Translation of sources.
    pub const SRCNAT: i32 = 100;
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainType {
    /// Sees every packet.
    Filter,
    /// Sees the first packet of each connection and may translate addresses.
    Nat,
    /// Like `Filter`, and routes anew when a mark was changed (output only).
    Route,
}

impl ChainType {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Filter, Self::Nat, Self::Route].into_iter().find(|t| t.word() == word)
    }
}

/// Points in a packet's way through the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// On arrival.
    Prerouting,
    /// Before delivery to this machine.
    Input,
    /// On the way through.
    Forward,
    /// Made on this machine.
    Output,
    /// Before leaving.
    Postrouting,
    /// On arrival at the device (family `netdev`).
    Ingress,
}

impl Hook {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Prerouting | Self::Ingress => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    pub(super) fn from_number(family: Family, number: u32) -> Option<Self> {
        Some(match number {
            0 if family == Family::Netdev => Self::Ingress,
            0 => Self::Prerouting,
            1 => Self::Input,
            2 => Self::Forward,
            3 => Self::Output,
            4 => Self::Postrouting,
            _ => return None,
        })
    }
}

/// What happens to packets that reach the end of an attached chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They go on.
    Accept,
    /// They are dropped.
    Drop,
}

/// Where a packet goes next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// On, past this chain's hook.
    Accept,
    /// Nowhere.
    Drop,
    /// To the next rule.
    Continue,
    /// Back to the rule after the jump.
    Return,
    /// To a chain, and back at its end.
    Jump(String),
    /// To a chain, not back.
    Goto(String),
}

impl Verdict {
    pub(super) fn write(&self, w: &mut Writer) {
        let (code, chain): (i32, Option<&str>) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Continue => (-1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
            Self::Return => (-5, None),
        };
        w.nest(DATA_VERDICT, |w| {
            w.be32(VERDICT_CODE, code.cast_unsigned());
            if let Some(chain) = chain {
                w.string(VERDICT_CHAIN, chain);
            }
        });
    }

    /// Reads the contents of a data attribute.
    pub(super) fn read(data: Attributes<'_>) -> Result<Option<Self>, Error> {
        let Some(verdict) = data.nested(DATA_VERDICT)? else { return Ok(None) };
        let code = verdict.be32(VERDICT_CODE).ok_or(Error::Malformed("verdict without code"))?.cast_signed();
        let chain = || verdict.string(VERDICT_CHAIN).ok_or(Error::Malformed("jump without chain"));
        Ok(Some(match code {
            0 => Self::Drop,
            1 => Self::Accept,
            -1 => Self::Continue,
            -3 => Self::Jump(chain()?),
            -4 => Self::Goto(chain()?),
            -5 => Self::Return,
            _ => return Err(Error::Malformed("verdict code")),
        }))
    }
}

/// A comment as nft(8) stores it in the user data of an object: type, length, text, zero.
pub(super) fn comment_bytes(comment_type: u8, comment: &str) -> Vec<u8> {
    // 127: what nft(8) accepts (128 with the zero). Cut at a character.
    let end = (0..=comment.len().min(127)).rev().find(|i| comment.is_char_boundary(*i)).unwrap_or(0);
    let text = &comment.as_bytes()[..end];
    let length = u8::try_from(text.len() + 1).expect("at most 128");
    [&[comment_type, length][..], text, &[0]].concat()
}

/// The comment in user data, if there is one.
pub(super) fn read_comment(comment_type: u8, mut userdata: &[u8]) -> Option<String> {
    loop {
        let [kind, length, rest @ ..] = userdata else { return None };
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == comment_type {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        userdata = rest;
    }
}

/// Appends a comment to a message, if there is one.
pub(super) fn write_comment(w: &mut Writer, attribute: u16, comment: Option<&str>) {
    if let Some(comment) = comment {
        w.bytes(attribute, &comment_bytes(UDATA_COMMENT, comment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_read_back_and_are_cut_at_a_character() {
        for comment in ["", "default/web:http", &"x".repeat(127)] {
            assert_eq!(read_comment(0, &comment_bytes(0, comment)).as_deref(), Some(comment));
        }
        let long = format!("{}\u{fc}{}", "x".repeat(126), "y".repeat(50));
        assert_eq!(read_comment(7, &comment_bytes(7, &long)), Some("x".repeat(126)));
        assert_eq!(read_comment(0, &comment_bytes(7, "other")), None);
    }
}
