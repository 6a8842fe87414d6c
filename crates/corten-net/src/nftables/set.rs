//! Sets, maps and their elements.
//!
//! An interval of an unconcatenated key is two elements for the kernel (start, and the first value behind the end); of
//! a concatenated key it is one element with two keys. Here both are one [`Element`] whose bounds are inclusive.

use std::{fmt, time::Duration};

use ipnet::IpNet;

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    table::{Verdict, comment_bytes, read_comment},
    value::{self, DataType, Value},
};
use crate::netlink::{
    Error,
    codec::{Attributes, Writer},
};

/// A set of keys, or a map from keys to values or verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Name, at most 127 bytes.
    pub name: String,
    /// Type of the key, one entry per part of a concatenation.
    pub key: Vec<DataType>,
    /// What a key leads to; nothing for a set.
    pub data: Option<SetData>,
    /// Elements may be ranges and prefixes.
    pub interval: bool,
    /// Rules may add and update elements (see `Rule::update_set`).
    pub dynamic: bool,
    /// Elements leave after a time: theirs, or this one.
    pub timeout: Option<Duration>,
    /// Most elements that rules may add; the kernel's default (65,535) if absent.
    pub size: Option<u32>,
    /// Comment, at most 127 bytes.
    pub comment: Option<String>,
}

/// What a map's keys lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetData {
    /// Values of these types, concatenated.
    Values(Vec<DataType>),
    /// A verdict.
    Verdict,
}

impl Set {
    /// A set of keys.
    #[must_use]
    pub fn new(name: impl Into<String>, key: &[DataType]) -> Self {
        Self {
            name: name.into(),
            key: key.to_vec(),
            data: None,
            interval: false,
            dynamic: false,
            timeout: None,
            size: None,
            comment: None,
        }
    }

    /// A map from keys to values.
    #[must_use]
    pub fn map(name: impl Into<String>, key: &[DataType], data: &[DataType]) -> Self {
        Self { data: Some(SetData::Values(data.to_vec())), ..Self::new(name, key) }
    }

    /// A map from keys to verdicts.
    #[must_use]
    pub fn verdict_map(name: impl Into<String>, key: &[DataType]) -> Self {
        Self { data: Some(SetData::Verdict), ..Self::new(name, key) }
    }

    /// With elements that may be ranges.
    #[must_use]
    pub fn with_intervals(mut self) -> Self {
        self.interval = true;
        self
    }

    /// With elements that rules add and that leave after `timeout`.
    #[must_use]
    pub fn updated_by_rules(mut self, timeout: Duration) -> Self {
        self.dynamic = true;
        self.timeout = Some(timeout);
        self
    }

    /// Appends everything but the table's name to a "new set" message.
    pub(super) fn write(&self, w: &mut Writer, id: u32) {
        let mut set_flags = 0;
        let has_concatenated_intervals = self.interval && self.key.len() > 1;
        for (on, flag) in [
            (self.interval, SET_F_INTERVAL),
            (has_concatenated_intervals, SET_F_CONCAT),
            (self.dynamic, SET_F_EVAL),
            (self.timeout.is_some(), SET_F_TIMEOUT),
            (self.data.is_some(), SET_F_MAP),
        ] {
            set_flags |= if on { flag } else { 0 };
        }
        w.string(SET_NAME, &self.name)
            .be32(SET_FLAGS, set_flags)
            .be32(SET_KEY_TYPE, value::type_number(&self.key))
            .be32(SET_KEY_LEN, small(value::width(&self.key)))
            .be32(SET_ID, id);
        match &self.data {
            None => {}
            Some(SetData::Verdict) => {
                w.be32(SET_DATA_TYPE, DATA_TYPE_VERDICT);
            }
            Some(SetData::Values(types)) => {
                w.be32(SET_DATA_TYPE, value::type_number(types)).be32(SET_DATA_LEN, small(value::width(types)));
            }
        }
        if self.size.is_some() || has_concatenated_intervals {
            w.nest(SET_DESC, |w| {
                if let Some(size) = self.size {
                    w.be32(SET_DESC_SIZE, size);
                }
                if has_concatenated_intervals {
                    w.nest(SET_DESC_CONCAT, |w| {
                        for part in &self.key {
                            w.nest(LIST_ELEM, |w| {
                                w.be32(SET_FIELD_LEN, small(part.width()));
                            });
                        }
                    });
                }
            });
        }
        if let Some(timeout) = self.timeout {
            w.be64(SET_TIMEOUT, milliseconds(timeout));
        }
        if let Some(comment) = &self.comment {
            w.bytes(SET_USERDATA, &comment_bytes(UDATA_SET_COMMENT, comment));
        }
    }

    /// Reads a set; nothing if it is anonymous or has a type that is not modelled.
    pub(super) fn read(attributes: Attributes<'_>) -> Result<Option<Self>, Error> {
        let set_flags = attributes.be32(SET_FLAGS).unwrap_or(0);
        if set_flags & SET_F_ANONYMOUS != 0 {
            return Ok(None);
        }
        let Some(key) = attributes.be32(SET_KEY_TYPE).and_then(value::read_types) else { return Ok(None) };
        let data = match attributes.be32(SET_DATA_TYPE) {
            None => None,
            Some(DATA_TYPE_VERDICT) => Some(SetData::Verdict),
            Some(number) => match value::read_types(number) {
                Some(types) => Some(SetData::Values(types)),
                None => return Ok(None),
            },
        };
        let size = attributes.nested(SET_DESC)?.and_then(|d| d.be32(SET_DESC_SIZE));
        Ok(Some(Self {
            name: attributes.string(SET_NAME).ok_or(Error::Malformed("set without name"))?,
            key,
            data,
            interval: set_flags & SET_F_INTERVAL != 0,
            dynamic: set_flags & SET_F_EVAL != 0,
            timeout: attributes.be64(SET_TIMEOUT).map(Duration::from_millis),
            size,
            comment: attributes.get(SET_USERDATA).and_then(|u| read_comment(UDATA_SET_COMMENT, u)),
        }))
    }
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The key, or the first key of a range; empty for the element that stands for all keys without one.
    pub key: Vec<Value>,
    /// The last key of a range.
    pub key_end: Option<Vec<Value>>,
    /// What the key leads to, in a map.
    pub data: Option<ElementData>,
    /// How long it stays; the set's default if absent. When listed: how long it was given.
    pub timeout: Option<Duration>,
    /// When listed: how long it still stays. Not written.
    pub expires_in: Option<Duration>,
    /// Comment, at most 127 bytes.
    pub comment: Option<String>,
}

/// What a map's element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementData {
    /// Values, concatenated.
    Values(Vec<Value>),
    /// A verdict.
    Verdict(Verdict),
}

impl Element {
    /// An element of a set.
    #[must_use]
    pub fn new(key: impl Into<Vec<Value>>) -> Self {
        Self { key: key.into(), key_end: None, data: None, timeout: None, expires_in: None, comment: None }
    }

    /// An element that stands for all keys without one of their own.
    #[must_use]
    pub fn catch_all() -> Self {
        Self::new([])
    }

    /// An element that stands for all keys from `first` to `last`, both included; in a concatenation, part by part.
    #[must_use]
    pub fn range(first: impl Into<Vec<Value>>, last: impl Into<Vec<Value>>) -> Self {
        Self { key_end: Some(last.into()), ..Self::new(first) }
    }

    /// An element that stands for all addresses of a prefix.
    #[must_use]
    pub fn prefix(net: IpNet) -> Self {
        Self::range([net.network().into()], [net.broadcast().into()])
    }

    /// Leading to values.
    #[must_use]
    pub fn to_values(mut self, values: impl Into<Vec<Value>>) -> Self {
        self.data = Some(ElementData::Values(values.into()));
        self
    }

    /// Leading to a verdict.
    #[must_use]
    pub fn to_verdict(mut self, verdict: Verdict) -> Self {
        self.data = Some(ElementData::Verdict(verdict));
        self
    }

    /// With a comment.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Leaving after `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Appends the element to a list. `is_pair`: ranges are two elements (interval sets whose key has one part).
    pub(super) fn write(&self, w: &mut Writer, is_pair: bool) {
        w.nest(LIST_ELEM, |w| {
            if self.key.is_empty() {
                w.be32(ELEM_FLAGS, ELEM_F_CATCHALL);
            } else {
                write_key(w, ELEM_KEY, &value::concatenate(&self.key));
            }
            if let (Some(end), false) = (&self.key_end, is_pair) {
                write_key(w, ELEM_KEY_END, &value::concatenate(end));
            }
            match &self.data {
                None => {}
                Some(ElementData::Values(values)) => write_key(w, ELEM_DATA, &value::concatenate(values)),
                Some(ElementData::Verdict(verdict)) => {
                    w.nest(ELEM_DATA, |w| verdict.write(w));
                }
            }
            if let Some(timeout) = self.timeout {
                w.be64(ELEM_TIMEOUT, milliseconds(timeout));
            }
            if let Some(comment) = &self.comment {
                w.bytes(ELEM_USERDATA, &comment_bytes(UDATA_COMMENT, comment));
            }
        });
        if is_pair && !self.key.is_empty() {
            let end = self.key_end.as_ref().unwrap_or(&self.key);
            // A range up to the largest key has no value behind its end and stays open.
            if let Some(behind) = successor(value::concatenate(end)) {
                w.nest(LIST_ELEM, |w| {
                    write_key(w, ELEM_KEY, &behind);
                    w.be32(ELEM_FLAGS, ELEM_F_INTERVAL_END);
                });
            }
        }
    }

    /// Upper bound for the bytes that [`Element::write`] appends.
    pub(super) fn max_bytes(&self) -> usize {
        let comment = self.comment.as_ref().map_or(0, String::len);
        let chain = match &self.data {
            Some(ElementData::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain))) => chain.len(),
            _ => 0,
        };
        // 20 bytes are the widest part (IPv6, padded) with room for its attribute header.
        let parts = self.key.len() * 2 + self.key_end.as_ref().map_or(0, Vec::len) * 2 + 8;
        comment + chain + parts * 20 + 128
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return f.write_str("*");
        }
        write_values(f, &self.key)?;
        if let Some(end) = &self.key_end {
            f.write_str("-")?;
            write_values(f, end)?;
        }
        Ok(())
    }
}

fn write_values(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    for (i, value) in values.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { " . " })?;
        match value {
            Value::Ip4(v) => write!(f, "{v}")?,
            Value::Ip6(v) => write!(f, "{v}")?,
            Value::Ether(v) => write!(f, "{v}")?,
            Value::Protocol(v) => write!(f, "{v}")?,
            Value::Port(v) => write!(f, "{v}")?,
            Value::Mark(v) => write!(f, "{v:#x}")?,
            Value::IfIndex(v) | Value::Integer(v) | Value::AddressType(v) => write!(f, "{v}")?,
            Value::IfName(v) => write!(f, "{v:?}")?,
        }
    }
    Ok(())
}

/// Turns the kernel's elements of one set into ours.
pub(super) fn read_elements<'a>(set: &Set, lists: impl Iterator<Item = Attributes<'a>>) -> Result<Vec<Element>, Error> {
    let mut starts = Vec::new();
    let mut ends = Vec::new();
    for list in lists {
        for (_, element) in list.iter() {
            let attributes = Attributes::parse(element)?;
            if attributes.be32(ELEM_FLAGS).unwrap_or(0) & ELEM_F_INTERVAL_END != 0 {
                ends.extend(raw_key(attributes, ELEM_KEY)?.map(<[u8]>::to_vec));
            } else {
                starts.push(read_element(set, attributes)?);
            }
        }
    }
    if set.interval && set.key.len() == 1 {
        ends.sort();
        for element in &mut starts {
            let Some(start) = (!element.key.is_empty()).then(|| value::concatenate(&element.key)) else { continue };
            // The nearest end behind the start belongs to it: intervals do not overlap.
            let last = match ends.iter().find(|end| **end > start) {
                Some(end) => predecessor(end.clone()),
                None => vec![0xff; start.len()],
            };
            if last != start {
                element.key_end = value::split(&set.key, &last);
            }
        }
    }
    starts.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(starts)
}

fn read_element(set: &Set, attributes: Attributes<'_>) -> Result<Element, Error> {
    let read_values = |types: &[DataType], bytes: &[u8]| {
        value::split(types, bytes).ok_or(Error::Malformed("element does not fit its set"))
    };
    let key = match raw_key(attributes, ELEM_KEY)? {
        Some(bytes) => read_values(&set.key, bytes)?,
        None => Vec::new(),
    };
    let key_end = raw_key(attributes, ELEM_KEY_END)?.map(|bytes| read_values(&set.key, bytes)).transpose()?;
    let data = match (&set.data, attributes.nested(ELEM_DATA)?) {
        (Some(SetData::Values(types)), Some(data)) => match data.get(DATA_VALUE) {
            Some(bytes) => Some(ElementData::Values(read_values(types, bytes)?)),
            None => None,
        },
        (Some(SetData::Verdict), Some(data)) => Verdict::read(data)?.map(ElementData::Verdict),
        _ => None,
    };
    Ok(Element {
        key_end: key_end.filter(|end| *end != key),
        key,
        data,
        timeout: attributes.be64(ELEM_TIMEOUT).map(Duration::from_millis),
        expires_in: attributes.be64(ELEM_EXPIRATION).map(Duration::from_millis),
        comment: attributes.get(ELEM_USERDATA).and_then(|u| read_comment(UDATA_COMMENT, u)),
    })
}

fn raw_key(attributes: Attributes<'_>, kind: u16) -> Result<Option<&[u8]>, Error> {
    Ok(attributes.nested(kind)?.and_then(|key| key.get(DATA_VALUE)))
}

fn write_key(w: &mut Writer, kind: u16, bytes: &[u8]) {
    w.nest(kind, |w| {
        w.bytes(DATA_VALUE, bytes);
    });
}

/// The next larger key, as a big-endian number; nothing after the largest.
fn successor(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    for byte in bytes.iter_mut().rev() {
        let (sum, carries) = byte.overflowing_add(1);
        *byte = sum;
        if !carries {
            return Some(bytes);
        }
    }
    None
}

/// The next smaller key. The caller knows that there is one.
fn predecessor(mut bytes: Vec<u8>) -> Vec<u8> {
    for byte in bytes.iter_mut().rev() {
        let (difference, borrows) = byte.overflowing_sub(1);
        *byte = difference;
        if !borrows {
            break;
        }
    }
    bytes
}

fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("keys are at most 64 bytes")
}

/// At least one: zero means "no timeout" to the kernel.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_interval_is_the_value_behind_it() {
        assert_eq!(successor(vec![10, 0, 0, 255]), Some(vec![10, 0, 1, 0]));
        assert_eq!(successor(vec![255, 255]), None);
        assert_eq!(predecessor(vec![10, 0, 1, 0]), vec![10, 0, 0, 255]);
    }

    #[test]
    fn elements_are_named_as_people_write_them() {
        let service = Element::new([Value::Ip4([10, 0, 0, 1].into()), Value::Protocol(6), Value::Port(80)]);
        assert_eq!(service.to_string(), "10.0.0.1 . 6 . 80");
        assert_eq!(Element::prefix("10.0.0.0/24".parse().unwrap()).to_string(), "10.0.0.0-10.0.0.255");
        assert_eq!(Element::catch_all().to_string(), "*");
    }
}
