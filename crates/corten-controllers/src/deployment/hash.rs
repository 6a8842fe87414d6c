//! The hash of a pod template: the label and name suffix that keep a deployment's ReplicaSets apart.
//!
//! Upstream hashes Go's printed form of the template with FNV-1a, 32 bits. That form depends on Go's types and changes
//! with every field that a version adds, so nothing may rely on its value; here the canonical JSON is hashed instead.
//! Alphabet and form are upstream's: pkg/controller/controller_utils.go ComputeHash, util/rand SafeEncodeString (v1.35).

use corten_apimachinery::{
    codec::json,
    value::{Str, Value, format_str},
};

/// Letters and digits that form no words and are not mistaken for each other.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The longest name of an object.
const NAME_MAX: usize = 253;

/// The hash of `template`; `collisions` makes it another one.
#[must_use]
pub fn of(template: &Value, collisions: Option<i64>) -> Str {
    let mut hash = fnv1a(0x811c_9dc5, &json::encode(template, None));
    if let Some(collisions) = collisions {
        hash = fnv1a(hash, &collisions.to_le_bytes());
    }
    format_str!("{hash}").bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

fn fnv1a(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The name of the ReplicaSet of this deployment and hash.
#[must_use]
pub fn name(deployment: &str, hash: &str) -> Str {
    let room = NAME_MAX - hash.len() - 1;
    // Names are ASCII, so any cut is between characters.
    format_str!("{}-{hash}", &deployment[..deployment.len().min(room)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_template_and_collisions_only() {
        let a = Value::object_of([("spec", Value::from("a"))]);
        let hash = of(&a, None);
        assert_eq!(hash, of(&a.clone(), None));
        assert_ne!(hash, of(&a, Some(1)));
        assert_ne!(hash, of(&Value::object(), None));
        assert!(hash.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(fnv1a(0x811c_9dc5, b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(name("web", "abc"), "web-abc");
        assert_eq!(name(&"w".repeat(253), "abcdefghij").len(), 253);
    }
}
