//! What a write does to `metadata.managedFields`.
//!
//! An update takes over what it changes and gives up what it removes. An apply owns exactly what its configuration says,
//! may not change what others own unless it is forced, and removes what it owned before and no longer says.
//! Upstream: managedfields/internal (the chain of managers) and structured-merge-diff/merge/update.go.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, btree_map},
    fmt,
    sync::LazyLock,
};

use jiff::Timestamp;

use super::{
    conflict::{ApplyError, Conflicts},
    created::{self, Nobodys},
    entries::{Entries, Entry, Manager},
    fields_v1::FieldSet,
    typed::{Comparison, Typed},
};
use crate::{
    codec::{self, FieldValidation, json},
    gvk::GroupVersion,
    meta::{ObjectMeta as _, format_time},
    stack,
    type_table::{TypeId, TypeTable},
    value::{Map, Ordered, Str, Value},
};

/// The annotation in which client-side apply keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The longest that all annotations of an object may be together; a longer last-applied configuration is left out.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Owns what an object had when it was applied to first and nothing was known of its owners.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The manager whose applies take over from client-side apply.
const KUBECTL: &str = "kubectl";

/// Fields that the server owns and nobody is recorded for.
const SYSTEM_FIELDS: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// The same as a set.
static SYSTEM_SET: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_names(SYSTEM_FIELDS));

/// The versions in which an object can be seen.
pub trait Views: fmt::Debug + Sync {
    /// The type of objects in this version, and its table; `None` if it is not one of the kind's, or no longer.
    fn typed(&self, api_version: &str) -> Option<(&TypeTable, TypeId)>;

    /// The object, whose version is in its `apiVersion`, in another version that has a type.
    fn convert(&self, object: &Value, api_version: &str) -> Option<Value>;
}

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// The versions of the kind.
    pub views: &'a dyn Views,
    /// The version that the client speaks.
    pub api_version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// Who writes.
    pub manager: &'a str,
    /// Through which subresource; empty for the object itself.
    pub subresource: &'a str,
    /// When.
    pub now: Timestamp,
    /// Fields that this endpoint does not let clients set.
    pub reset_fields: &'a [&'a [&'a str]],
    /// Where this endpoint lets clients set few fields: those, with all below them, `*` being any element of a path. Empty
    /// where `reset_fields` says it all.
    pub owned_fields: &'a [&'a [&'a str]],
}

/// What an apply led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The object with its new managed fields, in the version of the configuration; neither canonical nor defaulted.
    pub object: Value,
}

/// Records in `new` what an update, patch or create did. Both objects may be of any version of the kind.
///
/// `live` is the object before; `None` for a create. A client may hand in managed fields of its own through the main
/// endpoint; those that make no sense are replaced by the live ones, and `[{}]` clears them all. An object that has none
/// gets none before it is applied to. Whoever reaches a version that nobody serves any more loses its entry.
pub fn update_managed_fields(write: &Write<'_>, live: Option<&Value>, new: &mut Value) {
    let live_list = live.map(|live| live.items_at(&["metadata", "managedFields"])).unwrap_or_default();
    let given = new.unset(&["metadata", "managedFields"]).unwrap_or_default();
    let base = match given.as_array().unwrap_or_default() {
        given if !write.subresource.is_empty() || given.is_empty() || given == live_list => Base::Live,
        [only] if only.as_object().is_some_and(Map::is_empty) => Base::Cleared,
        given => match Entries::decode(given) {
            Ok(mut entries) if !entries.by_manager.is_empty() => {
                entries.write_anew();
                Base::Given(entries)
            }
            _ => Base::Live,
        },
    };
    let is_known = match &base {
        Base::Live => !live_list.is_empty(),
        Base::Cleared => false,
        Base::Given(_) => true,
    };
    if live.is_some() && !is_known {
        return;
    }
    if live.is_none()
        && matches!(base, Base::Live)
        && write.owned_fields.is_empty()
        && let Some(list) = write.list_of_new(new)
    {
        if !list.is_null() {
            new.set_meta("managedFields", list);
        }
        return;
    }
    let live_object = live.map_or_else(|| write.empty(), without_managed_fields);
    let Some(difference) = write.compare(&live_object, new, write.api_version) else {
        // The version that the client spoke a moment ago: nothing can be said about owners, so they stay.
        restore(new, live);
        return;
    };
    let is_live = matches!(base, Base::Live);
    let mut entries = match base {
        Base::Live => Entries::decode(live_list).unwrap_or_default(),
        Base::Cleared => Entries::default(),
        Base::Given(entries) => entries,
    };
    let is_settled_anew = write.settle(&mut entries);
    if difference.is_empty() && is_live && !is_settled_anew {
        restore(new, live);
        return;
    }
    write.record_update(&live_object, new, difference, &mut entries);
    let list = entries.encode();
    if !list.is_null() {
        new.set_meta("managedFields", list);
    }
}

/// Where the entries come from that an update starts with.
enum Base {
    Live,
    Cleared,
    Given(Entries),
}

fn restore(new: &mut Value, live: Option<&Value>) {
    if let Some(list) = live.and_then(|live| live.at(&["metadata", "managedFields"])) {
        new.set_meta("managedFields", list.clone());
    }
}

fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    object.unset_meta("managedFields");
    object
}

/// Takes the managed fields of `old` into `new` if the objects are otherwise the same and the entries differ in times only.
///
/// So a write that changes nothing is none.
pub fn keep_times(new: &mut Value, old: &Value) {
    let list = |object: &Value| object.at(&["metadata", "managedFields"]).cloned();
    let (Some(Value::Array(new_list)), Some(Value::Array(old_list))) = (list(new), list(old)) else { return };
    if new_list == old_list || new_list.len() != old_list.len() {
        return;
    }
    let timeless = |entry: &Value| {
        let mut entry = entry.clone();
        entry.unset(&["time"]);
        entry
    };
    // Times also decide the order.
    let before: BTreeSet<_> = old_list.iter().map(|old| Ordered(timeless(old))).collect();
    if !new_list.iter().all(|new| before.contains(&Ordered(timeless(new)))) {
        return;
    }
    // Upstream compares with nil different from empty here (fieldmanager/equality.go), for kinds of all sorts.
    if without_managed_fields(new) == without_managed_fields(old) {
        new.set_meta("managedFields", Value::Array(old_list));
    }
}

/// Applies a configuration.
///
/// `live` is `None` if there is no object yet. `config` is of the version `write.api_version`; what it does not say stays
/// as it is, except that what this manager said last time and nobody else has applied is removed.
///
/// Errors: see [`ApplyError`]; `force` takes fields over instead of reporting conflicts.
pub fn apply(write: &Write<'_>, live: Option<&Value>, config: &Value, force: bool) -> Result<Applied, ApplyError> {
    if config.api_version() != write.api_version || config.kind() != write.kind {
        return Err(ApplyError::BadRequest(format!("invalid object type: {}", kind_text(config))));
    }
    if config.at(&["metadata", "managedFields"]).is_some_and(|list| !list.is_null()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let unusable = |why: String| ApplyError::Unusable(why);
    let list = live.map(|live| live.items_at(&["metadata", "managedFields"])).unwrap_or_default();
    let mut entries =
        Entries::decode(list).map_err(|error| unusable(format!("failed to decode managed fields: {error}")))?;
    let live_object = live.map_or_else(|| write.empty(), without_managed_fields);
    if live.is_some() && entries.by_manager.is_empty() {
        let empty = write.empty();
        let before = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        if let Some(difference) = before.compare(&empty, &live_object, write.api_version) {
            before.record_update(&empty, &live_object, difference, &mut entries);
        }
    }
    let typed = write
        .typed(write.api_version)
        .ok_or_else(|| unusable(format!("no corresponding type for {}, Kind={}", write.api_version, write.kind)))?;
    let fits = |what: &str, object: &Value, complaints: &[String]| match complaints {
        [] => Ok(()),
        [only] => Err(unusable(format!("failed to create typed {what} object ({}): {only}", describe(object)))),
        many => {
            let many = many.join("\n  ");
            Err(unusable(format!("failed to create typed {what} object ({}): errors:\n  {many}", describe(object))))
        }
    };
    fits("patch", config, &typed.complaints(config))?;
    let live_view = write.view(&live_object, write.api_version).ok_or_else(|| {
        unusable(format!("failed to convert live object ({}) to proper version", describe(&live_object)))
    })?;
    // What was stored under another schema may not fit this one.
    fits("live", &live_view, &typed.complaints_of_live(&live_view))?;
    write.settle(&mut entries);
    let attempt = |entries: Entries, force| write.apply_to(typed, &live_view, config, entries, force);
    let (mut object, entries) = match attempt(entries.clone(), force) {
        // Fields that client-side apply had set, and still are as it set them, go over without force.
        Err(ApplyError::Conflicts(conflicts)) if write.manager == KUBECTL => {
            let Some(allowed) = write.last_applied_set(typed, &live_view) else {
                return Err(ApplyError::Conflicts(conflicts));
            };
            if let Some(left) = conflicts.without(&allowed) {
                return Err(ApplyError::Conflicts(left));
            }
            attempt(entries, true)?
        }
        done => done?,
    };
    if write.manager == KUBECTL && object.annotation(LAST_APPLIED).is_some_and(|text| !text.is_empty()) {
        sync_last_applied(&mut object, config);
    }
    let list = entries.encode();
    if !list.is_null() {
        object.set_meta("managedFields", list);
    }
    Ok(Applied { object })
}

impl<'a> Write<'a> {
    pub(super) fn typed(&self, api_version: &str) -> Option<Typed<'a>> {
        let (table, type_id) = self.views.typed(api_version)?;
        Some(Typed::new(table, type_id))
    }

    /// An object as it is before anything is set: what a type always writes is nobody's.
    fn empty(&self) -> Value {
        let typed = self.views.typed(self.api_version);
        let mut empty = typed.map_or_else(Value::object, |(table, type_id)| codec::empty(table, type_id));
        empty.set(&["apiVersion"], self.api_version);
        empty.set(&["kind"], self.kind);
        empty
    }

    pub(super) fn view<'v>(&self, object: &'v Value, api_version: &str) -> Option<Cow<'v, Value>> {
        self.views.typed(api_version)?;
        if object.api_version() == api_version {
            return Some(Cow::Borrowed(object));
        }
        self.views.convert(object, api_version).map(Cow::Owned)
    }

    /// How two objects differ, seen in a version, apart from what this endpoint does not let clients set.
    fn compare(&self, old: &Value, new: &Value, api_version: &str) -> Option<Comparison> {
        let typed = self.typed(api_version)?;
        let difference = typed.compare(&*self.view(old, api_version)?, &*self.view(new, api_version)?);
        if difference.is_empty() {
            return Some(difference);
        }
        let difference = match self.reset_fields {
            [] => difference,
            reset => difference.without(&FieldSet::of_names(reset)),
        };
        Some(match self.owned_fields {
            [] => difference,
            patterns => difference.at_or_below(patterns),
        })
    }

    /// What an apply of a configuration with these fields owns through this endpoint.
    fn owned_of(&self, set: &FieldSet) -> FieldSet {
        let set = set.difference_with_children(&FieldSet::of_names(self.reset_fields));
        match self.owned_fields {
            [] => set,
            patterns => set.at_or_below(patterns),
        }
    }

    /// The managed fields of an object that is made, in the version that the client speaks; null for none.
    ///
    /// `None` for an object of another version, which takes the way of all other writes.
    fn list_of_new(&self, new: &Value) -> Option<Value> {
        let typed = self.typed(self.api_version).filter(|_| new.api_version() == self.api_version)?;
        let nobodys = Nobodys { alone: SYSTEM_FIELDS, entirely: self.reset_fields };
        let fields = created::fields_of(typed, &self.empty(), new, nobodys)?;
        if fields.is_null() {
            return Some(Value::Null);
        }
        let manager = Manager::update(self.manager, self.api_version, self.subresource);
        Some(Value::array([manager.entry(self.api_version.into(), self.time(), fields)]))
    }

    fn time(&self) -> Option<Str> {
        Some(format_time(self.now))
    }

    /// What of `entries` the change from `old` to `new` takes from managers other than `except`.
    fn taken(
        &self,
        old: &Value,
        new: &Value,
        difference: &Comparison,
        entries: &mut Entries,
        except: Option<&Manager>,
    ) -> Taken {
        let mut taken = Taken::default();
        let mut by_version: BTreeMap<Str, Option<Comparison>> = BTreeMap::new();
        entries.by_manager.retain(|manager, entry| {
            if Some(manager) == except {
                return true;
            }
            let difference = if entry.api_version == self.api_version {
                Some(difference)
            } else {
                match by_version.entry(entry.api_version.clone()) {
                    btree_map::Entry::Occupied(known) => known.into_mut(),
                    btree_map::Entry::Vacant(unknown) => unknown.insert(self.compare(old, new, &entry.api_version)),
                }
                .as_ref()
            };
            let Some(difference) = difference else { return false };
            // Only what the entry has of it: there can be very many entries.
            let of = |difference: &FieldSet| entry.set.intersection(difference);
            for (set, taken) in [
                (of(&difference.modified).union(&of(&difference.added)), &mut taken.changed),
                (of(&difference.removed), &mut taken.removed),
            ] {
                if !set.is_empty() {
                    taken.insert(manager.clone(), set);
                }
            }
            true
        });
        taken
    }

    fn record_update(&self, old: &Value, new: &Value, difference: Comparison, entries: &mut Entries) {
        self.taken(old, new, &difference, entries, None).take_from(entries);
        let mut own = if difference.modified.is_empty() {
            difference.added
        } else {
            difference.modified.union(&difference.added)
        };
        own.subtract(&SYSTEM_SET);
        if !own.is_empty() {
            let manager = Manager::update(self.manager, self.api_version, self.subresource);
            let own = match entries.by_manager.remove(&manager) {
                Some(before) => own.union(&before.set),
                None => own,
            };
            entries.by_manager.insert(manager, Entry::new(self.api_version, self.time(), own));
        }
        entries.cap();
    }

    /// Merges, removes what is no longer applied, and settles who owns what.
    fn apply_to(
        &self,
        typed: Typed<'_>,
        live: &Value,
        config: &Value,
        mut entries: Entries,
        force: bool,
    ) -> Result<(Value, Entries), ApplyError> {
        let manager = Manager::applier(self.manager, self.subresource);
        let merged = typed.merge(live, config);
        let last = entries.by_manager.remove(&manager);
        let set = self.owned_of(&typed.field_set(config));
        entries.by_manager.insert(manager.clone(), Entry::new(self.api_version, self.time(), set));
        let object = match &last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &entries, last),
            _ => merged,
        };
        let difference = self.compare(live, &object, self.api_version).unwrap_or_default();
        let taken = self.taken(live, &object, &difference, &mut entries, Some(&manager));
        if !force && let Some(conflicts) = Conflicts::of(taken.changed.clone()) {
            return Err(ApplyError::Conflicts(conflicts));
        }
        taken.take_from(&mut entries);
        if let Some(entry) = entries.by_manager.get_mut(&manager) {
            entry.replace(entry.set.difference(&SYSTEM_SET));
            let unchanged = last.filter(|last| last.set == entry.set && last.api_version == entry.api_version);
            if let Some(last) = unchanged
                && difference.is_empty()
            {
                *entry = last;
            }
        }
        entries.drop_empty();
        Ok((object, entries))
    }

    /// Removes what the manager applied last, does not apply now, and no other manager has.
    fn prune(&self, merged: Value, entries: &Entries, last: &Entry) -> Value {
        let Some(typed) = self.typed(&last.api_version) else { return merged };
        let Some(seen) = self.view(&merged, &last.api_version).map(Cow::into_owned) else { return merged };
        let last_named = typed.with_named_fields(&last.set);
        let pruned = typed.remove(&seen, &last_named);
        let pruned = self.add_back_owned(&seen, pruned, entries, &last.api_version);
        let Some(pruned) = self.view(&pruned, &last.api_version) else { return merged };
        // Only what the manager had owned itself may go: not what others updated below it.
        let gone = typed
            .with_named_fields(&typed.field_set(&seen))
            .difference(&typed.with_named_fields(&typed.field_set(&pruned)))
            .intersection(&last_named);
        if gone.is_empty() {
            return merged;
        }
        let result = typed.remove(&seen, &gone);
        match self.view(&result, self.api_version) {
            Some(result) => result.into_owned(),
            None => merged,
        }
    }

    /// Puts back what any manager owns, also one that has written without applying, and what this one applies now.
    fn add_back_owned(&self, merged: &Value, pruned: Value, entries: &Entries, api_version: &str) -> Value {
        let mut by_version: BTreeMap<&str, Vec<FieldSet>> = BTreeMap::new();
        for entry in entries.by_manager.values() {
            by_version.entry(entry.api_version.as_str()).or_default().push(entry.set.clone());
        }
        let mut current = pruned;
        // In its own version first: what was removed may be needed for a conversion to another.
        let own = by_version.remove_entry(api_version);
        for (version, managed) in own.into_iter().chain(by_version) {
            let managed = FieldSet::union_of(managed);
            let Some(typed) = self.typed(version) else { continue };
            let (Some(merged), Some(pruned)) = (self.view(merged, version), self.view(&current, version)) else {
                continue;
            };
            let kept = typed.with_named_fields(&typed.field_set(&pruned)).union(&typed.with_named_fields(&managed));
            let gone = typed.with_named_fields(&typed.field_set(&merged)).difference(&kept);
            let next = typed.remove(&merged, &gone);
            current = next;
        }
        match self.view(&current, api_version) {
            Some(current) => current.into_owned(),
            None => current,
        }
    }

    /// What client-side apply set and nobody has changed since; `None` if it was not used, or in another version.
    fn last_applied_set(&self, typed: Typed<'_>, live: &Value) -> Option<FieldSet> {
        let text = live.annotation(LAST_APPLIED).filter(|text| !text.is_empty())?;
        // The object around it may be shallow.
        let is_deep = json::is_deeper_than(text.as_bytes(), stack::SHALLOW);
        stack::deep_if(is_deep, || self.set_of_text(typed, text, live))
    }

    fn set_of_text(&self, typed: Typed<'_>, text: &str, live: &Value) -> Option<FieldSet> {
        let last = json::decode(text.as_bytes(), None, FieldValidation::Ignore).ok()?.value;
        if last.api_version() != self.api_version || !typed.complaints(&last).is_empty() {
            return None;
        }
        let difference = typed.compare(&last, live);
        Some(
            typed
                .field_set(&last)
                .difference(&difference.modified)
                .difference(&difference.added)
                .difference(&difference.removed),
        )
    }
}

/// What a change takes from managers.
#[derive(Debug, Default)]
struct Taken {
    /// What each owns and the change sets to something else.
    changed: BTreeMap<Manager, FieldSet>,
    /// What each owns and the change removes.
    removed: BTreeMap<Manager, FieldSet>,
}

impl Taken {
    fn take_from(self, entries: &mut Entries) {
        for (manager, set) in self.changed.into_iter().chain(self.removed) {
            if let Some(entry) = entries.by_manager.get_mut(&manager) {
                entry.replace(entry.set.difference(&set));
            }
        }
        entries.drop_empty();
    }
}

/// An object in messages: namespace, name and kind.
fn describe(object: &Value) -> String {
    format!("{}/{}; {}", object.namespace(), object.name(), kind_text(object))
}

/// The kind of an object as Go prints it: `apps/v1, Kind=Deployment`, and `/v1, Kind=Pod` for the core group.
fn kind_text(object: &Value) -> String {
    let (group, version) = match GroupVersion::parse(object.api_version()) {
        Some(version) => (version.group, version.version),
        None => (Str::default(), Str::default()),
    };
    format!("{group}/{version}, Kind={}", object.kind())
}

/// Keeps the annotation of client-side apply at what was applied, so that one can go back to it.
fn sync_last_applied(object: &mut Value, config: &Value) {
    let mut config = config.clone();
    if let Some(annotations) = config.at_mut(&["metadata", "annotations"]).and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let mut text = String::from_utf8(json::encode(&config, None).into()).expect("JSON is written as UTF-8");
    // Upstream's encoder ends with a newline.
    text.push('\n');
    object.set(&["metadata", "annotations", LAST_APPLIED], text);
    let length: usize = object
        .annotations()
        .map(|annotations| annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum())
        .unwrap_or_default();
    if length > ANNOTATIONS_BYTES_MAX {
        object.unset(&["metadata", "annotations", LAST_APPLIED]);
    }
}
