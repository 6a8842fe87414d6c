//! Where the fields of a struct are, by JSON name: asked for each key of an object that is read or written.

use super::Field;
use crate::mark::{mark, scattered};

/// Structs with more fields, which only custom resources have, are searched in order: places are written as bytes, and a look
/// past so many fields that were chosen to fall together is still short.
const SCATTERED_MAX: usize = 254;

/// No field is here.
const FREE: u8 = u8::MAX;

/// Where a struct's fields are, by JSON name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldIndex(Order);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Order {
    /// A hash table: the places of the fields, or `FREE`. At most half of it is taken, and its length is a power of two.
    Scattered(Box<[u8]>),
    /// Sorted by a number that is made of the name, so that the names themselves are compared once, at the end.
    Sorted(Vec<(u64, u32)>),
}

impl FieldIndex {
    pub(super) fn new(fields: &[Field]) -> Self {
        if fields.len() > SCATTERED_MAX {
            return Self::sorted(fields);
        }
        let mut slots = vec![FREE; (fields.len() * 2).next_power_of_two()].into_boxed_slice();
        for (place, field) in (0..).zip(fields) {
            let mut slot = scattered(mark(&field.name), slots.len());
            while slots[slot] != FREE {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = place;
        }
        Self(Order::Scattered(slots))
    }

    fn sorted(fields: &[Field]) -> Self {
        let mut index: Vec<(u64, u32)> = fields.iter().map(|field| mark(&field.name)).zip(0..).collect();
        index.sort_unstable_by(|(a, at_a), (b, at_b)| {
            a.cmp(b).then_with(|| fields[*at_a as usize].name.cmp(&fields[*at_b as usize].name))
        });
        Self(Order::Sorted(index))
    }

    /// The place among `fields`, of which this was made, of the one with this name.
    pub(super) fn find(&self, name: &str, fields: &[Field]) -> Option<u32> {
        let mark = mark(name);
        match &self.0 {
            Order::Scattered(slots) => {
                let mut slot = scattered(mark, slots.len());
                // One is free, so that this ends.
                while slots[slot] != FREE {
                    if fields[usize::from(slots[slot])].name.as_str() == name {
                        return Some(u32::from(slots[slot]));
                    }
                    slot = (slot + 1) & (slots.len() - 1);
                }
                None
            }
            Order::Sorted(index) => {
                let from = &index[index.partition_point(|(other, _)| *other < mark)..];
                let same = &from[..from.partition_point(|(other, _)| *other == mark)];
                let name_of = |&(_, at): &(u64, u32)| fields[at as usize].name.as_str();
                same.binary_search_by(|field| name_of(field).cmp(name)).ok().map(|at| same[at].1)
            }
        }
    }
}

impl Default for FieldIndex {
    fn default() -> Self {
        Self(Order::Sorted(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Field, Struct};

    #[test]
    fn fields_are_found_by_name() {
        for count in [0, 1, 60, 254, 255, 600] {
            let name = |n: usize| "fieldOfManyLetters"[..n % 18].to_owned() + &n.to_string();
            let names: Vec<String> = (0..count).map(name).collect();
            let field = |name: &String| Field { name: name.as_str().into(), ..Field::default() };
            let found = Struct::new(names.iter().map(field).collect());
            for (place, name) in (0..).zip(&names) {
                assert_eq!(found.index_of(name), Some(place), "{name}");
                assert_eq!(found.index_of(&format!("{name}x")), None, "{name}");
            }
            assert_eq!(found.field(""), None);
        }
    }

    #[test]
    fn a_struct_without_an_index_has_no_fields() {
        assert_eq!(Struct::default().index_of("name"), None);
    }
}
