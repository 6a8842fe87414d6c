//! Documents of v2 put together from entries that were written before: a change of one resource costs the writing of its own
//! entries and a copy of all others.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;

use super::protobuf;
use crate::{
    codec::{json, protobuf::put_length},
    value::{Map, Str, Value},
};

/// More than what a document says besides its entries.
const HEAD_BYTES: usize = 1024;

/// What a document is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// The message of `openapi.v2`.
    Protobuf,
}

/// Where a document has entries by name.
#[derive(Clone, Copy)]
enum Section {
    Paths,
    Definitions,
    Parameters,
}

impl Section {
    const fn key(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Definitions => "definitions",
            Self::Parameters => "parameters",
        }
    }

    fn of(key: &str) -> Option<Self> {
        [Self::Paths, Self::Definitions, Self::Parameters].into_iter().find(|section| section.key() == key)
    }
}

/// Paths, schemas and the parameters that many share, in one encoding, by name.
#[derive(Debug, Default, Clone)]
pub struct Entries {
    paths: BTreeMap<Str, Bytes>,
    definitions: BTreeMap<Str, Bytes>,
    parameters: BTreeMap<Str, Bytes>,
}

impl Entries {
    /// Writes paths, schemas and shared parameters as a document of v2 has them.
    #[must_use]
    pub fn write(
        encoding: Encoding,
        paths: &BTreeMap<Str, Value>,
        definitions: &BTreeMap<Str, Value>,
        parameters: &BTreeMap<Str, Value>,
    ) -> Self {
        let all = |section, values: &BTreeMap<Str, Value>| {
            let each = values.iter().map(|(name, value)| (name.clone(), entry(encoding, section, name, value)));
            each.collect::<BTreeMap<Str, Bytes>>()
        };
        Self {
            paths: all(Section::Paths, paths),
            definitions: all(Section::Definitions, definitions),
            parameters: all(Section::Parameters, parameters),
        }
    }

    fn of(&self, section: Section) -> &BTreeMap<Str, Bytes> {
        match section {
            Section::Paths => &self.paths,
            Section::Definitions => &self.definitions,
            Section::Parameters => &self.parameters,
        }
    }

    fn of_mut(&mut self, section: Section) -> &mut BTreeMap<Str, Bytes> {
        match section {
            Section::Paths => &mut self.paths,
            Section::Definitions => &mut self.definitions,
            Section::Parameters => &mut self.parameters,
        }
    }
}

/// An entry as it stands in a document, without what separates it from others.
fn entry(encoding: Encoding, section: Section, name: &Str, value: &Value) -> Bytes {
    match encoding {
        Encoding::Json => {
            let alone = json::encode(&Value::object_of([(name.clone(), value.clone())]), None);
            alone.slice(1..alone.len() - 1)
        }
        Encoding::Protobuf => protobuf::v2_entry(section.key(), name, value).into(),
    }
}

/// The document that says `head` (see [`head`](super::head)) and has the entries of all `parts`; of those with one name, that of
/// the last part. Afterwards the entries lie in the document, so that nothing is held twice.
///
/// It equals the encoding of the whole document byte for byte.
#[must_use]
pub fn assemble(encoding: Encoding, head: &Value, parts: &mut [Entries]) -> Bytes {
    let mut document = Assembly::new(parts);
    match encoding {
        Encoding::Json => document.write_json(head),
        Encoding::Protobuf => document.write_protobuf(head),
    }
    let bytes = Bytes::from(document.out);
    for (part, section, name, place) in document.placed {
        parts[part].of_mut(section).insert(name, bytes.slice(place));
    }
    bytes
}

/// An entry, and the number of the part that has it.
type Numbered = (usize, Bytes);

/// A document that is being written.
struct Assembly {
    paths: BTreeMap<Str, Numbered>,
    definitions: BTreeMap<Str, Numbered>,
    parameters: BTreeMap<Str, Numbered>,
    out: Vec<u8>,
    /// Which entry of which part stands where.
    placed: Vec<(usize, Section, Str, Range<usize>)>,
}

impl Assembly {
    fn new(parts: &[Entries]) -> Self {
        let merge = |section| {
            let each = parts.iter().enumerate().flat_map(|(part, entries)| {
                entries.of(section).iter().map(move |(name, bytes)| (name.clone(), (part, bytes.clone())))
            });
            each.collect::<BTreeMap<Str, Numbered>>()
        };
        let (paths, definitions) = (merge(Section::Paths), merge(Section::Definitions));
        let parameters = merge(Section::Parameters);
        let all = || paths.values().chain(definitions.values()).chain(parameters.values());
        let size = all().map(|(_, bytes)| bytes.len() + 1).sum::<usize>() + HEAD_BYTES;
        let (out, placed) = (Vec::with_capacity(size), Vec::with_capacity(all().count()));
        Self { paths, definitions, parameters, out, placed }
    }

    fn write_json(&mut self, head: &Value) {
        let mut open = b'{';
        for (key, value) in head.as_object().into_iter().flat_map(Map::iter) {
            self.out.push(open);
            open = b',';
            self.out.push(b'"');
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"\":");
            match Section::of(key) {
                None => self.out.extend_from_slice(&json::encode(value, None)),
                Some(section) => {
                    self.out.push(b'{');
                    self.write_entries(section, b",");
                    self.out.push(b'}');
                }
            }
        }
        self.out.push(b'}');
    }

    fn write_protobuf(&mut self, head: &Value) {
        for (key, number) in protobuf::v2_fields() {
            let Some(value) = head.get(key) else { continue };
            match Section::of(key) {
                None => protobuf::v2_field(&mut self.out, key, value),
                Some(section) => {
                    let length = self.of(section).values().map(|(_, bytes)| bytes.len()).sum();
                    put_length(&mut self.out, number, length);
                    self.write_entries(section, b"");
                }
            }
        }
    }

    fn of(&self, section: Section) -> &BTreeMap<Str, Numbered> {
        match section {
            Section::Paths => &self.paths,
            Section::Definitions => &self.definitions,
            Section::Parameters => &self.parameters,
        }
    }

    fn write_entries(&mut self, section: Section, separator: &[u8]) {
        let entries = match section {
            Section::Paths => &mut self.paths,
            Section::Definitions => &mut self.definitions,
            Section::Parameters => &mut self.parameters,
        };
        for (index, (name, (part, bytes))) in std::mem::take(entries).into_iter().enumerate() {
            if index > 0 {
                self.out.extend_from_slice(separator);
            }
            let start = self.out.len();
            self.out.extend_from_slice(&bytes);
            self.placed.push((part, section, name, start..self.out.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::FieldValidation,
        openapi::{About, Dialect, head, protobuf::encode_v2},
    };

    fn entries(text: &str) -> BTreeMap<Str, Value> {
        let tree = json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
        tree.as_object().unwrap().iter().map(|(name, value)| (name.into(), value.clone())).collect()
    }

    /// Parts as they are before anything is written: paths, definitions and parameters.
    const PARTS: [(&str, &str, &str); 3] = [
        (
            r#"{"/a":{"get":{"tags":["a"]}},"/c/{d}":{}}"#,
            r#"{"io.A":{"type":"object"},"io.C":{"type":"string"}}"#,
            r#"{"p":{"in":"query","name":"p"}}"#,
        ),
        (
            r#"{"/b":{"get":{"tags":["b"]}}}"#,
            r#"{"io.B":{"description":"<\u0007>"},"io.C":{"type":"integer"}}"#,
            r#"{"p":{"in":"query","name":"p"},"q":{"in":"path","name":"q"}}"#,
        ),
        ("{}", "{}", "{}"),
    ];

    fn write(encoding: Encoding, part: &(&str, &str, &str)) -> Entries {
        Entries::write(encoding, &entries(part.0), &entries(part.1), &entries(part.2))
    }

    #[track_caller]
    fn check(encoding: Encoding, parts: &mut [Entries], said: &[(&str, &str, &str)]) -> Bytes {
        let mut whole = head(About::Server("v1"), Dialect::V2);
        let all = |of: fn(&(&str, &str, &str)) -> BTreeMap<Str, Value>| {
            Value::object_of(said.iter().flat_map(of).collect::<BTreeMap<_, _>>())
        };
        whole.insert("paths", all(|part| entries(part.0)));
        whole.insert("definitions", all(|part| entries(part.1)));
        whole.insert("parameters", all(|part| entries(part.2)));
        let whole = Value::from(whole);
        let want = match encoding {
            Encoding::Json => json::encode(&whole, None),
            Encoding::Protobuf => encode_v2(&whole),
        };
        let got = assemble(encoding, &head(About::Server("v1"), Dialect::V2).into(), parts);
        assert_eq!(got, want, "{}", String::from_utf8_lossy(&got));
        got
    }

    #[test]
    fn a_document_of_pieces_is_the_whole_document() {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let mut parts: Vec<Entries> = PARTS.iter().map(|part| write(encoding, part)).collect();
            check(encoding, &mut parts, &PARTS);
            // What one part had hidden of another is there once it has gone.
            parts.remove(1);
            check(encoding, &mut parts, &[PARTS[0], PARTS[2]]);
            check(encoding, &mut parts[1..], &PARTS[2..]);
            check(encoding, &mut [], &[]);
        }
    }

    #[test]
    fn entries_lie_in_the_document_afterwards() {
        let mut parts: Vec<Entries> = PARTS.iter().map(|part| write(Encoding::Json, part)).collect();
        let document = check(Encoding::Json, &mut parts, &PARTS).as_ptr_range();
        let lies_within = |bytes: &Bytes| document.contains(&bytes.as_ptr());
        assert!(parts.iter().flat_map(|part| part.paths.values()).all(lies_within));
        assert!(lies_within(&parts[1].definitions["io.C"]) && !lies_within(&parts[0].definitions["io.C"]));
    }
}
