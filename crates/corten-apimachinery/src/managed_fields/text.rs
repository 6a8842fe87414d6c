//! The JSON form of field sets, read and written without a tree in between.
//!
//! Written as upstream writes it (structured-merge-diff/fieldpath/serialize.go, v6.3): a node's own mark first, then its
//! elements in the order of sets.

use super::fields_v1::{FieldSet, Node, PathElement, SELF};
use crate::{
    codec::{FieldValidation, json},
    value::{Raw, Str, Value},
};

/// Reads a set that is written as the server writes them, at most `depth_max` deep; `None` for any other text.
pub(super) fn read(text: &str, depth_max: usize) -> Option<FieldSet> {
    let mut reader = Reader { text, at: 0 };
    let (set, _) = reader.object(depth_max)?;
    (reader.at == text.len()).then_some(set)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// The set of an object's entries, and whether its own node is a member: it says so, or is empty.
    fn object(&mut self, depth_left: usize) -> Option<(FieldSet, bool)> {
        let depth_left = depth_left.checked_sub(1)?;
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some((FieldSet::default(), true));
        }
        let (mut nodes, mut is_member) = (Vec::new(), false);
        loop {
            let key = self.key()?;
            self.take(b':')?;
            if key == SELF {
                self.take(b'{')?;
                self.take(b'}')?;
                is_member = true;
            } else {
                let element = PathElement::parse(&key).ok()?;
                let (below, member) = self.object(depth_left)?;
                if member || !below.is_empty() {
                    nodes.push(Node { element, member, below });
                }
            }
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some((FieldSet::of_nodes(nodes), is_member));
                }
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<Str> {
        self.take(b'"')?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        if !has_escapes {
            return self.text.get(start..end).map(Str::from);
        }
        let quoted = self.text.as_bytes().get(start - 1..=end)?;
        match json::decode(quoted, None, FieldValidation::Ignore).ok()?.value {
            Value::String(key) => Some(key),
            _ => None,
        }
    }
}

/// The set's JSON form.
pub(super) fn write(set: &FieldSet) -> Value {
    if set.is_empty() {
        return Value::object();
    }
    let mut out = Vec::with_capacity(1024);
    object(&mut out, set, false, &mut Vec::new());
    Value::Raw(Raw::new(std::str::from_utf8(&out).expect("JSON is written as UTF-8")))
}

/// Writes an object; `key` is room for one key.
fn object(out: &mut Vec<u8>, set: &FieldSet, is_member: bool, key: &mut Vec<u8>) {
    out.push(b'{');
    if is_member {
        out.extend_from_slice(b"\".\":{}");
    }
    for (at, (element, member, below)) in set.iter().enumerate() {
        if at > 0 || is_member {
            out.push(b',');
        }
        match element {
            PathElement::Field(name) => {
                out.extend_from_slice(b"\"f:");
                json::put_text(out, name);
                out.push(b'"');
            }
            other => {
                key.clear();
                other.write_key(key);
                json::put_string(out, std::str::from_utf8(key).expect("JSON is written as UTF-8"));
            }
        }
        out.push(b':');
        if below.is_empty() {
            out.extend_from_slice(b"{}");
        } else {
            object(out, below, member, key);
        }
    }
    out.push(b'}');
}
