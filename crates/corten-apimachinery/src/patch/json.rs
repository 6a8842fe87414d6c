//! JSON patch (RFC 6902).
//!
//! Upstream: github.com/evanphx/json-patch v4 and the limits of k8s.io/apiserver/pkg/endpoints/handlers/patch.go (v1.35).

use super::{
    PatchError,
    work::{Work, nodes},
};
use crate::{codec::json, field::quote, value::Value};

/// The most operations of one patch. Upstream: `maxJSONPatchOperations`.
const OPERATIONS_MAX: usize = 10_000;

/// The most bytes of JSON that `copy` operations of one patch may add. Upstream: `JSONPatchMaxCopyBytes`.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// The most work of one patch: nodes that are looked at and entries that are moved to make room. A few operations on a large
/// object, or many on a small one, are far below it; both together would keep a processor busy for many seconds.
const WORK_MAX: usize = 4_000_000;

/// What a patch that costs more is told.
const TOO_MUCH_WORK: &str = "The operations of the JSON patch cost too much on an object of this size";

/// The deepest nesting that operations may build: what a body may have. Whatever walks a tree does so recursively.
const DEPTH_MAX: usize = json::DEPTH_MAX;

/// The object after the operations of `patch`.
///
/// Errors: an operation is none, leads nowhere or is a test that fails; or they cost too much on this object, or nest it
/// too deep.
pub fn apply(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = patch.as_array().ok_or_else(|| {
        PatchError::Invalid(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch".to_owned(),
        )
    })?;
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut result = object.clone();
    // Paths lead into everything.
    result.expand_raw();
    let mut work = Work::new(WORK_MAX, TOO_MUCH_WORK);
    let mut copied = 0;
    let go_kind = |operation: &Value| match operation {
        Value::Object(_) | Value::Raw(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("bool"),
        Value::Int(_) | Value::Float(_) => Some("number"),
    };
    if let Some(kind) = operations.iter().find_map(go_kind) {
        return Err(PatchError::Invalid(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation"
        )));
    }
    for operation in operations {
        step(&mut result, operation, &mut work, &mut copied)?;
    }
    Ok(result)
}

fn step(object: &mut Value, operation: &Value, work: &mut Work, copied: &mut usize) -> Result<(), PatchError> {
    let kind = operation.str_at(&["op"]).unwrap_or_default();
    // One without a value says null.
    let value = || operation.get("value").cloned().unwrap_or_default();
    match kind {
        "add" => add(object, &Pointer::of(operation, "path", kind)?, value(), kind, work),
        "remove" => remove(object, &Pointer::of(operation, "path", kind)?, kind, work).map(drop),
        "replace" => {
            let path = Pointer::of(operation, "path", kind)?;
            let value = value();
            refuse_depth(&path, &value, work)?;
            if path.is_whole {
                if !matches!(value, Value::Object(_) | Value::Array(_)) {
                    return Err(unfit("replace operation value must be object or array"));
                }
                *object = value;
                return Ok(());
            }
            let missing = || unfit(format!("replace operation does not apply: doc is missing key: {}", path.text));
            match path.parent_mut(object).ok_or_else(missing)? {
                // Upstream's library asks lists alone whether there is something to replace.
                Value::Object(map) => {
                    work.shift(map.len())?;
                    map.insert(path.key.as_str(), value);
                }
                Value::Array(items) => {
                    let at = index(&path.key, items.len()).ok_or_else(missing)?;
                    items.make_mut()[at] = value;
                }
                _ => return Err(missing()),
            }
            Ok(())
        }
        "move" => {
            let value = remove(object, &Pointer::of(operation, "from", kind)?, kind, work)?;
            add(object, &Pointer::of(operation, "path", kind)?, value, kind, work)
        }
        "copy" => {
            let from = Pointer::of(operation, "from", kind)?;
            let found = from.find(object).ok_or_else(|| {
                unfit(format!("copy operation does not apply: doc is missing from path: {}: missing value", from.text))
            })?;
            if let Some(value) = found {
                work.spend(nodes(value))?;
                // Copies share their texts here, but what reads or stores the object does not: each doubles it.
                *copied += json::encode(value, None).len();
            }
            let value = found.cloned().unwrap_or_default();
            if *copied > COPIED_BYTES_MAX {
                return Err(unfit(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit \
                     {COPIED_BYTES_MAX}"
                )));
            }
            add(object, &Pointer::of(operation, "path", kind)?, value, kind, work)
        }
        "test" => {
            let path = Pointer::of(operation, "path", kind)?;
            let failed = || unfit(format!("testing value {} failed: test failed", path.text));
            let wanted = operation.get("value");
            let is_met = if path.is_whole {
                wanted == Some(object)
            } else {
                // Where there is nothing, there is null, but not where the way there is missing.
                let actual = path.find(object).ok_or_else(failed)?;
                match actual.filter(|actual| !actual.is_null()) {
                    None => wanted.is_none_or(Value::is_null),
                    actual => actual == wanted,
                }
            };
            if is_met { Ok(()) } else { Err(failed()) }
        }
        other => Err(unfit(format!("Unexpected kind: {other}"))),
    }
}

fn unfit(why: impl Into<String>) -> PatchError {
    PatchError::Inapplicable(why.into())
}

/// Where an operation leads: the decoded segments of a JSON pointer. As in upstream's library, what stands before the first
/// slash says nothing, and a pointer without any leads nowhere.
#[derive(Debug)]
struct Pointer {
    /// The pointer as it was written.
    text: String,
    parents: Vec<String>,
    key: String,
    /// Whether it is empty, and so the pointer of the whole object, which `replace` and `test` alone can have.
    is_whole: bool,
    /// Whether it leads somewhere within an object.
    leads: bool,
}

impl Pointer {
    fn of(operation: &Value, field: &str, kind: &str) -> Result<Self, PatchError> {
        let text = operation.str_at(&[field]);
        let text = text.ok_or_else(|| unfit(format!("{kind} operation failed to decode {field}: missing value")))?;
        let mut segments = text.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        segments.next();
        let mut parents: Vec<String> = segments.collect();
        let key = parents.pop();
        Ok(Self {
            text: text.to_owned(),
            is_whole: text.is_empty(),
            leads: key.is_some(),
            key: key.unwrap_or_default(),
            parents,
        })
    }

    fn depth(&self) -> usize {
        self.parents.len() + usize::from(self.leads)
    }

    fn parent<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        let parents = self.leads.then_some(&self.parents)?;
        parents.iter().try_fold(object, |node, segment| match node {
            Value::Object(map) => map.get(segment),
            Value::Array(items) => items.get(index(segment, items.len())?),
            _ => None,
        })
    }

    fn parent_mut<'a>(&self, object: &'a mut Value) -> Option<&'a mut Value> {
        let parents = self.leads.then_some(&self.parents)?;
        parents.iter().try_fold(object, |node, segment| match node {
            Value::Object(map) => map.get_mut(segment),
            Value::Array(items) => {
                let at = index(segment, items.len())?;
                items.make_mut().get_mut(at)
            }
            _ => None,
        })
    }

    /// What stands there; `Some(None)` where there is nothing, but an object in which it could be.
    #[expect(clippy::option_option, reason = "no way there and nothing there are different")]
    fn find<'a>(&self, object: &'a Value) -> Option<Option<&'a Value>> {
        match self.parent(object)? {
            Value::Object(map) => Some(map.get(&self.key)),
            Value::Array(items) => items.get(index(&self.key, items.len())?).map(Some),
            _ => None,
        }
    }
}

/// An index into `length` items, counted from the end if it is negative, written as Go's `strconv.Atoi` reads it: `01`, `+1`
/// and `-0` are numbers, too.
fn index(segment: &str, length: usize) -> Option<usize> {
    let number: i64 = segment.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let at = if number < 0 { number.checked_add(length)? } else { number };
    usize::try_from(at).ok().filter(|_| at < length)
}

fn add(object: &mut Value, path: &Pointer, value: Value, kind: &str, work: &mut Work) -> Result<(), PatchError> {
    refuse_depth(path, &value, work)?;
    let missing =
        || unfit(format!("{kind} operation does not apply: doc is missing path: {}: missing value", quote(&path.text)));
    match path.parent_mut(object).ok_or_else(missing)? {
        Value::Object(map) => {
            // Its entries are sorted: about half of them have to make room.
            work.shift(map.len())?;
            map.insert(path.key.as_str(), value);
            Ok(())
        }
        Value::Array(items) => {
            let items = items.make_mut();
            let at = if path.key == "-" { Some(items.len()) } else { index(&path.key, items.len() + 1) };
            let at = at.ok_or_else(|| {
                unfit(format!(
                    "{kind} operation does not apply: Unable to access invalid index: {}: invalid index referenced",
                    path.key
                ))
            })?;
            work.shift(items.len() - at)?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing()),
    }
}

/// Each operation is shallow enough by itself, but one can put its value below what the last one added.
fn refuse_depth(path: &Pointer, value: &Value, work: &mut Work) -> Result<(), PatchError> {
    if path.depth() + depth(value, work)? > DEPTH_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum depth of an object in a JSON patch is {DEPTH_MAX}"
        )));
    }
    Ok(())
}

fn depth(value: &Value, work: &mut Work) -> Result<usize, PatchError> {
    work.spend(1)?;
    let mut deepest = 0;
    match value {
        Value::Array(items) => {
            for item in items.iter() {
                deepest = deepest.max(1 + depth(item, work)?);
            }
            Ok(deepest.max(1))
        }
        Value::Object(map) => {
            for (_, value) in map.iter() {
                deepest = deepest.max(1 + depth(value, work)?);
            }
            Ok(deepest.max(1))
        }
        _ => Ok(0),
    }
}

fn remove(object: &mut Value, path: &Pointer, kind: &str, work: &mut Work) -> Result<Value, PatchError> {
    let missing = || {
        unfit(format!("{kind} operation does not apply: Unable to remove nonexistent key: {}: missing value", path.key))
    };
    match path.parent_mut(object).ok_or_else(missing)? {
        Value::Object(map) => {
            work.shift(map.len())?;
            map.remove(path.key.as_str()).ok_or_else(missing)
        }
        Value::Array(items) => {
            let items = items.make_mut();
            let at = index(&path.key, items.len()).ok_or_else(missing)?;
            work.shift(items.len() - at)?;
            Ok(items.remove(at))
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests;
