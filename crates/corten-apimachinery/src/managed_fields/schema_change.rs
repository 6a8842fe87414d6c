//! What becomes of ownership when a definition makes a granular map or list atomic.
//!
//! Whoever owns something below what is owned as a whole now owns the whole. The other way nothing changes: whoever owns a
//! whole that is granular now owns the map or list and none of its parts, as an owner does who has lost them all. Nor does
//! it for fields that the type no longer has, and below those of which it knows nothing.
//! Upstream: structured-merge-diff/typed/reconcile_schema.go and merge/update.go (`reconcileManagedFieldsWithSchemaChanges`),
//! v6.3. Earlier releases gave the parts of such a whole to its owner, and refused fields that are gone.

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
    /// Settles who owns what by the types as they are now, and drops the entries of versions that nobody serves. Says whether
    /// anything has changed.
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
    /// `set`, of a value of this form, as the type has it now; `None` if it is as it was. Types bound how deep it is looked into.
    fn settled(&self, set: &FieldSet, form: Form<'t>) -> Option<FieldSet> {
        let mut changes = Vec::new();
        for (at, (element, member, below)) in set.iter().enumerate() {
            if below.is_empty() {
                continue;
            }
            let Some(place) = self.place(form, element) else { continue };
            let (member, below) = match place.form {
                Form::Leaf if place.is_whole => (true, FieldSet::default()),
                Form::Leaf | Form::Untyped => continue,
                granular => match self.settled(below, granular) {
                    Some(below) => (member, below),
                    None => continue,
                },
            };
            changes.push((at, Node { element: element.clone(), member, below }));
        }
        (!changes.is_empty()).then(|| set.with_nodes(changes))
    }

    /// Where an element leads; `None` where the type says nothing of it.
    fn place(&self, owner: Form<'t>, element: &PathElement) -> Option<Place<'t>> {
        let (ty, form) = match (owner, element) {
            (Form::Struct(fields), PathElement::Field(name)) => {
                let field = fields.field(name)?;
                (&field.ty, self.form(&field.ty, Some(field)))
            }
            (Form::Map(item) | Form::Keyed(item, _), _) => (item, self.form(item, None)),
            (Form::Struct(_) | Form::Set | Form::Leaf | Form::Untyped, _) => return None,
        };
        Some(Place { form, is_whole: matches!(form, Form::Leaf) && self.is_composite(ty) })
    }

    /// Whether values of the type have parts, as far as its schema says: quantities and times are scalars.
    fn is_composite(&self, ty: &FieldType) -> bool {
        match ty {
            FieldType::List(_) | FieldType::Map(_) => true,
            FieldType::Ref(id) => match self.shape(*id) {
                Shape::Quantity | Shape::IntOrString | Shape::Time | Shape::MicroTime | Shape::Duration => false,
                // One of which nothing is known but that it is an object is not settled, though it may be atomic.
                Shape::Struct(fields) => !(fields.preserve_unknown && fields.fields.is_empty()),
                _ => true,
            },
            _ => false,
        }
    }
}
