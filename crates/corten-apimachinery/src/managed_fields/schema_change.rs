//! What becomes of ownership when a definition makes a granular map or list atomic.
//!
//! Whoever owns something below what is owned as a whole now owns the whole. The other way nothing happens: who owned the
//! whole owns the map or list itself, and nothing in it, as one that was always granular. Fields that the type does not
//! have any more stay in the sets.
//! Upstream: structured-merge-diff/v6, typed/reconcile_schema.go and merge/update.go (`reconcileManagedFieldsWithSchemaChanges`).

use super::{
    entries::Entries,
    fields_v1::{FieldSet, Node, PathElement},
    manager::Write,
    typed::{Form, Typed},
};
use crate::type_table::{FieldType, Shape};

/// What the type says of a path's end.
struct Place<'t> {
    form: Form<'t>,
    /// Whether it is a map or a list that is owned as a whole.
    is_whole: bool,
}

impl Write<'_> {
    /// Settles who owns what by the types as they are now, and drops the entries of versions that nobody serves. Says
    /// whether anything has changed.
    pub(super) fn settle(&self, entries: &mut Entries) -> bool {
        let mut has_changed = false;
        entries.by_manager.retain(|_, entry| {
            let Some(typed) = self.typed(&entry.api_version) else {
                has_changed = true;
                return false;
            };
            if let Some(set) = typed.settled(&entry.set, typed.root_form()) {
                entry.replace(set);
                has_changed = true;
            }
            true
        });
        has_changed
    }
}

impl<'t> Typed<'t> {
    /// `set` as the type has it now; `None` if it is as it was, which most are.
    fn settled(&self, set: &FieldSet, form: Form<'t>) -> Option<FieldSet> {
        let mut changes = Vec::new();
        for (at, (element, member, below)) in set.iter().enumerate() {
            if below.is_empty() {
                continue;
            }
            let Some(place) = self.place(form, element) else { continue };
            let (member, below) = match place.form {
                Form::Leaf if place.is_whole => (true, FieldSet::default()),
                Form::Leaf => continue,
                granular => match self.settled(below, granular) {
                    Some(below) => (member, below),
                    None => continue,
                },
            };
            changes.push((at, Node { element: element.clone(), member, below }));
        }
        (!changes.is_empty()).then(|| set.with_nodes(changes))
    }

    /// Where an element leads; `None` where the type has nothing of the kind.
    fn place(&self, owner: Form<'t>, element: &PathElement) -> Option<Place<'t>> {
        let of =
            |ty: &'t FieldType, form| Place { form, is_whole: matches!(form, Form::Leaf) && self.is_composite(ty) };
        let (form, is_whole) = match (owner, element) {
            (Form::Struct(fields), PathElement::Field(name)) => match fields.field(name) {
                Some(field) => return Some(of(&field.ty, self.form(&field.ty, Some(field)))),
                None if fields.preserve_unknown => (Form::Untyped, false),
                None => return None,
            },
            (Form::Struct(fields), _) if !fields.preserve_unknown => return None,
            (Form::Map(item) | Form::Keyed(item, _), _) => return Some(of(item, self.form(item, None))),
            (Form::Struct(_) | Form::Untyped, _) => (Form::Untyped, false),
            (Form::Set | Form::Leaf, _) => (Form::Leaf, false),
        };
        Some(Place { form, is_whole })
    }

    /// Whether values of the type have parts, as far as its schema says: quantities and times are scalars.
    fn is_composite(&self, ty: &FieldType) -> bool {
        match ty {
            FieldType::List(_) | FieldType::Map(_) => true,
            FieldType::Ref(id) => !matches!(
                self.shape(*id),
                Shape::Quantity | Shape::IntOrString | Shape::Time | Shape::MicroTime | Shape::Duration
            ),
            _ => false,
        }
    }
}
