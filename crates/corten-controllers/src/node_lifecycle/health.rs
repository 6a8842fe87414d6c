//! When nodes were heard of last, by this process's own clock: what nodes write as times comes from their clocks.

use std::{collections::BTreeMap, time::Duration};

use corten_apimachinery::{
    meta::ObjectMeta as _,
    value::{Str, Value},
};

/// Which fields of a node are read, beside its UID.
pub(super) const READ: [&[&str]; 3] = [&["metadata", "labels"], &["spec"], &["status", "conditions"]];

/// What a message of a node means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It lives, as before.
    Alive,
    /// Something else changed, or it was not known: worth a look.
    News,
}

#[derive(Debug, Default)]
struct Record {
    /// The time of the last sign of life.
    probed: Duration,
    renewed: String,
    heartbeat: String,
    /// Somebody needs the next version, whatever is new in it.
    is_awaited: bool,
    /// What decides about taints, labels and conditions.
    facts: Option<(Value, Value, Value, String)>,
}

/// All nodes. Capacity: one record for each; `forget` it with the node. Leases of nodes that are not there have one too,
/// until their node comes and goes.
#[derive(Debug, Default)]
pub(super) struct Health(BTreeMap<Str, Record>);

impl Health {
    /// A node was seen: a new heartbeat is a sign of life, anything else may be news.
    pub(super) fn node(&mut self, name: &Str, node: &Value, now: Duration) -> Heard {
        let conditions = node.items_at(&["status", "conditions"]);
        let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
        let heartbeat = ready.and_then(|ready| ready.str_at(&["lastHeartbeatTime"])).unwrap_or_default().to_owned();
        let statuses = conditions.iter().map(|condition| {
            Value::array(["type", "status"].map(|field| condition.get(field).cloned().unwrap_or(Value::Null)))
        });
        let at = |path: &[&str]| node.at(path).cloned().unwrap_or(Value::Null);
        let facts = (Value::array(statuses), at(&["metadata", "labels"]), at(&["spec"]), node.uid().to_owned());
        let record = self.0.entry(name.clone()).or_default();
        if record.facts.is_none() || record.heartbeat != heartbeat {
            record.probed = now;
            record.heartbeat = heartbeat;
        }
        if record.facts.as_ref() == Some(&facts) && !std::mem::take(&mut record.is_awaited) {
            return Heard::Alive;
        }
        record.facts = Some(facts);
        Heard::News
    }

    /// A lease was seen.
    pub(super) fn lease(&mut self, name: &Str, renewed: &str, now: Duration) -> Heard {
        let record = self.0.entry(name.clone()).or_default();
        if record.renewed != renewed {
            renewed.clone_into(&mut record.renewed);
            record.probed = now;
        }
        Heard::Alive
    }

    /// The next version of the node is news, whatever is new in it.
    pub(super) fn await_next(&mut self, name: &str) {
        if let Some(record) = self.0.get_mut(name) {
            record.is_awaited = true;
        }
    }

    /// When the node gave its last sign of life; `None` if it is not known.
    pub(super) fn probed(&self, name: &str) -> Option<Duration> {
        self.0.get(name).map(|record| record.probed)
    }

    /// The node is gone.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }
}
