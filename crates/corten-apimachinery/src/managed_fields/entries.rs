//! The entries of `metadata.managedFields`: read, written in upstream's order, kept few.
//!
//! Upstream: managedfields/internal/{managedfields,capmanagers}.go.

use std::collections::BTreeMap;

use super::fields_v1::FieldSet;
use crate::{
    field::quote,
    value::{Str, Value},
};

/// How many entries of updates there are at most. Upstream: `DefaultMaxUpdateManagers`.
const UPDATE_MANAGERS_MAX: usize = 10;

/// Who owns what the oldest updates had owned.
const OLD_UPDATES: &str = "ancient-changes";

/// How a manager came to own its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What tells entries apart. An applier is the same in all versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: Str,
    pub(super) operation: Operation,
    /// Empty for an applier.
    pub(super) api_version: Str,
    pub(super) subresource: Str,
}

/// What a manager owns.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) api_version: Str,
    pub(super) time: Option<Str>,
    pub(super) set: FieldSet,
    /// The entry as it was read, until something about it changes.
    source: Option<Value>,
}

/// All entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    pub(super) by_manager: BTreeMap<Manager, Entry>,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

impl Manager {
    pub(super) fn update(name: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            name: name.into(),
            operation: Operation::Update,
            api_version: api_version.into(),
            subresource: subresource.into(),
        }
    }

    pub(super) fn applier(name: &str, subresource: &str) -> Self {
        Self {
            name: name.into(),
            operation: Operation::Apply,
            api_version: Str::default(),
            subresource: subresource.into(),
        }
    }

    /// The entry of the manager, who owns `fields`.
    pub(super) fn entry(&self, api_version: Str, time: Option<Str>, fields: Value) -> Value {
        let optional = |text: &Str| (!text.is_empty()).then(|| Value::String(text.clone()));
        // In the order of keys.
        let entries = [
            ("apiVersion", Some(Value::String(api_version))),
            ("fieldsType", Some("FieldsV1".into())),
            ("fieldsV1", Some(fields)),
            ("manager", optional(&self.name)),
            ("operation", Some(self.operation.as_str().into())),
            ("subresource", optional(&self.subresource)),
            ("time", time.as_ref().and_then(optional)),
        ];
        Value::object_of(entries.into_iter().filter_map(|(key, value)| Some((Str::const_new(key), value?))))
    }

    /// As messages name it: `"kubectl-edit" using apps/v1`.
    pub(super) fn text(&self) -> String {
        let mut text = quote(&self.name);
        if !self.subresource.is_empty() {
            text.push_str(" with subresource ");
            text.push_str(&quote(&self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(" using ");
            text.push_str(&self.api_version);
        }
        text
    }
}

impl Entry {
    pub(super) fn new(api_version: &str, time: Option<Str>, set: FieldSet) -> Self {
        Self { api_version: api_version.into(), time, set, source: None }
    }

    /// Replaces the set; an entry whose set stays is written as it was read.
    pub(super) fn replace(&mut self, set: FieldSet) {
        self.set = set;
        self.source = None;
    }

    fn to_value(&self, manager: &Manager) -> Value {
        if let Some(source) = &self.source {
            return source.clone();
        }
        manager.entry(self.api_version.clone(), self.time.clone(), self.set.to_value())
    }
}

impl Entries {
    /// Reads the list.
    ///
    /// Errors: the first thing wrong, in upstream's words.
    pub(super) fn decode(list: &[Value]) -> Result<Self, String> {
        let mut entries = Self::default();
        for (at, entry) in list.iter().enumerate() {
            let text = |key: &str| entry.str_at(&[key]).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
                other => return Err(format!("invalid fieldsType {} in managed fields entry {at}", quote(other))),
            }
            let manager = match operation {
                Operation::Apply => Manager::applier(text("manager"), text("subresource")),
                Operation::Update => Manager::update(text("manager"), api_version, text("subresource")),
            };
            let set = FieldSet::from_value(entry.get("fieldsV1").unwrap_or(&Value::Null)).map_err(|error| {
                format!("error decoding versioned set for {}: error decoding set: {error}", manager.text())
            })?;
            let entry = Entry {
                api_version: api_version.into(),
                time: entry.str_at(&["time"]).map(Str::from),
                set,
                source: Some(entry.clone()),
            };
            entries.by_manager.insert(manager, entry);
        }
        Ok(entries)
    }

    /// Writes the list: appliers first, then by time, manager, version and subresource. Null for no entries.
    pub(super) fn encode(&self) -> Value {
        if self.by_manager.is_empty() {
            return Value::Null;
        }
        let mut sorted: Vec<_> = self.by_manager.iter().collect();
        // Times have one form, of which text order is time order; an entry without is older than all.
        sorted.sort_by(|(a_manager, a), (b_manager, b)| {
            let rank = |manager: &Manager| manager.operation;
            (rank(a_manager), &a.time, &a_manager.name, &a.api_version, &a_manager.subresource).cmp(&(
                rank(b_manager),
                &b.time,
                &b_manager.name,
                &b.api_version,
                &b_manager.subresource,
            ))
        });
        Value::array(sorted.into_iter().map(|(manager, entry)| entry.to_value(manager)))
    }

    /// Lets every entry be written from its set: clients write sets in many ways.
    pub(super) fn write_anew(&mut self) {
        self.by_manager.values_mut().for_each(|entry| entry.source = None);
    }

    /// Drops the entries that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.by_manager.retain(|_, entry| !entry.set.is_empty());
    }

    /// Merges the oldest updates, version by version, until there are no more than upstream keeps.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<Manager> =
            self.by_manager.keys().filter(|manager| manager.operation == Operation::Update).cloned().collect();
        let mut left = updaters.len();
        if left <= UPDATE_MANAGERS_MAX {
            return;
        }
        updaters.sort_by(|a, b| (&self.by_manager[a].time, a).cmp(&(&self.by_manager[b].time, b)));
        let mut first_of: BTreeMap<Str, Manager> = BTreeMap::new();
        // What the merged entry of each version will own. It is united at the end, as there can be very many.
        let mut merged: BTreeMap<Str, Vec<FieldSet>> = BTreeMap::new();
        for manager in updaters {
            if left <= UPDATE_MANAGERS_MAX {
                break;
            }
            let version = self.by_manager[&manager].api_version.clone();
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, manager);
                continue;
            };
            let bucket = Manager::update(OLD_UPDATES, &version, "");
            let entry = self.by_manager.remove(&manager).expect("each updater is met once");
            let before = self.by_manager.remove(&bucket).or_else(|| self.by_manager.remove(first));
            let sets = merged.entry(version.clone()).or_default();
            sets.push(entry.set);
            // Nothing, if the first of this version was the bucket itself, and is the entry at hand.
            sets.extend(before.map(|before| before.set));
            self.by_manager.insert(bucket, Entry::new(&version, entry.time, FieldSet::default()));
            left -= 1;
        }
        for (version, sets) in merged {
            let bucket = Manager::update(OLD_UPDATES, &version, "");
            let entry = self.by_manager.get_mut(&bucket).expect("it is put there with what is merged into it");
            entry.replace(FieldSet::union_of(sets));
        }
    }
}
