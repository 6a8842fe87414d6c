//! What the creator of an object owns, written at once as the text of its managed-fields entry.
//!
//! Nobody owned anything before, so that there are no sets to relate: one walk over the new object, beside the few values that
//! its type always has, writes what `Typed::compare` would find added or modified. It is one of the two most frequent
//! writes; the sets in between were more than half of what managed fields took of it.

use super::{
    fields_v1::PathElement,
    typed::{Form, Typed, entries, items},
};
use crate::{
    codec::json,
    value::{Raw, Value},
};

/// How the object of a node begins that is owned itself.
const MEMBER: &[u8] = b"{\".\":{}";

/// Paths of field names, seen from a node: what is left of those that lead below it.
type Paths<'p> = smallvec::SmallVec<[&'p [&'p str]; 12]>;

/// Which paths are nobody's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nobodys<'p> {
    /// These alone, not what is below them.
    pub(super) alone: &'p [&'p [&'p str]],
    /// These and all that is below them.
    pub(super) entirely: &'p [&'p [&'p str]],
}

/// What is nobody's at and below a node.
#[derive(Debug, Default)]
struct Left<'p> {
    alone: Paths<'p>,
    entirely: Paths<'p>,
}

/// The form of managed fields of what `new` has and `empty` has not, or has with another value; null for nothing.
///
/// `None` if `empty` is not what the name says, and has items of lists that are owned one by one.
pub(super) fn fields_of(typed: Typed<'_>, empty: &Value, new: &Value, nobodys: Nobodys<'_>) -> Option<Value> {
    let left = Left { alone: nobodys.alone.into(), entirely: nobodys.entirely.into() };
    json::with_scratch(|out| {
        let mut writer = Writer { typed, out, key: Vec::new() };
        let member = writer.node(Some(empty), new, typed.root_form(), &left)?;
        debug_assert!(!member, "the root of an object is nobody's");
        if writer.out.is_empty() {
            return Some(Value::Null);
        }
        Some(Value::Raw(Raw::new(std::str::from_utf8(writer.out).expect("JSON is written as UTF-8"))))
    })
}

impl<'p> Left<'p> {
    /// What is nobody's at and below the field `key`, and whether the field alone and all of it is.
    fn below(&self, key: &str) -> (Self, bool, bool) {
        let (mut left, mut alone, mut entirely) = (Self::default(), false, false);
        for (from, to, is_end) in
            [(&self.alone, &mut left.alone, &mut alone), (&self.entirely, &mut left.entirely, &mut entirely)]
        {
            for path in from {
                match path {
                    [last] if *last == key => *is_end = true,
                    [first, rest @ ..] if *first == key => to.push(rest),
                    _ => {}
                }
            }
        }
        (left, alone, entirely)
    }

    fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.entirely.is_empty()
    }
}

struct Writer<'t, 'o> {
    typed: Typed<'t>,
    out: &'o mut Vec<u8>,
    /// Room for one key.
    key: Vec<u8>,
}

impl<'t> Writer<'t, '_> {
    /// Writes the object of what is owned below a node, if something is. Says whether the node itself is owned, for which
    /// something stands in the object if there is one.
    ///
    /// `None` where this is not for: see `fields_of`.
    fn node(&mut self, old: Option<&Value>, new: &Value, form: Form<'t>, left: &Left<'_>) -> Option<bool> {
        let differs = || old.is_none_or(|old| old != new);
        match form {
            Form::Leaf => Some(differs()),
            Form::Struct(_) | Form::Map(_) | Form::Untyped => {
                let (Some(before), Some(after)) = (entries(old), entries(Some(new))) else { return Some(differs()) };
                if before.is_empty() && after.is_empty() {
                    return Some(differs());
                }
                let member = old.is_none();
                let begun = self.begin(member);
                for (key, child) in after {
                    let (below, alone, entirely) = if left.is_empty() { Default::default() } else { left.below(key) };
                    if entirely {
                        continue;
                    }
                    let old = before.iter().find(|(known, _)| known == key).map(|(_, value)| value);
                    let (form, _) = self.typed.entry_form(form, key);
                    let at = self.out.len();
                    self.out.extend_from_slice(b",\"f:");
                    json::put_text(self.out, key);
                    self.out.extend_from_slice(b"\":");
                    self.child(at, old, child, form, &below, alone)?;
                }
                self.end(begun, member);
                Some(member)
            }
            Form::Set | Form::Keyed(..) => {
                let (Some(before), Some(after)) = (items(old), items(Some(new))) else { return Some(differs()) };
                if !before.is_empty() {
                    return None;
                }
                if after.is_empty() {
                    return Some(differs());
                }
                let Some(elements) = self.typed.elements(form, after) else { return Some(differs()) };
                let member = old.is_none();
                let begun = self.begin(member);
                self.items(elements, after, form)?;
                self.end(begun, member);
                Some(member)
            }
        }
    }

    /// Writes the items of a list of which there was none.
    fn items(&mut self, elements: Vec<PathElement>, items: &[Value], form: Form<'t>) -> Option<()> {
        let mut sorted: Vec<_> = elements.into_iter().zip(items).collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let item_form = self.typed.item_form(form);
        let mut sorted = sorted.into_iter().peekable();
        while let Some((element, item)) = sorted.next() {
            let at = self.out.len();
            self.out.push(b',');
            self.key.clear();
            element.write_key(&mut self.key);
            json::put_string(self.out, std::str::from_utf8(&self.key).expect("JSON is written as UTF-8"));
            self.out.push(b':');
            // Duplicates are owned together, as a whole.
            let mut is_one = true;
            while sorted.next_if(|(other, _)| *other == element).is_some() {
                is_one = false;
            }
            let form = if is_one { item_form } else { Form::Leaf };
            self.child(at, None, item, form, &Left::default(), false)?;
        }
        Some(())
    }

    /// Writes what follows the key that was written from `at` on, and takes the key back if nothing does. `alone` says that
    /// the node itself is nobody's.
    fn child(
        &mut self,
        at: usize,
        old: Option<&Value>,
        new: &Value,
        form: Form<'t>,
        left: &Left<'_>,
        alone: bool,
    ) -> Option<()> {
        let begun = self.out.len();
        let member = self.node(old, new, form, left)?;
        let is_alone = self.out.len() == begun;
        if member && !alone {
            if is_alone {
                self.out.extend_from_slice(b"{}");
            }
        } else if is_alone {
            self.out.truncate(at);
        } else if member {
            // The mark of its own membership, and the comma behind it.
            self.out.drain(begun + 1..=begun + MEMBER.len());
        }
        Some(())
    }

    /// Begins an object.
    fn begin(&mut self, member: bool) -> usize {
        let begun = self.out.len();
        self.out.extend_from_slice(if member { MEMBER } else { b"{" });
        begun
    }

    /// Ends the object, in which each entry has a comma before it. Takes it back if there are no entries.
    fn end(&mut self, begun: usize, member: bool) {
        let first = begun + if member { MEMBER.len() } else { 1 };
        if self.out.len() == first {
            self.out.truncate(begun);
            return;
        }
        if !member {
            self.out.remove(first);
        }
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            FieldSet,
            property_tests::configuration,
            tests::{parse, table},
        },
        *,
    };
    use crate::codec;

    const ALONE: &[&[&str]] =
        &[&["metadata"], &["metadata", "name"], &["metadata", "labels"], &["spec", "containers"], &["kind"]];
    const ENTIRELY: &[&[&[&str]]] =
        &[&[], &[&["metadata", "labels", "x"], &["spec", "replicas"]], &[&["spec"]], &[&["metadata", "labels"]]];

    /// What a comparison finds is written.
    fn check(new: &Value, entirely: &[&[&str]]) {
        let (table, id) = table();
        let typed = Typed::new(&table, id);
        let empty = codec::empty(&table, id);
        let difference = typed.compare(&empty, new).without(&FieldSet::of_names(entirely));
        let mut own = difference.modified.union(&difference.added);
        own.subtract(&FieldSet::of_names(ALONE));
        let want = if own.is_empty() { Value::Null } else { own.to_value() };
        assert_eq!(fields_of(typed, &empty, new, Nobodys { alone: ALONE, entirely }), Some(want), "{new:?}");
    }

    #[test]
    fn owns_what_is_there() {
        for new in [
            r#"{}"#,
            r#"{"kind":"Workload"}"#,
            r#"{"metadata":{"name":"web"}}"#,
            r#"{"metadata":{"labels":{}}}"#,
            r#"{"metadata":{"labels":{"x":"1"}}}"#,
            r#"{"metadata":{"labels":{"a\"b":"1","x":null},"finalizers":["b","a","b","c"]}}"#,
            r#"{"metadata":{"finalizers":[]},"spec":{"containers":[]},"status":{"ready":1}}"#,
            r#"{"spec":{"containers":[{"name":"b","ports":[{"containerPort":2},{"containerPort":1}]},{"name":"a"}]}}"#,
            r#"{"spec":{"containers":[{"name":"b"},{"name":"a"},{"name":"b","tty":true}]}}"#,
            r#"{"spec":{"containers":[{"image":"i"}]}}"#,
            r#"{"spec":{"extra":{"a":{},"b":[{"c":1}],"c":null,"d":{"e":null}},"selector":{"matchLabels":{"a":"b"}}}}"#,
            r#"{"spec":null,"metadata":[],"status":{}}"#,
        ] {
            ENTIRELY.iter().for_each(|entirely| check(&parse(new), entirely));
        }
    }

    /// An object that is not new is compared.
    #[test]
    fn lists_that_were_there_are_not_for_it() {
        let (table, id) = table();
        let old = parse(r#"{"metadata":{"finalizers":["a"]}}"#);
        let new = parse(r#"{"metadata":{"finalizers":["a","b"]}}"#);
        assert_eq!(fields_of(Typed::new(&table, id), &old, &new, Nobodys { alone: ALONE, entirely: &[] }), None);
    }

    proptest! {
        #[test]
        fn owns_what_a_comparison_finds(new in configuration(), entirely in prop::sample::select(ENTIRELY)) {
            check(&new, entirely);
        }
    }
}
