//! Trees and sets of field paths, related by the type table: which paths a tree has, how two trees differ, how a
//! configuration goes into a live object, what goes when a path is no longer wanted.
//!
//! Structs and maps are granular, lists are atomic, unless the table says otherwise; items of lists of type map are told
//! apart by their key fields, a missing key counting as its default. What has no type is granular for objects only.
//! Upstream: structured-merge-diff/typed (v6.3).

use std::{cmp::Ordering, collections::BTreeMap, convert::Infallible};

use super::fields_v1::{FieldSet, PathElement, path_text};
use crate::{
    field::{NOT_SHOWN, SHOWN_BYTES_MAX, quote},
    type_table::{Field, FieldType, ListType, Shape, Struct, TypeId, TypeTable},
    value::{Map, Str, Value, go_text},
};

/// What the table says of trees of one type.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'t> {
    table: &'t TypeTable,
    root: TypeId,
}

/// How two trees differ.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Paths that only the new tree has.
    pub added: FieldSet,
    /// Paths that both have, with different values.
    pub modified: FieldSet,
    /// Paths that only the old tree has.
    pub removed: FieldSet,
}

/// How a node is owned and merged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'t> {
    /// As a whole: scalars, and whatever is atomic.
    Leaf,
    /// Field by field.
    Struct(&'t Struct),
    /// Key by key.
    Map(&'t FieldType),
    /// A list whose items are their own keys.
    Set,
    /// A list whose items have keys.
    Keyed(&'t FieldType, &'t [Str]),
    /// Whatever it looks like.
    Untyped,
}

/// What happened to a node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Added,
    Modified,
    Removed,
}

/// An untyped object's entries are untyped too.
const ANY: &FieldType = &FieldType::Any;

impl Comparison {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The differences that are neither at nor below a path of `ignored`.
    #[must_use]
    pub fn without(mut self, ignored: &FieldSet) -> Self {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            set.subtract_with_children(ignored);
        }
        self
    }

    /// The differences at or below what the patterns lead to.
    #[must_use]
    pub(super) fn at_or_below(mut self, patterns: &[&[&str]]) -> Self {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            *set = set.at_or_below(patterns);
        }
        self
    }

    fn push(&mut self, element: impl FnOnce() -> PathElement, change: Change, below: Self) {
        if change == Change::None && below.is_empty() {
            return;
        }
        let element = element();
        let sets = [
            (&mut self.removed, Change::Removed, below.removed),
            (&mut self.modified, Change::Modified, below.modified),
            (&mut self.added, Change::Added, below.added),
        ];
        for (set, kind, below) in sets {
            // Most elements are in one set only: the others need no copy.
            if change == kind || !below.is_empty() {
                set.push(element.clone(), change == kind, below);
            }
        }
    }
}

impl<'t> Typed<'t> {
    /// Trees of the type `root`.
    #[must_use]
    pub fn new(table: &'t TypeTable, root: TypeId) -> Self {
        Self { table, root }
    }

    pub(super) fn root_form(&self) -> Form<'t> {
        match &self.table.get(self.root).shape {
            Shape::Struct(fields) => Form::Struct(fields),
            _ => Form::Untyped,
        }
    }

    pub(super) fn shape(&self, id: TypeId) -> &'t Shape {
        &self.table.get(id).shape
    }

    pub(super) fn form(&self, ty: &'t FieldType, field: Option<&'t Field>) -> Form<'t> {
        match ty {
            FieldType::Ref(id) => match &self.table.get(*id).shape {
                Shape::Struct(fields) => {
                    let atomic = field.and_then(|field| field.atomic).unwrap_or(fields.atomic);
                    if atomic { Form::Leaf } else { Form::Struct(fields) }
                }
                Shape::Alias(target) => self.form(target, field),
                _ => Form::Leaf,
            },
            FieldType::List(item) => match field.and_then(|field| field.list.as_ref()) {
                Some(ListType::Set) => Form::Set,
                Some(ListType::Map(keys)) => Form::Keyed(item, keys),
                _ => Form::Leaf,
            },
            FieldType::Map(_) if field.is_some_and(|field| field.atomic == Some(true)) => Form::Leaf,
            FieldType::Map(item) => Form::Map(item),
            FieldType::Any => Form::Untyped,
            _ => Form::Leaf,
        }
    }

    /// The form of an object's entry, and whether the object's type declares it.
    pub(super) fn entry_form(&self, owner: Form<'t>, key: &str) -> (Form<'t>, bool) {
        match owner {
            Form::Struct(fields) => match fields.field(key) {
                Some(field) => (self.form(&field.ty, Some(field)), true),
                None => (Form::Untyped, false),
            },
            Form::Map(item) => (self.form(item, None), false),
            _ => (self.form(ANY, None), false),
        }
    }

    pub(super) fn item_form(&self, list: Form<'t>) -> Form<'t> {
        match list {
            Form::Keyed(item, _) => self.form(item, None),
            _ => Form::Leaf,
        }
    }

    /// The path element of a list's item.
    ///
    /// Errors: the item has no key, in upstream's words.
    fn element(&self, list: Form<'t>, item: &Value) -> Result<PathElement, String> {
        let Form::Keyed(item_type, keys) = list else {
            return match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
                scalar => Ok(PathElement::value(scalar.clone())),
            };
        };
        let map = match item {
            Value::Object(map) => map,
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let mut fields = Vec::with_capacity(keys.len());
        for key in keys {
            let default = || self.table.as_struct(item_type)?.field(key)?.default.as_ref();
            let value = map.get(key).or_else(default).ok_or_else(|| {
                format!(
                    "associative list with keys has an element that omits key field {} (and doesn't have default value)",
                    quote(key)
                )
            })?;
            fields.push((key.clone(), value.clone()));
        }
        Ok(PathElement::key(fields))
    }

    /// The path elements of a list's items; `None` if one has no key, so that only the whole list can be owned.
    pub(super) fn elements(&self, list: Form<'t>, items: &[Value]) -> Option<Vec<PathElement>> {
        items.iter().map(|item| self.element(list, item).ok()).collect()
    }

    // ---- Sets ----

    /// The paths of `object`: its leaves, the keys of its maps, the items of its lists.
    #[must_use]
    pub fn field_set(&self, object: &Value) -> FieldSet {
        self.set_of(object, self.root_form()).1
    }

    /// Whether the node itself is in the set, and what is below it.
    pub(super) fn set_of(&self, value: &Value, form: Form<'t>) -> (bool, FieldSet) {
        let mut set = FieldSet::default();
        match (form, value) {
            (Form::Leaf, _) => return (true, set),
            (Form::Struct(_) | Form::Map(_) | Form::Untyped, Value::Object(map)) => {
                for (key, child) in map.entries() {
                    let (child_form, declared) = self.entry_form(form, key);
                    let (member, below) = self.set_of(child, child_form);
                    let member = member || !declared || is_null_or_empty_object(child);
                    set.push(PathElement::Field(key.clone()), member, below);
                }
            }
            (Form::Set | Form::Keyed(..), Value::Array(items)) => {
                let Some(elements) = self.elements(form, items) else { return (true, set) };
                // By element, so that what is pushed is in order; `None` for several items with the same key, which are
                // owned together, as a whole.
                let mut by_element: BTreeMap<&PathElement, Option<&Value>> = BTreeMap::new();
                for (element, item) in elements.iter().zip(items.iter()) {
                    by_element.entry(element).and_modify(|known| *known = None).or_insert(Some(item));
                }
                let item_form = self.item_form(form);
                for (element, item) in by_element {
                    let below = item.map(|item| self.set_of(item, item_form).1).unwrap_or_default();
                    set.push(element.clone(), true, below);
                }
            }
            (Form::Untyped, Value::Null) | (_, Value::Null) => {}
            _ => return (true, set),
        }
        (false, set)
    }

    /// `set` with every declared field that has members below it: what has to go for them to go entirely.
    #[must_use]
    pub fn with_named_fields(&self, set: &FieldSet) -> FieldSet {
        self.named_fields(set, self.root_form())
    }

    fn named_fields(&self, set: &FieldSet, form: Form<'t>) -> FieldSet {
        let mut named = FieldSet::default();
        for (element, member, below) in set.iter() {
            let (child_form, declared) = match element {
                PathElement::Field(name) => self.entry_form(form, name),
                PathElement::Key(_) => (self.item_form(form), false),
                _ => (Form::Leaf, false),
            };
            let member = member || (declared && !below.is_empty());
            named.push(element.clone(), member, self.named_fields(below, child_form));
        }
        named
    }

    // ---- Comparison ----

    /// How `new` differs from `old`.
    #[must_use]
    pub fn compare(&self, old: &Value, new: &Value) -> Comparison {
        self.compare_nodes(Some(old), Some(new), self.root_form()).1
    }

    fn compare_nodes(&self, old: Option<&Value>, new: Option<&Value>, form: Form<'t>) -> (Change, Comparison) {
        if let (None, Some(new)) = (old, new) {
            return (Change::Added, Comparison { added: self.all_of(new, form), ..Comparison::default() });
        }
        let mut below = Comparison::default();
        match form {
            Form::Leaf => return (compare_leaves(old, new), below),
            Form::Struct(_) | Form::Map(_) | Form::Untyped => {
                let (Some(a), Some(b)) = (entries(old), entries(new)) else { return (compare_leaves(old, new), below) };
                if a.is_empty() && b.is_empty() {
                    return (compare_leaves(old, new), below);
                }
                // The same allocation on both sides: nothing in it was touched.
                if !std::ptr::eq(a, b) {
                    self.compare_entries(a, b, form, &mut below);
                }
            }
            Form::Set | Form::Keyed(..) => {
                let (Some(a), Some(b)) = (items(old), items(new)) else { return (compare_leaves(old, new), below) };
                if a.is_empty() && b.is_empty() {
                    return (compare_leaves(old, new), below);
                }
                if !std::ptr::eq(a, b) && a != b {
                    let (Some(a_elements), Some(b_elements)) = (self.elements(form, a), self.elements(form, b)) else {
                        return (compare_leaves(old, new), below);
                    };
                    self.compare_items((a, &a_elements), (b, &b_elements), form, &mut below);
                }
            }
        }
        let change = match (old, new) {
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            _ => Change::None,
        };
        (change, below)
    }

    /// All that lies below a node that was not there before.
    fn all_of(&self, new: &Value, form: Form<'t>) -> FieldSet {
        let mut set = FieldSet::default();
        match form {
            Form::Leaf => {}
            Form::Struct(_) | Form::Map(_) | Form::Untyped => {
                let entries = entries(Some(new)).unwrap_or_default();
                set.reserve(entries.len());
                for (key, child) in entries {
                    let (form, _) = self.entry_form(form, key);
                    set.push_last(PathElement::Field(key.clone()), self.all_of(child, form));
                }
            }
            Form::Set | Form::Keyed(..) => {
                let items = items(Some(new)).unwrap_or_default();
                let Some(elements) = self.elements(form, items) else { return set };
                let mut sorted: Vec<_> = elements.into_iter().zip(items).collect();
                sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
                set.reserve(sorted.len());
                let item_form = self.item_form(form);
                let mut sorted = sorted.into_iter().peekable();
                while let Some((element, item)) = sorted.next() {
                    let mut below = None;
                    // Duplicates are owned together, as a whole.
                    while sorted.next_if(|(other, _)| *other == element).is_some() {
                        below = Some(FieldSet::default());
                    }
                    set.push_last(element, below.unwrap_or_else(|| self.all_of(item, item_form)));
                }
            }
        }
        set
    }

    fn compare_entries(&self, a: &[(Str, Value)], b: &[(Str, Value)], form: Form<'t>, out: &mut Comparison) {
        let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let old = if order.is_le() { a.next() } else { None };
            let new = if order.is_ge() { b.next() } else { None };
            let Some(key) = old.or(new).map(|(key, _)| key) else { return };
            let (old, new) = (old.map(|(_, value)| value), new.map(|(_, value)| value));
            let (form, _) = self.entry_form(form, key);
            let (change, below) = self.compare_nodes(old, new, form);
            out.push(|| PathElement::Field(key.clone()), change, below);
        }
    }

    fn compare_items(
        &self,
        (a, a_elements): (&[Value], &[PathElement]),
        (b, b_elements): (&[Value], &[PathElement]),
        form: Form<'t>,
        out: &mut Comparison,
    ) {
        // By element, so that what is pushed is in order.
        let mut by_element: BTreeMap<&PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (element, item) in a_elements.iter().zip(a) {
            by_element.entry(element).or_default().0.push(item);
        }
        for (element, item) in b_elements.iter().zip(b) {
            by_element.entry(element).or_default().1.push(item);
        }
        let item_form = self.item_form(form);
        for (element, (old, new)) in by_element {
            let (change, below) = match (old.as_slice(), new.as_slice()) {
                // Duplicates are owned together: an item that becomes one of several goes as what it was.
                ([_, _, ..], [_, _, ..]) => {
                    (if old == new { Change::None } else { Change::Modified }, Comparison::default())
                }
                ([_, _, ..], new) => {
                    let mut below = Comparison::default();
                    if let Some(new) = new.first() {
                        below = self.compare_nodes(None, Some(new), item_form).1;
                        out.added.push(element.clone(), true, FieldSet::default());
                    }
                    (Change::Removed, below)
                }
                (old, [_, _, ..]) => {
                    let mut below = Comparison::default();
                    if let Some(old) = old.first() {
                        below = self.compare_nodes(Some(old), None, item_form).1;
                        out.removed.push(element.clone(), true, FieldSet::default());
                    }
                    (Change::Added, below)
                }
                (old, new) => self.compare_nodes(old.first().copied(), new.first().copied(), item_form),
            };
            out.push(|| element.clone(), change, below);
        }
    }

    // ---- Merge ----

    /// `live` with everything that `config` says.
    ///
    /// Items of keyed lists that both have stand in `config`'s order, with the others around them as they were.
    #[must_use]
    pub fn merge(&self, live: &Value, config: &Value) -> Value {
        self.merge_nodes(live, config, self.root_form())
    }

    fn merge_nodes(&self, live: &Value, config: &Value, form: Form<'t>) -> Value {
        match (form, live, config) {
            (Form::Struct(_) | Form::Map(_) | Form::Untyped, Value::Object(old), Value::Object(new)) => {
                if new.is_empty() && !old.is_empty() {
                    return live.clone();
                }
                let changes = new.entries().iter().map(|(key, value)| (key.clone(), value));
                let Ok(merged) = old.clone().edit(changes, |key, old, value| {
                    Ok::<_, Infallible>(Some(match old {
                        Some(old) => self.merge_nodes(&old, value, self.entry_form(form, key).0),
                        None => value.clone(),
                    }))
                });
                Value::Object(merged)
            }
            (Form::Set | Form::Keyed(..), Value::Array(old), Value::Array(new)) if !old.is_empty() => {
                match (self.elements(form, old), self.elements(form, new)) {
                    (Some(old_elements), Some(new_elements)) => {
                        self.merge_items((old, &old_elements), (new, &new_elements), form).into()
                    }
                    _ => config.clone(),
                }
            }
            // Saying null of an object or list that has something takes nothing away.
            (Form::Struct(_) | Form::Map(_) | Form::Untyped, Value::Object(old), Value::Null) if !old.is_empty() => {
                live.clone()
            }
            (Form::Set | Form::Keyed(..), Value::Array(old), Value::Null) if !old.is_empty() => live.clone(),
            _ => config.clone(),
        }
    }

    fn merge_items(
        &self,
        (old, old_elements): (&[Value], &[PathElement]),
        (new, new_elements): (&[Value], &[PathElement]),
        form: Form<'t>,
    ) -> Vec<Value> {
        let item_form = self.item_form(form);
        // `None` for an element that the live list has more than once: none of those is merged with.
        let mut in_old: BTreeMap<&PathElement, Option<&Value>> = BTreeMap::new();
        for (element, item) in old_elements.iter().zip(old) {
            in_old.entry(element).and_modify(|known| *known = None).or_insert(Some(item));
        }
        let in_new: BTreeMap<&PathElement, &Value> = new_elements.iter().zip(new).collect();
        let merged_item = |element: &PathElement| match in_old.get(element).copied().flatten() {
            Some(old) => self.merge_nodes(old, in_new[element], item_form),
            None => in_new[element].clone(),
        };
        let mut shared = new_elements.iter().filter(|element| in_old.contains_key(element));
        let mut next_shared = shared.next();
        let mut done: std::collections::BTreeSet<&PathElement> = std::collections::BTreeSet::new();
        let mut merged = Vec::with_capacity(old.len().max(new.len()));
        let (mut o, mut n) = (0, 0);
        while o < old.len() || n < new.len() {
            if o < old.len() && n < new.len() {
                let element = &old_elements[o];
                if *element == new_elements[n] {
                    done.insert(element);
                    merged.push(merged_item(element));
                    (o, n) = (o + 1, n + 1);
                    next_shared = shared.next();
                    continue;
                }
                // In both, but another one comes first in the configuration.
                if in_new.contains_key(element) && next_shared.is_some_and(|next| next != element) {
                    o += 1;
                    continue;
                }
            }
            if o < old.len() {
                let element = &old_elements[o];
                if !in_new.contains_key(element) {
                    merged.push(old[o].clone());
                    o += 1;
                    continue;
                }
                if done.contains(element) {
                    o += 1;
                }
            }
            if n < new.len() {
                let element = &new_elements[n];
                done.insert(element);
                merged.push(merged_item(element));
                n += 1;
                if next_shared == Some(element) {
                    next_shared = shared.next();
                }
            }
        }
        merged
    }

    // ---- Removal ----

    /// `object` without the paths of `set`. What loses all its entries becomes null.
    #[must_use]
    pub fn remove(&self, object: &Value, set: &FieldSet) -> Value {
        self.prune(object, set, self.root_form()).unwrap_or_default()
    }

    fn prune(&self, value: &Value, set: &FieldSet, form: Form<'t>) -> Option<Value> {
        match (form, value) {
            (Form::Struct(_) | Form::Map(_) | Form::Untyped, Value::Object(map)) => {
                let mut kept = Vec::with_capacity(map.len());
                for (key, child) in map.entries() {
                    let (member, below) = set.at_field(key);
                    let child_form = self.entry_form(form, key).0;
                    if let Some(child) = self.prune_child(child, member, below, child_form) {
                        kept.push((key.clone(), child.unwrap_or_default()));
                    }
                }
                let kept = Map::from_entries(kept).expect("they are some of an object's entries, in its order");
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            (Form::Set | Form::Keyed(..), Value::Array(items)) => {
                let elements = self.elements(form, items)?;
                let item_form = self.item_form(form);
                let mut kept = Vec::with_capacity(items.len());
                for (element, item) in elements.iter().zip(items.iter()) {
                    let (member, below) = set.at(element);
                    if let Some(item) = self.prune_child(item, member, below, item_form) {
                        kept.push(item.unwrap_or_default());
                    }
                }
                (!kept.is_empty()).then_some(kept.into())
            }
            (Form::Leaf, Value::Array(_) | Value::Object(_)) => None,
            _ => Some(value.clone()),
        }
    }

    /// `None` if the child goes; `Some(None)` if it stays without content.
    #[expect(clippy::option_option, reason = "gone and emptied are different: an emptied one is written as null")]
    fn prune_child(
        &self,
        child: &Value,
        member: bool,
        below: Option<&FieldSet>,
        form: Form<'t>,
    ) -> Option<Option<Value>> {
        match below.filter(|below| !below.is_empty()) {
            _ if member => None,
            None => Some(Some(child.clone())),
            Some(below) => Some(self.prune(child, below, form)),
        }
    }

    // ---- Validation ----

    /// What is wrong with a configuration, in upstream's words: fields and values that the type does not have, items
    /// without key or with the same key. Of very many complaints the first.
    #[must_use]
    pub fn complaints(&self, config: &Value) -> Vec<String> {
        self.complaints_of(config, Complaints::default())
    }

    /// The same of an object that is there, which may have items with the same key.
    #[must_use]
    pub fn complaints_of_live(&self, live: &Value) -> Vec<String> {
        self.complaints_of(live, Complaints { takes_duplicates: true, ..Complaints::default() })
    }

    fn complaints_of(&self, object: &Value, mut found: Complaints) -> Vec<String> {
        self.check(object, &Expected::Form(self.root_form()), &mut Vec::new(), &mut found);
        if found.cut {
            found.texts.push(NOT_SHOWN.to_owned());
        }
        found.texts
    }

    fn check(&self, value: &Value, expected: &Expected<'t>, path: &mut Vec<PathElement>, found: &mut Complaints) {
        if value.is_null() {
            return;
        }
        let go = || go_text(value);
        match expected {
            Expected::Number if !matches!(value, Value::Int(_) | Value::Float(_)) => {
                found.add(path, &format!("expected numeric (int or float), got {}", value.go_type()));
            }
            Expected::Text if value.as_str().is_none() => {
                let source = go_source(value);
                found.add(path, &format!("expected string, got &value.valueUnstructured{{Value:{source}}}"));
            }
            Expected::Truth if value.as_bool().is_none() => {
                found.add(path, &format!("expected boolean, got &{{{}}}", go()));
            }
            Expected::Scalar if matches!(value, Value::Array(_) | Value::Object(_)) => {
                found.add(path, &format!("expected any scalar, got &{{{}}}", go()));
            }
            Expected::Items(item) => match value {
                Value::Array(items) => {
                    for (at, item_value) in (0..).zip(items.iter()) {
                        path.push(PathElement::Index(at));
                        self.check(item_value, &self.expected(item, None), path, found);
                        path.pop();
                    }
                }
                _ => found.add(path, &format!("expected list, got &{{{}}}", go())),
            },
            Expected::Form(form) => self.check_form(value, *form, path, found),
            _ => {}
        }
    }

    fn check_form(&self, value: &Value, form: Form<'t>, path: &mut Vec<PathElement>, found: &mut Complaints) {
        match (form, value) {
            (Form::Leaf | Form::Untyped, _) => {}
            (Form::Struct(fields), Value::Object(map)) => {
                for (key, child) in map.entries() {
                    path.push(PathElement::Field(key.clone()));
                    match fields.field(key) {
                        Some(field) => self.check(child, &self.expected(&field.ty, Some(field)), path, found),
                        None if fields.preserve_unknown => {}
                        None => found.add(path, "field not declared in schema"),
                    }
                    path.pop();
                }
            }
            (Form::Map(item), Value::Object(map)) => {
                for (key, child) in map.entries() {
                    path.push(PathElement::Field(key.clone()));
                    self.check(child, &self.expected(item, None), path, found);
                    path.pop();
                }
            }
            (Form::Struct(_) | Form::Map(_), other) => {
                found.add(path, &format!("expected map, got &{{{}}}", go_text(other)));
            }
            (Form::Set | Form::Keyed(..), Value::Array(items)) => {
                let mut seen = std::collections::BTreeSet::new();
                for (at, item) in items.iter().enumerate() {
                    let element = match self.element(form, item) {
                        Ok(element) => element,
                        Err(why) => {
                            found.add(path, &format!("element {at}: {why}"));
                            continue;
                        }
                    };
                    if !seen.insert(element.clone()) && !found.takes_duplicates {
                        found.add(path, &format!("duplicate entries for key {}", path_text(&[&element])));
                    }
                    path.push(element);
                    if let Form::Keyed(item_type, _) = form {
                        self.check(item, &self.expected(item_type, None), path, found);
                    }
                    path.pop();
                }
            }
            (Form::Set | Form::Keyed(..), other) => {
                found.add(path, &format!("expected list, got &{{{}}}", go_text(other)));
            }
        }
    }

    fn expected(&self, ty: &'t FieldType, field: Option<&'t Field>) -> Expected<'t> {
        match ty {
            FieldType::Bool => Expected::Truth,
            FieldType::Int32 | FieldType::Int64 | FieldType::Double => Expected::Number,
            FieldType::String | FieldType::Bytes => Expected::Text,
            FieldType::Ref(id) => match &self.table.get(*id).shape {
                Shape::Alias(target) => self.expected(target, field),
                // Also when it is owned as a whole.
                Shape::Struct(fields) => Expected::Form(Form::Struct(fields)),
                Shape::Quantity | Shape::IntOrString | Shape::Time | Shape::MicroTime => Expected::Scalar,
                Shape::Duration => Expected::Text,
                _ => Expected::Anything,
            },
            FieldType::List(item) => match self.form(ty, field) {
                Form::Leaf => Expected::Items(item),
                form => Expected::Form(form),
            },
            FieldType::Map(item) => Expected::Form(Form::Map(item)),
            FieldType::Any => Expected::Anything,
        }
    }
}

/// What has been found wrong, as long as anybody reads it: each complaint has a path, and keys in a path can be long.
struct Complaints {
    texts: Vec<String>,
    left_bytes: usize,
    /// Whether there were more.
    cut: bool,
    /// Whether items with the same key are as they may be.
    takes_duplicates: bool,
}

impl Default for Complaints {
    fn default() -> Self {
        Self { texts: Vec::new(), left_bytes: SHOWN_BYTES_MAX, cut: false, takes_duplicates: false }
    }
}

impl Complaints {
    fn add(&mut self, path: &[PathElement], why: &str) {
        if self.left_bytes == 0 {
            self.cut = true;
            return;
        }
        let path = path_text(&path.iter().collect::<Vec<_>>());
        let text = if path.is_empty() { why.to_owned() } else { format!("{path}: {why}") };
        self.left_bytes = self.left_bytes.saturating_sub(text.len());
        self.texts.push(text);
    }
}

/// What a configuration has to have in a place.
enum Expected<'t> {
    Number,
    Text,
    Truth,
    Scalar,
    Items(&'t FieldType),
    Form(Form<'t>),
    Anything,
}

fn is_null_or_empty_object(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The entries of an object; none for null or nothing; `None` for anything else.
pub(super) fn entries(value: Option<&Value>) -> Option<&[(Str, Value)]> {
    match value {
        None | Some(Value::Null) => Some(&[]),
        Some(Value::Object(map)) => Some(map.entries()),
        Some(_) => None,
    }
}

/// The items of a list; none for null or nothing; `None` for anything else.
pub(super) fn items(value: Option<&Value>) -> Option<&[Value]> {
    match value {
        None | Some(Value::Null) => Some(&[]),
        Some(Value::Array(items)) => Some(items),
        Some(_) => None,
    }
}

fn compare_leaves(old: Option<&Value>, new: Option<&Value>) -> Change {
    match (old, new) {
        (None, None) => Change::None,
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(old), Some(new)) if old == new => Change::None,
        (Some(_), Some(_)) => Change::Modified,
    }
}

/// A value as Go's `%#v` prints it.
fn go_source(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => quote(text),
        Value::Array(items) => format!("[]interface {{}}{{{}}}", list(items.iter().map(go_source).collect())),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}:{}", quote(key), go_source(value)));
            format!("map[string]interface {{}}{{{}}}", list(entries.collect()))
        }
        other => format!("{other:?}"),
    }
}
