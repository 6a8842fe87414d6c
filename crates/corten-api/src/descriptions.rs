//! Human descriptions of types and fields: what OpenAPI documents and `kubectl explain` show.
//!
//! The build script collects them; the binary holds them compressed (170 KB). They are needed once, when the documents
//! are made, so [`descriptions`] decodes them anew and the caller drops them.

use std::{collections::HashMap, io::Read as _};

use corten_apimachinery::openapi;
use flate2::read::ZlibDecoder;

/// Records as the build script writes them.
static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.z"));

/// The descriptions of all served types: 0.9 MB of text.
#[derive(Debug)]
pub struct Descriptions {
    text: String,
    /// Where the record of a type is in `text`.
    records: HashMap<String, std::ops::Range<usize>>,
}

/// Decodes the descriptions of the built-in types, which takes some milliseconds.
#[must_use]
pub fn descriptions() -> Descriptions {
    let mut text = String::new();
    ZlibDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the build script wrote zlib over UTF-8");
    let mut records = HashMap::new();
    let mut start = 0;
    for record in text.split_terminator('\x1e') {
        let name = record.split('\x1f').next().unwrap_or_default();
        records.insert(name.to_owned(), start..start + record.len());
        start += record.len() + 1;
    }
    Descriptions { text, records }
}

impl Descriptions {
    /// The parts of a type's record: its description, then fields and theirs in turn.
    fn parts(&self, type_name: &str) -> Option<impl Iterator<Item = &str>> {
        let record = &self.text[self.records.get(type_name)?.clone()];
        Some(record.split('\x1f').skip(1))
    }
}

impl openapi::Descriptions for Descriptions {
    fn of_type(&self, name: &str) -> Option<&str> {
        self.parts(name)?.next().filter(|description| !description.is_empty())
    }

    fn of_field(&self, type_name: &str, field: &str) -> Option<&str> {
        let mut parts = self.parts(type_name)?.skip(1);
        while let (Some(name), Some(description)) = (parts.next(), parts.next()) {
            if name == field {
                return Some(description);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use openapi::Descriptions as _;

    use super::*;
    use crate::types::table;

    #[test]
    fn describes_every_served_type_and_kinds_with_their_lists() {
        let descriptions = descriptions();
        for (_, ty) in table().iter().filter(|(_, ty)| ty.served) {
            // Upstream says nothing about the answer at /version before some of its fields.
            assert!(descriptions.records.contains_key(ty.name.as_str()), "{}", ty.name);
        }
        assert_eq!(descriptions.of_type("io.k8s.api.core.v1.PodList"), Some("PodList is a list of Pod objects."));
        let text = descriptions.of_field("io.k8s.api.core.v1.PodSpec", "nodeName").unwrap();
        assert!(text.contains("NodeName"), "{text}");
    }

    #[test]
    fn knows_nothing_of_other_types_and_fields() {
        let descriptions = descriptions();
        assert_eq!(descriptions.of_type("io.k8s.api.core.v1.Nothing"), None);
        assert_eq!(descriptions.of_field("io.k8s.api.core.v1.PodSpec", "nothing"), None);
    }
}
