//! Strategic merge patch: a merge patch that knows how the lists of built-in types merge, with directives.
//!
//! `$patch` replaces or deletes, `$retainKeys` clears what a union no longer has, `$deleteFromPrimitiveList/x` takes items
//! out of list `x`, `$setElementOrder/x` says in which order its items stand.
//! Upstream: k8s.io/apimachinery/pkg/util/strategicpatch and mergepatch (v1.35): results and messages.

use std::fmt::Write as _;

use super::PatchError;
use crate::{
    field::quote,
    type_table::{FieldType, PatchStrategy, Shape, TypeId, TypeTable},
    value::{Map, Str, Value},
};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// The object after `patch`, merged as the fields of its type say.
///
/// The result still has to be read as an object of the type: unknown fields of the patch are in it.
pub fn apply(object: &Value, patch: &Value, table: &TypeTable, type_id: TypeId) -> Result<Value, PatchError> {
    let Value::Object(changes) = patch else { return Err(invalid("invalid JSON document")) };
    let original = object.as_object().cloned().unwrap_or_default();
    Merge { table }.map(original, changes.clone(), Some(&FieldType::Ref(type_id))).map(Value::Object)
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
        Value::Object(_) => GO_MAP,
    }
}

/// A node as Go's `%v` shows it.
fn go_text(value: &Value) -> String {
    fn write(out: &mut String, value: &Value) {
        match value {
            Value::Null => out.push_str("<nil>"),
            Value::String(text) => out.push_str(text),
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { " " } else { "" });
                    write(out, item);
                }
                out.push(']');
            }
            Value::Object(map) => {
                out.push_str("map[");
                for (index, (key, item)) in map.iter().enumerate() {
                    out.push_str(if index > 0 { " " } else { "" });
                    out.push_str(key);
                    out.push(':');
                    write(out, item);
                }
                out.push(']');
            }
            other => {
                let _ = write!(out, "{other:?}");
            }
        }
    }
    let mut out = String::new();
    write(&mut out, value);
    out
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

/// What the type says of one field.
struct FieldRule<'a> {
    ty: Option<&'a FieldType>,
    merges: bool,
    replaces: bool,
    merge_key: &'a str,
}

struct Merge<'a> {
    table: &'a TypeTable,
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

    fn map(&self, mut original: Map, mut patch: Map, ty: Option<&FieldType>) -> Result<Map, PatchError> {
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
        if let Some(keys) = patch.remove(RETAIN_KEYS) {
            retain_keys(&mut original, &patch, &keys)?;
        }
        self.ordered_lists(&mut original, &mut patch, ty)?;
        for (key, mut change) in patch.into_entries() {
            let (key, deletes) = match key.strip_prefix(DELETE_FROM_LIST) {
                Some(rest) => {
                    let name = rest.strip_prefix('/');
                    (Str::from(name.ok_or_else(|| invalid("invalid patch format of primitive list"))?), true)
                }
                None => (key, false),
            };
            if change.is_null() {
                original.remove(&key);
                continue;
            }
            let Some(slot) = original.get_mut(&key) else {
                if !deletes {
                    without_nulls(&mut change);
                    original.insert(key, change);
                }
                continue;
            };
            match (&mut *slot, change) {
                (Value::Object(old), Value::Object(change)) => {
                    let rule = self.rule(ty, &key)?;
                    let merged = if rule.replaces { change } else { self.map(std::mem::take(old), change, rule.ty)? };
                    *slot = Value::Object(merged);
                }
                (Value::Array(old), Value::Array(change)) => {
                    let rule = self.rule(ty, &key)?;
                    *slot = self.list_by_rule(old, &change, &rule, deletes)?.into();
                }
                (_, change) => *slot = change,
            }
        }
        Ok(original)
    }

    fn list_by_rule(
        &self,
        original: &[Value],
        patch: &[Value],
        rule: &FieldRule<'_>,
        deletes: bool,
    ) -> Result<Vec<Value>, PatchError> {
        if !rule.merges {
            return Ok(patch.to_vec());
        }
        self.list(original.to_vec(), patch, self.item_type(rule.ty), rule.merge_key, deletes)
    }

    /// Merges lists under their `$setElementOrder`; what is done here goes from `patch`.
    fn ordered_lists(&self, original: &mut Map, patch: &mut Map, ty: Option<&FieldType>) -> Result<(), PatchError> {
        let directives: Vec<Str> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).map(Str::from).collect();
        for directive in directives {
            let Some(order) = patch.remove(&directive) else { continue };
            let order = order.as_array().ok_or_else(|| bad_type(GO_LIST, &order))?.to_vec();
            let name = directive[SET_ORDER.len()..].strip_prefix('/').ok_or_else(bad_order)?;
            let list_of = |map: &Map| match map.get(name) {
                None => Ok(None),
                Some(Value::Array(items)) => Ok(Some(items.to_vec())),
                Some(other) => Err(bad_type(GO_LIST, other)),
            };
            let (old, change) = (list_of(original)?, list_of(patch)?);
            let rule = self.rule(ty, name)?;
            check_order(change.as_deref().unwrap_or_default(), &order, rule.merge_key)?;
            let merged = match (&old, &change) {
                (None, None) => continue,
                (Some(old), None) => old.clone(),
                (None, Some(change)) => change.clone(),
                (Some(old), Some(change)) => self.list_by_rule(old, change, &rule, false)?,
            };
            let old = old.unwrap_or_default();
            if old.is_empty() && change.as_ref().is_none_or(Vec::is_empty) {
                return Err(unfit("no elements in any of the given slices"));
            }
            let merged = arrange(merged, &order, &old, rule.merge_key)?;
            original.insert(name, merged);
            patch.remove(name);
        }
        Ok(())
    }

    /// Merges two lists whose items are objects with a merge key, or are their own keys.
    fn list(
        &self,
        original: Vec<Value>,
        patch: &[Value],
        item: Option<&FieldType>,
        key: &str,
        deletes: bool,
    ) -> Result<Vec<Value>, PatchError> {
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
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
                return Ok(original.into_iter().filter(|item| !patch.contains(item)).collect());
            }
            let mut merged = original.clone();
            merged.extend(patch.iter().cloned());
            let mut distinct: Vec<Value> = Vec::with_capacity(merged.len());
            for item in merged {
                if !distinct.contains(&item) {
                    distinct.push(item);
                }
            }
            return arrange(distinct, patch, &original, key);
        }
        if key.is_empty() {
            return Err(unfit("cannot merge lists without merge key for type struct"));
        }
        let (original, patch) = special_items(original, patch, key)?;
        let mut merged = original.clone();
        for change in &patch {
            let id = change.get(key).ok_or_else(|| no_merge_key(change, key))?;
            match find(&merged, key, id)? {
                Some(at) => {
                    let old = std::mem::take(merged[at].as_object_mut().expect("only objects are found"));
                    let change = change.as_object().cloned().unwrap_or_default();
                    merged[at] = Value::Object(self.map(old, change, item)?);
                }
                None => merged.push(change.clone()),
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
    let keys = keys.as_array().ok_or_else(wrong)?;
    let keeps = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
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
    let mut replaces = false;
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE) else {
            plain.push(item.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let id = item.get(key).ok_or_else(|| no_merge_key(item, key))?;
                while let Some(at) = find(&original, key, id)? {
                    original.remove(at);
                }
            }
            Some("replace") => replaces = true,
            Some("merge") => return Err(unfit("merging lists cannot yet be specified in the patch")),
            _ => return Err(bad_directive(directive, item.as_object().unwrap_or(&Map::new()))),
        }
    }
    Ok(if replaces { (plain, Vec::new()) } else { (original, plain) })
}

/// Where the object with this key is.
fn find(items: &[Value], key: &str, id: &Value) -> Result<Option<usize>, PatchError> {
    for (at, item) in items.iter().enumerate() {
        if !matches!(item, Value::Object(_)) {
            return Err(unfit(format!("value for key {at} is not a map.")));
        }
        if item.get(key) == Some(id) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The place of an item in `order`: by its merge key, or by itself.
fn place(order: &[Value], item: &Value, key: &str) -> Option<usize> {
    let id = |item: &Value| if key.is_empty() { Some(item.clone()) } else { item.get(key).cloned() };
    let wanted = id(item)?;
    order.iter().position(|other| id(other).as_ref() == Some(&wanted))
}

/// Puts what `patch_order` names into its order, and everything else between it as `live_order` has it, best effort.
fn arrange(
    items: Vec<Value>,
    patch_order: &[Value],
    live_order: &[Value],
    key: &str,
) -> Result<Vec<Value>, PatchError> {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in items {
        if !key.is_empty() {
            let id = match &item {
                Value::Object(map) => map.get(key).ok_or_else(|| no_merge_key(&item, key))?,
                other => return Err(bad_type(GO_MAP, other)),
            };
            find(patch_order, key, id)?;
        }
        match place(patch_order, &item, key) {
            Some(at) => named.push((at, item)),
            None => others.push((place(live_order, &item, key).unwrap_or(usize::MAX), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| *at);
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        let live = place(live_order, &item, key);
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
