//! Strategic merge patch: a merge patch that knows how the lists of built-in types merge, with directives.
//!
//! `$patch` replaces or deletes, `$retainKeys` clears what a union no longer has, `$deleteFromPrimitiveList/x` takes items
//! out of list `x`, `$setElementOrder/x` says in which order its items stand.
//! Upstream: k8s.io/apimachinery/pkg/util/strategicpatch and mergepatch (v1.35): results and messages.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    PatchError,
    work::{Work, nodes},
};
use crate::{
    field::quote,
    type_table::{FieldType, PatchStrategy, Shape, TypeId, TypeTable},
    value::{List, Map, Ordered, Str, Value, go_text},
};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// How much work a patch may cost beyond looking at each entry and item of the object and the patch twice. A patch meets each
/// once, unless items of one list have the same key: then each of them meets all of the item that it is merged into.
const WORK_SPARE: usize = 100_000;

/// What a patch that costs more is told.
const TOO_MUCH_WORK: &str = "The strategic merge patch costs too much on an object of this size";

/// The object after `patch`, merged as the fields of its type say.
///
/// The result still has to be read as an object of the type: unknown fields of the patch are in it.
///
/// Errors: the patch is no object, its directives or lists do not fit the type, or it costs too much on this object.
pub fn apply(object: &Value, patch: &Value, table: &TypeTable, type_id: TypeId) -> Result<Value, PatchError> {
    let Value::Object(changes) = patch else { return Err(invalid("invalid JSON document")) };
    let original = object.as_object().cloned().unwrap_or_default();
    let work_max = WORK_SPARE + 2 * (nodes(object) + nodes(patch));
    let mut merge = Merge { table, work: Work::new(work_max, TOO_MUCH_WORK) };
    merge.map(original, changes.clone(), Some(&FieldType::Ref(type_id))).map(Value::Object)
}

fn invalid(why: &str) -> PatchError {
    PatchError::Invalid(why.to_owned())
}

fn bad_order() -> PatchError {
    invalid("invalid patch format of setElementOrder list")
}

fn unfit(why: impl Into<String>) -> PatchError {
    PatchError::Inapplicable(why.into())
}

fn no_merge_key(item: &Value, key: &str) -> PatchError {
    unfit(format!("map: {} does not contain declared merge key: {key}", go_text(item)))
}

fn bad_type(want: &str, found: &Value) -> PatchError {
    unfit(format!("expected a {want}, but received a {}", go_type(found)))
}

const GO_MAP: &str = "map[string]interface {}";
const GO_LIST: &str = "[]interface {}";

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => GO_LIST,
        Value::Object(_) | Value::Raw(_) => GO_MAP,
    }
}

/// Takes the nulls out of what a patch adds: they mean nothing where there is nothing to remove.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|_, child| {
            without_nulls(child);
            !child.is_null()
        }),
        Value::Array(_) => value.as_array_mut().into_iter().flatten().for_each(without_nulls),
        _ => {}
    }
}

/// What a patch adds, without the objects in it that are directives: `None` if it is one itself. What is not there can neither be
/// deleted nor replaced.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let entries =
                map.into_entries().into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(entries.collect()))
        }
        Value::Array(items) => Some(Value::array(items.iter().cloned().filter_map(without_directives))),
        other => Some(other),
    }
}

/// What the type says of one field.
struct FieldRule<'a> {
    ty: Option<&'a FieldType>,
    merges: bool,
    replaces: bool,
    merge_key: &'a str,
}

/// What a patch says of one entry of an object.
#[derive(Debug, Default)]
struct Change {
    /// In which order its items stand.
    order: Option<List>,
    /// Which items go.
    deleted: Option<Value>,
    /// What it becomes, or is merged with.
    value: Option<Value>,
}

struct Merge<'a> {
    table: &'a TypeTable,
    work: Work,
}

impl<'a> Merge<'a> {
    fn resolve<'t>(&self, mut ty: &'t FieldType) -> &'t FieldType
    where
        'a: 't,
    {
        while let FieldType::Ref(id) = ty
            && let Shape::Alias(target) = &self.table.get(*id).shape
        {
            ty = target;
        }
        ty
    }

    fn rule<'t>(&self, owner: Option<&'t FieldType>, name: &str) -> Result<FieldRule<'t>, PatchError>
    where
        'a: 't,
    {
        let plain = |ty| FieldRule { ty, merges: false, replaces: false, merge_key: "" };
        match owner.map(|owner| self.resolve(owner)) {
            Some(FieldType::Map(item)) => Ok(plain(Some(&**item))),
            Some(FieldType::Ref(id)) => {
                let ty = self.table.get(*id);
                let fields = match &ty.shape {
                    Shape::Struct(fields) => fields,
                    Shape::JsonSchemaOrBool(id) | Shape::JsonSchemaOrArray(id) | Shape::JsonSchemaOrStringArray(id) => {
                        match &self.table.get(*id).shape {
                            Shape::Struct(fields) => fields,
                            _ => return Ok(plain(None)),
                        }
                    }
                    _ => return Ok(plain(None)),
                };
                let field = fields.field(name).ok_or_else(|| {
                    let owner = ty.name.rsplit('.').next().unwrap_or_default();
                    unfit(format!("unable to find api field in struct {owner} for the json field {}", quote(name)))
                })?;
                let PatchStrategy { merge, replace, merge_key, .. } = &field.patch;
                Ok(FieldRule {
                    ty: Some(&field.ty),
                    merges: *merge,
                    replaces: *replace,
                    merge_key: merge_key.as_deref().unwrap_or_default(),
                })
            }
            _ => Ok(plain(None)),
        }
    }

    fn item_type<'t>(&self, ty: Option<&'t FieldType>) -> Option<&'t FieldType>
    where
        'a: 't,
    {
        match self.resolve(ty?) {
            FieldType::List(item) => Some(item),
            _ => None,
        }
    }

    fn map(&mut self, mut original: Map, mut patch: Map, ty: Option<&FieldType>) -> Result<Map, PatchError> {
        if let Some(directive) = patch.get(DIRECTIVE) {
            return match directive.as_str() {
                Some("replace") => {
                    patch.remove(DIRECTIVE);
                    Ok(patch)
                }
                Some("delete") => Ok(Map::new()),
                _ => Err(bad_directive(directive, &patch)),
            };
        }
        self.work.spend(original.len() + patch.len())?;
        if let Some(keys) = patch.remove(RETAIN_KEYS) {
            retain_keys(&mut original, &patch, &keys)?;
        }
        let mut changes: BTreeMap<Str, Change> = BTreeMap::new();
        for (key, value) in patch.into_entries() {
            if let Some(rest) = key.strip_prefix(SET_ORDER) {
                let Value::Array(order) = value else { return Err(bad_type(GO_LIST, &value)) };
                let name = rest.strip_prefix('/').ok_or_else(bad_order)?;
                changes.entry(name.into()).or_default().order = Some(order);
            } else if let Some(rest) = key.strip_prefix(DELETE_FROM_LIST) {
                let name = rest.strip_prefix('/').ok_or_else(|| invalid("invalid patch format of primitive list"))?;
                changes.entry(name.into()).or_default().deleted = Some(value);
            } else {
                changes.entry(key).or_default().value = Some(value);
            }
        }
        original.edit(changes.into_iter(), |key, old, change| self.entry(key, old, change, ty))
    }

    /// What becomes of one entry, `None` for nothing.
    fn entry(
        &mut self,
        key: &str,
        old: Option<Value>,
        change: Change,
        ty: Option<&FieldType>,
    ) -> Result<Option<Value>, PatchError> {
        let Change { order, deleted, mut value } = change;
        let mut current = old;
        if let Some(order) = order
            && let Some(ordered) = self.ordered_list(key, current.as_ref(), value.as_ref(), &order, ty)?
        {
            (current, value) = (Some(ordered), None);
        }
        if let Some(deleted) = deleted {
            current = self.changed(key, current, deleted, true, ty)?;
        }
        match value {
            Some(value) => self.changed(key, current, value, false, ty),
            None => Ok(current),
        }
    }

    fn changed(
        &mut self,
        key: &str,
        old: Option<Value>,
        mut change: Value,
        deletes: bool,
        ty: Option<&FieldType>,
    ) -> Result<Option<Value>, PatchError> {
        if change.is_null() {
            return Ok(None);
        }
        let is_same_type = old.as_ref().is_some_and(|old| go_type(old) == go_type(&change));
        let Some(old) = old.filter(|_| is_same_type || deletes) else {
            if deletes {
                return Ok(None);
            }
            without_nulls(&mut change);
            return Ok(without_directives(change));
        };
        if !is_same_type {
            return Ok(Some(old));
        }
        Ok(Some(match (old, change) {
            (Value::Object(old), Value::Object(change)) => {
                let rule = self.rule(ty, key)?;
                Value::Object(if rule.replaces { change } else { self.map(old, change, rule.ty)? })
            }
            (Value::Array(old), Value::Array(change)) => {
                let rule = self.rule(ty, key)?;
                self.list_by_rule(&old, &change, &rule, deletes)?.into()
            }
            (_, change) => change,
        }))
    }

    fn list_by_rule(
        &mut self,
        original: &[Value],
        patch: &[Value],
        rule: &FieldRule<'_>,
        deletes: bool,
    ) -> Result<Vec<Value>, PatchError> {
        // What is taken out of a list is taken out whatever else the list does with patches.
        if !rule.merges && !deletes {
            return Ok(patch.to_vec());
        }
        self.list(original.to_vec(), patch, self.item_type(rule.ty), rule.merge_key, deletes)
    }

    /// Merges lists under their `$setElementOrder`; `None` if there is neither list.
    fn ordered_list(
        &mut self,
        name: &str,
        old: Option<&Value>,
        change: Option<&Value>,
        order: &[Value],
        ty: Option<&FieldType>,
    ) -> Result<Option<Value>, PatchError> {
        fn list_of(value: Option<&Value>) -> Result<Option<&[Value]>, PatchError> {
            match value {
                None => Ok(None),
                Some(Value::Array(items)) => Ok(Some(items)),
                Some(other) => Err(bad_type(GO_LIST, other)),
            }
        }
        let (old, change) = (list_of(old)?, list_of(change)?);
        self.work.spend(order.len())?;
        let rule = self.rule(ty, name)?;
        check_order(change.unwrap_or_default(), order, rule.merge_key)?;
        let merged = match (old, change) {
            (None, None) => return Ok(None),
            (Some(old), None) => old.to_vec(),
            (None, Some(added)) => added.iter().cloned().filter_map(without_directives).collect(),
            (Some(old), Some(change)) => self.list_by_rule(old, change, &rule, false)?,
        };
        let old = old.unwrap_or_default();
        if old.is_empty() && change.is_none_or(<[Value]>::is_empty) {
            return Err(unfit("no elements in any of the given slices"));
        }
        Ok(Some(arrange(merged, order, old, rule.merge_key)?.into()))
    }

    /// Merges two lists whose items are objects with a merge key, or are their own keys.
    fn list(
        &mut self,
        original: Vec<Value>,
        patch: &[Value],
        item: Option<&FieldType>,
        key: &str,
        deletes: bool,
    ) -> Result<Vec<Value>, PatchError> {
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
        self.work.spend(original.len() + patch.len())?;
        let mut all = original.iter().chain(patch);
        let first = all.next().map(go_type).unwrap_or_default();
        if first == GO_LIST {
            return Err(unfit("lists of lists are not supported"));
        }
        if all.any(|item| go_type(item) != first) {
            let shown = [Value::array(original.iter().cloned()), Value::array(patch.iter().cloned())];
            let shown = go_text(&Value::array(shown));
            return Err(unfit(format!("list element types are not identical: {shown}")));
        }
        if first != GO_MAP {
            if deletes {
                let deleted: BTreeSet<_> = patch.iter().map(Ordered).collect();
                return Ok(original.into_iter().filter(|item| !deleted.contains(&Ordered(item))).collect());
            }
            let mut seen = BTreeSet::new();
            let all = original.iter().chain(patch);
            let distinct = all.filter(|item| seen.insert(Ordered(*item))).cloned().collect();
            return arrange(distinct, patch, &original, key);
        }
        if key.is_empty() {
            return Err(unfit("cannot merge lists without merge key for struct"));
        }
        let (original, patch) = special_items(original, patch, key)?;
        let mut merged = original.clone();
        // Where the items are that have a key; of those with the same key the first is merged with.
        let mut places: BTreeSet<(Ordered<Value>, usize)> = BTreeSet::new();
        let place = |item: &Value, at| item.get(key).map(|id| (Ordered(id.clone()), at));
        places.extend(merged.iter().enumerate().filter_map(|(at, item)| place(item, at)));
        for change in &patch {
            let id = Ordered(change.get(key).cloned().ok_or_else(|| no_merge_key(change, key))?);
            let first = places.range((id.clone(), 0)..).next().filter(|(found, _)| *found == id).map(|(_, at)| *at);
            if let Some(at) = first {
                let old = std::mem::take(merged[at].as_object_mut().expect("only objects have keys"));
                let change = change.as_object().cloned().unwrap_or_default();
                merged[at] = Value::Object(self.map(old, change, item)?);
                // A key that is null goes, one that is an object is merged itself.
                if merged[at].get(key) != Some(&id.0) {
                    places.remove(&(id, at));
                    places.extend(place(&merged[at], at));
                }
            } else {
                places.insert((id, merged.len()));
                merged.push(change.clone());
            }
        }
        arrange(merged, &patch, &original, key)
    }
}

fn bad_directive(directive: &Value, map: &Map) -> PatchError {
    let (directive, map) = (go_text(directive), go_text(&Value::Object(map.clone())));
    unfit(format!("unknown patch type: {directive} in map: {map}"))
}

/// Clears what the list of keys does not have; it must have all that the patch sets.
fn retain_keys(original: &mut Map, patch: &Map, keys: &Value) -> Result<(), PatchError> {
    let wrong = || invalid("invalid patch format of retainKeys");
    let keys: BTreeSet<&str> = keys.as_array().ok_or_else(wrong)?.iter().filter_map(Value::as_str).collect();
    let keeps = |name: &str| keys.contains(name);
    let is_directive = |name: &str| name.starts_with(DELETE_FROM_LIST) || name.starts_with(SET_ORDER);
    if !patch.iter().all(|(name, value)| value.is_null() || is_directive(name) || keeps(name)) {
        return Err(wrong());
    }
    original.retain(|name, _| keeps(name));
    Ok(())
}

/// Carries out the `$patch` items of a list and returns the lists that are left to merge.
fn special_items(mut original: Vec<Value>, patch: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut deleted = BTreeSet::new();
    let mut replaces = false;
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE) else {
            plain.push(item.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(Ordered(item.get(key).ok_or_else(|| no_merge_key(item, key))?));
            }
            Some("replace") => replaces = true,
            Some("merge") => return Err(unfit("merging lists cannot yet be specified in the patch")),
            _ => return Err(bad_directive(directive, item.as_object().unwrap_or(&Map::new()))),
        }
    }
    original.retain(|item| item.get(key).is_none_or(|id| !deleted.contains(&Ordered(id))));
    Ok(if replaces { (plain, Vec::new()) } else { (original, plain) })
}

/// Where the items of a list are: by their merge keys, or by themselves.
struct Places<'v> {
    first: BTreeMap<Ordered<&'v Value>, usize>,
    /// The first item that is no object, so cannot have a key.
    keyless: Option<usize>,
    key: &'v str,
}

impl<'v> Places<'v> {
    fn of(list: &'v [Value], key: &'v str) -> Self {
        let mut places = Self { first: BTreeMap::new(), keyless: None, key };
        for (at, item) in list.iter().enumerate() {
            if let Some(id) = places.id(item) {
                places.first.entry(Ordered(id)).or_insert(at);
            }
        }
        if !key.is_empty() {
            places.keyless = list.iter().position(|item| item.as_object().is_none());
        }
        places
    }

    fn id<'i>(&self, item: &'i Value) -> Option<&'i Value> {
        if self.key.is_empty() { Some(item) } else { item.get(self.key) }
    }

    fn get(&self, item: &Value) -> Option<usize> {
        self.first.get(&Ordered(self.id(item)?)).copied()
    }

    /// As `get`, but whatever is looked through must be an object.
    fn get_among_objects(&self, item: &Value) -> Result<Option<usize>, PatchError> {
        let found = self.get(item);
        match self.keyless {
            Some(at) if found.is_none_or(|found| at < found) => Err(unfit(format!("value for key {at} is not a map."))),
            _ => Ok(found),
        }
    }
}

/// Puts what `patch_order` names into its order, and everything else between it as `live_order` has it, best effort.
fn arrange(
    items: Vec<Value>,
    patch_order: &[Value],
    live_order: &[Value],
    key: &str,
) -> Result<Vec<Value>, PatchError> {
    let (patch_places, live_places) = (Places::of(patch_order, key), Places::of(live_order, key));
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in items {
        if !key.is_empty() {
            match &item {
                Value::Object(map) if map.contains_key(key) => {}
                Value::Object(_) => return Err(no_merge_key(&item, key)),
                other => return Err(bad_type(GO_MAP, other)),
            }
        }
        match patch_places.get_among_objects(&item)? {
            Some(at) => named.push((at, item)),
            None => others.push((live_places.get(&item).unwrap_or(usize::MAX), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| *at);
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        let live = live_places.get(&item);
        while let (Some(live), Some((at, _))) = (live, others.peek())
            && *at < live
        {
            arranged.extend(others.next().map(|(_, item)| item));
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(_, item)| item));
    Ok(arranged)
}

/// Whether the patch's items stand in the order that its directive says.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut order_left = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let id = |item: &'_ Value| -> Result<Value, PatchError> {
            match item {
                item if key.is_empty() => Ok(item.clone()),
                Value::Object(map) => map.get(key).cloned().ok_or_else(|| no_merge_key(item, key)),
                other => Err(bad_type(GO_MAP, other)),
            }
        };
        let wanted = id(item)?;
        loop {
            let Some(next) = order_left.next() else {
                let (patch, order) =
                    (go_text(&Value::array(patch.iter().cloned())), go_text(&Value::array(order.iter().cloned())));
                return Err(unfit(format!(
                    "The order in patch list:\n{patch}\n doesn't match {SET_ORDER} list:\n{order}\n"
                )));
            };
            if id(next)? == wanted {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
