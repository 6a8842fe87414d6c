//! How fast nodes may be emptied: when much of a zone is lost at once, the network is more likely broken than the nodes.
//!
//! Upstream: pkg/controller/nodelifecycle, zone states and `--node-eviction-rate` and its companions (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use corten_apimachinery::value::Str;

/// One node every ten seconds. Upstream: `--node-eviction-rate`.
const INTERVAL: Duration = Duration::from_secs(10);
/// One node every hundred seconds, in large zones that are partly lost. Upstream: `--secondary-node-eviction-rate`.
const SLOW_INTERVAL: Duration = Duration::from_secs(100);
/// More nodes than this are a large zone. Upstream: `--large-cluster-size-threshold`.
const LARGE: usize = 50;
/// A zone is partly lost when this many percent are. Upstream: `--unhealthy-zone-threshold`.
const UNHEALTHY_PERCENT: usize = 55;

/// When a node's turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is.
    Now,
    /// After this time.
    After(Duration),
    /// Not before the zone changes.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Normal,
    Partial,
    Full,
}

#[derive(Debug, Default)]
struct Zone {
    nodes: BTreeMap<Str, bool>,
    state: State,
    /// When the next node may be emptied.
    free_at: Duration,
}

/// All zones with their nodes. Capacity: one entry for each node; `forget` it with the node.
#[derive(Debug, Default)]
pub(super) struct Zones {
    zones: BTreeMap<String, Zone>,
    zone_of: BTreeMap<Str, String>,
}

impl Zones {
    /// A node is in this zone and ready or not. Returns the nodes that are not ready and whose pace has changed by that.
    pub(super) fn see(&mut self, node: &Str, zone: &str, is_ready: bool) -> BTreeSet<Str> {
        let known = self.zone_of.get(node);
        if known.is_some_and(|known| known == zone) && self.zones[zone].nodes.get(node) == Some(&is_ready) {
            return BTreeSet::new();
        }
        let before = self.all_lost();
        let mut changed = BTreeSet::new();
        if known.is_some_and(|known| known != zone) {
            changed = self.forget(node);
        }
        self.zone_of.insert(node.clone(), zone.to_owned());
        self.zones.entry(zone.to_owned()).or_default().nodes.insert(node.clone(), is_ready);
        changed.extend(self.update(zone, before));
        changed
    }

    /// A node is gone. Returns as `see`.
    pub(super) fn forget(&mut self, node: &str) -> BTreeSet<Str> {
        let before = self.all_lost();
        let Some(zone) = self.zone_of.remove(node) else { return BTreeSet::new() };
        self.zones.entry(zone.clone()).or_default().nodes.remove(node);
        let changed = self.update(&zone, before);
        self.zones.retain(|_, zone| !zone.nodes.is_empty());
        changed
    }

    /// Asks for the turn of a node that is not ready, and takes it if it is now.
    pub(super) fn take_turn(&mut self, node: &str, now: Duration) -> Pace {
        let all_lost = self.all_lost();
        let Some(zone) = self.zone_of.get(node).and_then(|zone| self.zones.get_mut(zone)) else { return Pace::Never };
        let interval = match zone.state {
            // Nothing is heard of anywhere: then it is this process that is cut off.
            State::Full if all_lost => return Pace::Never,
            State::Normal | State::Full => INTERVAL,
            State::Partial if zone.nodes.len() > LARGE => SLOW_INTERVAL,
            State::Partial => return Pace::Never,
        };
        if now < zone.free_at {
            return Pace::After(zone.free_at - now);
        }
        zone.free_at = now + interval;
        Pace::Now
    }

    fn update(&mut self, name: &str, all_lost_before: bool) -> BTreeSet<Str> {
        let zone = self.zones.get_mut(name).expect("the caller has just changed it");
        let before = zone.state;
        zone.state = state(&zone.nodes);
        let has_changed = zone.state != before;
        let all_changed = self.all_lost() != all_lost_before;
        let affected = self.zones.iter().filter(|(other, _)| all_changed || (has_changed && *other == name));
        let nodes = affected.flat_map(|(_, zone)| &zone.nodes);
        nodes.filter(|(_, is_ready)| !**is_ready).map(|(node, _)| node.clone()).collect()
    }

    /// Whether every zone is lost. One that was never seen otherwise counts, too.
    fn all_lost(&self) -> bool {
        !self.zones.is_empty() && self.zones.values().all(|zone| zone.state == State::Full)
    }
}

fn state(nodes: &BTreeMap<Str, bool>) -> State {
    let lost = nodes.values().filter(|is_ready| !**is_ready).count();
    if lost > 0 && lost == nodes.len() {
        State::Full
    } else if lost > 2 && lost * 100 >= UNHEALTHY_PERCENT * nodes.len() {
        State::Partial
    } else {
        State::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(list: &[(&str, usize, usize)]) -> Zones {
        let mut zones = Zones::default();
        for (zone, ready, lost) in list {
            for number in 0..ready + lost {
                zones.see(&format!("{zone}{number}").into(), zone, number < *ready);
            }
        }
        zones
    }

    #[track_caller]
    fn check(list: &[(&str, usize, usize)], node: &str, want: [Pace; 2]) {
        let mut zones = zones(list);
        let now = Duration::from_secs(1_000);
        assert_eq!([zones.take_turn(node, now), zones.take_turn(node, now)], want);
    }

    #[test]
    fn much_loss_slows_evictions_down_and_total_loss_ends_them() {
        check(&[("a", 9, 1)], "a9", [Pace::Now, Pace::After(INTERVAL)]);
        check(&[("a", 3, 4)], "a6", [Pace::Never, Pace::Never]);
        check(&[("a", 20, 40)], "a59", [Pace::Now, Pace::After(SLOW_INTERVAL)]);
        check(&[("a", 0, 3)], "a0", [Pace::Never, Pace::Never]);
        check(&[("a", 0, 3), ("b", 1, 0)], "a0", [Pace::Now, Pace::After(INTERVAL)]);
    }

    #[test]
    fn a_node_that_returns_changes_the_pace_of_the_others() {
        let mut zones = zones(&[("a", 0, 3)]);
        assert_eq!(zones.see(&"a0".into(), "a", true), BTreeSet::from(["a1".into(), "a2".into()]));
        assert_eq!(zones.take_turn("a1", Duration::ZERO), Pace::Now);
    }
}
