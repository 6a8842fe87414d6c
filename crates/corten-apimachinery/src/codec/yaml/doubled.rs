//! Finds the keys that a map says more than once, all of them, as go-yaml does where it is strict.
//!
//! Upstream: `setMapIndex` in decode.go of go-yaml v2: within values first, and by the line where the later value begins.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::{
    key::{Key, KeySeed},
    options,
};
use crate::stack;

/// So many are named. Upstream names all; the text of a hostile object's would be many times as large as its body.
const NAMED_MAX: usize = 1_000;

/// The keys that the first document of a text says more than once, each with its line.
pub(super) fn doubled_keys(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let options = options(DuplicateKeyPolicy::LastWins);
    // What is no YAML was found when the object was read; what comes behind the first document does not count.
    let _ = serde_saphyr::with_deserializer_from_str_with_options(text, options, |document| {
        found = Found::deserialize(document)?.0;
        Ok(())
    });
    found
}

/// What was found within a node.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn add(&mut self, mut more: Self) {
        if self.0.is_empty() {
            std::mem::swap(self, &mut more);
        }
        self.0.append(&mut more.0);
        self.0.truncate(NAMED_MAX);
    }
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        stack::with_room(|| deserializer.deserialize_any(Search))
    }
}

struct Search;

impl<'de> Visitor<'de> for Search {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_none<E>(self) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Found, A::Error> {
        let mut all = Found::default();
        while let Some(found) = access.next_element()? {
            all.add(found);
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Found, A::Error> {
        let mut all = Found::default();
        let mut keys = HashSet::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            let Spanned { value, referenced, .. } = access.next_value::<Spanned<Found>>()?;
            all.add(value);
            let key = Key::shown(&key);
            if keys.contains(&key) {
                let line = referenced.line();
                all.add(Found(vec![format!("line {line}: key {key} already set in map")]));
            } else {
                keys.insert(key);
            }
        }
        Ok(all)
    }
}
