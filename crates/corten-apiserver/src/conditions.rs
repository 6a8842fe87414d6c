//! The conditions in an object's status.
//!
//! Upstream: `SetStatusCondition` in k8s.io/apimachinery/pkg/api/meta/conditions.go, and what each kind has in its place (v1.35).

use corten_apimachinery::Value;

/// Where they are.
const CONDITIONS: [&str; 2] = ["status", "conditions"];

/// The condition of a type.
#[must_use]
pub fn find_condition<'a>(object: &'a Value, ty: &str) -> Option<&'a Value> {
    object.items_at(&CONDITIONS).iter().find(|condition| condition.str_at(&["type"]) == Some(ty))
}

/// Puts a condition in the place of the one of its type, or behind all others. The time of its last change stays while its
/// status does.
pub fn set_condition(object: &mut Value, mut wanted: Value) {
    let ty = wanted.str_at(&["type"]).unwrap_or_default().to_owned();
    let mut conditions = object.items_at(&CONDITIONS).to_vec();
    match conditions.iter_mut().find(|condition| condition.str_at(&["type"]) == Some(&ty)) {
        Some(known) => {
            if known.get("status") == wanted.get("status")
                && let Some(since) = known.get("lastTransitionTime").cloned()
            {
                wanted.set(&["lastTransitionTime"], since);
            }
            *known = wanted;
        }
        None => conditions.push(wanted),
    }
    object.set(&CONDITIONS, conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(ty: &str, status: &str, since: &str) -> Value {
        let fields = [("type", ty), ("status", status), ("lastTransitionTime", since)];
        Value::object_of(fields.map(|(name, text)| (name, Value::from(text))))
    }

    #[test]
    fn a_condition_takes_the_place_of_its_like_and_keeps_its_time_while_it_is_the_same() {
        let mut object = Value::object();
        let of = |object: &Value| object.items_at(&CONDITIONS).to_vec();
        set_condition(&mut object, condition("A", "True", "1"));
        set_condition(&mut object, condition("B", "True", "1"));
        set_condition(&mut object, condition("A", "True", "2"));
        assert_eq!(of(&object), [condition("A", "True", "1"), condition("B", "True", "1")]);
        set_condition(&mut object, condition("A", "False", "3"));
        assert_eq!(of(&object), [condition("A", "False", "3"), condition("B", "True", "1")]);
        assert_eq!(find_condition(&object, "A"), Some(&condition("A", "False", "3")));
        assert_eq!(find_condition(&object, "C"), None);
    }
}
