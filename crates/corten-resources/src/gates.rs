//! Fields behind feature gates that are off: clients may send them, nobody stores them.
//!
//! An object that has such a field already keeps it, so that a gate which is switched off does not break what is there.
//! Upstream: the `dropDisabledFields` functions in pkg/api and pkg/registry (v1.35).

use corten_apimachinery::{Features, Value};

/// Fields that belong to feature gates.
#[derive(Debug)]
pub(crate) struct Gated {
    /// All of these have to be on.
    gates: &'static [&'static str],
    /// Where the fields are, such as `volumes.*.projected`: `*` stands for every item of a list.
    fields: &'static [&'static str],
}

impl Gated {
    /// The `fields` that need all of the `gates`.
    pub(crate) const fn new(gates: &'static [&'static str], fields: &'static [&'static str]) -> Self {
        Self { gates, fields }
    }

    /// Takes the fields out of `object`, unless the gates are on or `old` has one of the fields.
    pub(crate) fn drop_from(&self, features: &Features, object: &mut Value, old: Option<&Value>) {
        if self.is_on(features) || !self.is_used(object) || old.is_some_and(|old| self.is_used(old)) {
            return;
        }
        for field in self.fields {
            unset(object, field);
        }
    }

    /// Whether the gates are on.
    pub(crate) fn is_on(&self, features: &Features) -> bool {
        self.gates.iter().all(|gate| features.is_enabled(gate))
    }

    fn is_used(&self, object: &Value) -> bool {
        self.fields.iter().any(|field| is_set(object, field))
    }
}

/// Whether something is at `path`: an empty list is as good as none, but an empty text or a false truth was meant.
pub(crate) fn is_set(node: &Value, path: &str) -> bool {
    match split(path) {
        None => node
            .get(path)
            .is_some_and(|value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty())),
        Some(("*", rest)) => node.as_array().is_some_and(|items| items.iter().any(|item| is_set(item, rest))),
        Some((step, rest)) => node.get(step).is_some_and(|next| is_set(next, rest)),
    }
}

/// The first step of a path of more than one, and the others. Steps are short, and this is asked some dozen times of each pod.
fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.bytes().position(|byte| byte == b'.')?;
    Some((&path[..at], &path[at + 1..]))
}

/// Takes away what is at `path`; what is shared with other objects is copied only if there is something to take away.
pub(crate) fn unset(node: &mut Value, path: &str) {
    if !is_set(node, path) {
        return;
    }
    match split(path) {
        None => {
            node.unset(&[path]);
        }
        Some(("*", rest)) => node.as_array_mut().into_iter().flatten().for_each(|item| unset(item, rest)),
        Some((step, rest)) => {
            if let Some(next) = node.at_mut(&[step]) {
                unset(next, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Gated;
    use crate::testing::{features, value};

    const SIGNALS: Gated = Gated::new(&["ContainerStopSignals"], &["items.*.signal", "signal"]);

    #[test]
    fn fields_behind_a_gate_stay_where_they_were_or_where_the_gate_is_on() {
        let given = || value(json!({"signal": "", "items": [{"signal": 1, "other": 2}, {}]}));
        let dropped = value(json!({"items": [{"other": 2}, {}]}));
        for (gates, old, want) in [
            ("", None, dropped.clone()),
            ("", Some(json!({"items": [{}]})), dropped.clone()),
            ("", Some(json!({"items": [{}, {"signal": 3}]})), given()),
            ("ContainerStopSignals=true", None, given()),
        ] {
            let mut object = given();
            let old = old.map(value);
            SIGNALS.drop_from(&features(gates), &mut object, old.as_ref());
            assert_eq!(object, want, "{gates} {old:?}");
        }
    }
}
