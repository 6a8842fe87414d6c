//! What becomes of ownership when a definition makes a granular map or list atomic, or an atomic one granular.
//!
//! Whoever owns something below what is owned as a whole now owns the whole. Whoever owns a whole that is granular now owns
//! all that lies in it. Nothing tells such a whole from a granular map whose owner has lost all that was in it, or owns it
//! empty, so that this one gains what others put there, at the next write: upstream has it so for built-in kinds, too.
//! Upstream: structured-merge-diff/typed/reconcile_schema.go and merge/update.go (`reconcileManagedFieldsWithSchemaChanges`).

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    entries::Entries,
    fields_v1::{FieldSet, Node, PathElement, path_text},
    manager::Write,
    typed::{Form, Typed, items},
};
use crate::{
    field::{NOT_SHOWN, SHOWN_BYTES_MAX},
    type_table::{FieldType, Shape},
    value::{Str, Value},
};

/// The most paths that the entries of one object may gain together; a set that would go beyond stays as it is. Each entry
/// can gain as many as the object has, and there can be thousands of entries: honest ones together have few.
const GAINED_MAX: usize = 1 << 18;

/// What upstream tells of each undeclared field a second time.
const INVALID_ATOM: &str = "schema error: invalid atom: inlined";

/// A set has a path that the type does not have.
struct Undeclared;

/// What the type says of a path's end.
struct Place<'t> {
    form: Form<'t>,
    /// Whether it is a map or a list that is owned as a whole.
    is_whole: bool,
}

impl Write<'_> {
    /// Settles who owns what of `live` by the types as they are now, and drops the entries of versions that nobody serves.
    /// Says whether anything has changed.
    ///
    /// Errors: an entry has a field that its type does not declare, in upstream's words.
    pub(super) fn settle(&self, entries: &mut Entries, live: &Value) -> Result<bool, String> {
        let mut has_changed = false;
        let mut gained_left = GAINED_MAX;
        let mut views: BTreeMap<Str, Option<Cow<'_, Value>>> = BTreeMap::new();
        let mut result = Ok(());
        entries.by_manager.retain(|_, entry| {
            let Some(typed) = self.typed(&entry.api_version) else {
                has_changed = true;
                return false;
            };
            if result.is_err() || typed.is_settled(&entry.set) {
                return true;
            }
            let view =
                views.entry(entry.api_version.clone()).or_insert_with_key(|api_version| self.view(live, api_version));
            match typed.settled(&entry.set, view.as_deref(), &mut gained_left) {
                Ok(Some(set)) => {
                    entry.replace(set);
                    has_changed = true;
                }
                Ok(None) => {}
                Err(why) => result = Err(why),
            }
            true
        });
        result.map(|()| has_changed)
    }
}

impl<'t> Typed<'t> {
    /// Whether no path of `set` is other than the type has it, whatever the object is. Most sets are so.
    fn is_settled(&self, set: &FieldSet) -> bool {
        self.is_settled_below(set, self.root_form())
    }

    fn is_settled_below(&self, set: &FieldSet, form: Form<'t>) -> bool {
        set.iter().all(|(element, _, below)| {
            let Some(place) = self.place(form, element) else { return false };
            match place.form {
                Form::Leaf => below.is_empty() || !place.is_whole,
                granular => !below.is_empty() && self.is_settled_below(below, granular),
            }
        })
    }

    /// `set` as the type has it now; `None` if it is as it was.
    fn settled(
        &self,
        set: &FieldSet,
        live: Option<&Value>,
        gained_left: &mut usize,
    ) -> Result<Option<FieldSet>, String> {
        self.settled_below(set, self.root_form(), live, gained_left).map_err(|Undeclared| {
            let mut texts = Undeclareds { texts: Vec::new(), left_bytes: SHOWN_BYTES_MAX };
            self.undeclared(set, self.root_form(), &mut texts);
            format!("errors reconciling field set with schema: errors:\n  {}", texts.texts.join("\n  "))
        })
    }

    fn settled_below(
        &self,
        set: &FieldSet,
        form: Form<'t>,
        live: Option<&Value>,
        gained_left: &mut usize,
    ) -> Result<Option<FieldSet>, Undeclared> {
        let mut changes = Vec::new();
        // Made when an item is looked for: most lists are as they were.
        let mut by_element = None;
        for (at, (element, member, below)) in set.iter().enumerate() {
            let place = self.place(form, element).ok_or(Undeclared)?;
            let (member, below) = match place.form {
                Form::Leaf if below.is_empty() || !place.is_whole => continue,
                Form::Leaf => (true, FieldSet::default()),
                granular => {
                    if matches!(form, Form::Keyed(..)) && !below.is_empty() && self.is_settled_below(below, granular) {
                        continue;
                    }
                    let live = match element {
                        PathElement::Field(name) => live.and_then(|live| live.get(name)),
                        element => *by_element
                            .get_or_insert_with(|| self.items_by_element(form, live))
                            .get(element)
                            .unwrap_or(&None),
                    };
                    let settled = if below.is_empty() {
                        let gained = live.map(|live| self.set_of(live, granular).1).unwrap_or_default();
                        let left = gained_left.checked_sub(gained.len());
                        left.filter(|_| !gained.is_empty()).map(|left| {
                            *gained_left = left;
                            gained
                        })
                    } else {
                        self.settled_below(below, granular, live, gained_left)?
                    };
                    let Some(below) = settled else { continue };
                    (member, below)
                }
            };
            changes.push((at, Node { element: element.clone(), member, below }));
        }
        Ok((!changes.is_empty()).then(|| set.with_nodes(changes)))
    }

    /// The items of a list; `None` for an element that several have, of which nothing is owned below.
    fn items_by_element<'v>(
        &self,
        list: Form<'t>,
        live: Option<&'v Value>,
    ) -> BTreeMap<PathElement, Option<&'v Value>> {
        let mut by_element = BTreeMap::new();
        let items = items(live).unwrap_or_default();
        for (element, item) in self.elements(list, items).unwrap_or_default().into_iter().zip(items) {
            by_element.entry(element).and_modify(|known| *known = None).or_insert(Some(item));
        }
        by_element
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

    /// Collects what is said of the paths that the type does not have: at each level those that are owned only in part first.
    fn undeclared(&self, set: &FieldSet, form: Form<'t>, found: &mut Undeclareds) {
        for members in [false, true] {
            for (element, _, below) in set.iter().filter(|(_, member, _)| *member == members) {
                match self.place(form, element) {
                    None => found.add(element),
                    Some(Place { form: Form::Leaf, .. }) => {}
                    Some(place) => self.undeclared(below, place.form, found),
                }
            }
        }
    }
}

/// Texts about undeclared fields, as long as anybody reads them: clients make up sets, and keys can be long.
struct Undeclareds {
    texts: Vec<String>,
    left_bytes: usize,
}

impl Undeclareds {
    fn add(&mut self, element: &PathElement) {
        if self.left_bytes == 0 {
            return;
        }
        let text = format!("{}: field not declared in schema", path_text(&[element]));
        self.left_bytes = self.left_bytes.saturating_sub(text.len() + INVALID_ATOM.len());
        self.texts.extend([text, INVALID_ATOM.to_owned()]);
        if self.left_bytes == 0 {
            self.texts.push(NOT_SHOWN.to_owned());
        }
    }
}
