//! Who depends on whom: for each owner's UID the places of its dependents, and nothing else.
//!
//! Objects without owners are not in it at all; everything else about an object is read from the informers when it is
//! needed. Capacity: one entry per owner reference in the cluster.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corten_apimachinery::value::Str;
use corten_controller::Key;

/// Where an object is: the place of its resource in the list of all, and its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which resource.
    pub resource: u16,
    /// Which object.
    pub key: Key,
}

/// The graph.
#[derive(Debug, Default)]
pub struct Graph {
    dependents: BTreeMap<Str, BTreeSet<Place>>,
}

impl Graph {
    /// `place` has an owner with this UID.
    pub fn add(&mut self, owner: &str, place: &Place) {
        self.dependents.entry(owner.into()).or_default().insert(place.clone());
    }

    /// `place` no longer has it.
    pub fn remove(&mut self, owner: &str, place: &Place) {
        if let Some(places) = self.dependents.get_mut(owner) {
            places.remove(place);
            if places.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    /// Who has an owner with this UID.
    #[must_use]
    pub fn dependents(&self, owner: &str) -> Vec<Place> {
        self.dependents.get(owner).into_iter().flatten().cloned().collect()
    }

    /// Whether anybody has.
    #[must_use]
    pub fn has_dependents(&self, owner: &str) -> bool {
        self.dependents.contains_key(owner)
    }
}

/// How many absent owners are remembered. Upstream's figure.
const ABSENT_MAX: usize = 500;

/// Owners that are known not to exist, so that each of their dependents need not ask. A UID never comes back.
#[derive(Debug, Default)]
pub struct AbsentOwners {
    known: BTreeSet<(Place, Str)>,
    order: VecDeque<(Place, Str)>,
}

impl AbsentOwners {
    /// Remembers one, and forgets the oldest when there are too many.
    pub fn insert(&mut self, place: Place, uid: Str) {
        if self.known.insert((place.clone(), uid.clone())) {
            self.order.push_back((place, uid));
        }
        if self.order.len() > ABSENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether it is remembered.
    #[must_use]
    pub fn contains(&self, place: &Place, uid: &Str) -> bool {
        self.known.contains(&(place.clone(), uid.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { resource: 0, key: Key::new("ns", name) }
    }

    #[test]
    fn owners_without_dependents_take_no_room() {
        let mut graph = Graph::default();
        graph.add("u1", &place("a"));
        graph.add("u1", &place("b"));
        graph.remove("u1", &place("a"));
        assert_eq!(graph.dependents("u1"), [place("b")]);
        graph.remove("u1", &place("b"));
        assert!(!graph.has_dependents("u1") && graph.dependents.is_empty());
    }

    #[test]
    fn the_oldest_absent_owner_is_forgotten_first() {
        let mut absent = AbsentOwners::default();
        for number in 0..=ABSENT_MAX {
            absent.insert(place("a"), number.to_string().into());
        }
        assert!(!absent.contains(&place("a"), &"0".into()));
        assert!(absent.contains(&place("a"), &"1".into()));
        assert_eq!(absent.known.len(), ABSENT_MAX);
    }
}
