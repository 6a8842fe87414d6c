//! In which order the entries of a typed object are written: that of the struct's fields, then what it does not declare.

use crate::{
    type_table::Struct,
    value::{Map, Str, Value},
};

/// How many of the fields are put in order without sorting: as many as a word has bits. No built-in struct has more.
const MARKED: u32 = u64::BITS;

/// The entries of an object in the order they are written: a field's place in the struct (`u32::MAX` for what it does not
/// declare) and the entry's in the object.
pub(super) struct Order {
    /// Which of the first fields are there.
    marked: u64,
    entry_of: [u8; MARKED as usize],
    /// The others, of both numbers one that is sorted fastest.
    others: std::vec::IntoIter<u64>,
}

impl Order {
    pub(super) fn of(map: &Map, fields: &Struct) -> Self {
        let entries: &[(Str, Value)] = map.entries();
        let is_small = entries.len() <= usize::from(u8::MAX);
        let (mut marked, mut entry_of, mut others) = (0_u64, [0_u8; MARKED as usize], Vec::new());
        for (entry, (key, _)) in entries.iter().enumerate() {
            match fields.index_of(key) {
                Some(index) if index < MARKED && is_small => {
                    marked |= 1 << index;
                    entry_of[index as usize] = entry as u8;
                }
                index => others.push(u64::from(index.unwrap_or(u32::MAX)) << 32 | entry as u64),
            }
        }
        others.sort_unstable();
        Self { marked, entry_of, others: others.into_iter() }
    }
}

impl Iterator for Order {
    type Item = (u32, usize);

    fn next(&mut self) -> Option<(u32, usize)> {
        if self.marked == 0 {
            return self.others.next().map(|place| ((place >> 32) as u32, place as u32 as usize));
        }
        let index = self.marked.trailing_zeros();
        self.marked &= self.marked - 1;
        Some((index, usize::from(self.entry_of[index as usize])))
    }
}

#[cfg(test)]
mod tests {
    use super::Order;
    use crate::{
        Value,
        type_table::{Field, Struct},
    };

    #[test]
    fn fields_stand_in_declared_order_and_what_is_not_declared_behind_them() {
        let name = |at: usize| format!("f{}", (at * 37) % 1000);
        for (declared, present) in [(3, 3), (64, 70), (65, 65), (100, 100), (10, 300), (300, 600)] {
            let field = |at| Field { name: name(at).into(), ..Field::default() };
            let fields = Struct::new((0..declared).map(field).collect());
            let object = Value::object_of((0..present).map(|at| (name(at), Value::Null)));
            let map = object.as_object().unwrap();
            let found: Vec<(u32, &str)> =
                Order::of(map, &fields).map(|(index, entry)| (index, map.entries()[entry].0.as_str())).collect();
            let mut undeclared: Vec<String> = (declared..present).map(name).collect();
            undeclared.sort();
            let want = (0..declared).map(|at| (at as u32, name(at)));
            let want: Vec<(u32, String)> = want.chain(undeclared.into_iter().map(|name| (u32::MAX, name))).collect();
            let want: Vec<(u32, &str)> = want.iter().map(|(index, name)| (*index, name.as_str())).collect();
            assert_eq!(found, want, "{declared} {present}");
        }
    }
}
