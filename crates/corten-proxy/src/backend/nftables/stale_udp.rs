//! UDP connections that a change makes stale: they have no end of their own, and go on to where no service leads any more.
//!
//! Upstream: pkg/proxy/conntrack/cleanup.go (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use crate::{
    names::Protocol,
    ruleset::{
        Change, PortRules,
        frontends::{Frontend, frontends},
    },
};

/// Which UDP connections are stale after a change.
#[derive(Debug, Default)]
pub(super) struct StaleUdp {
    /// Endpoints that are right, by frontend; node ports have no address.
    frontends: BTreeMap<(Option<IpAddr>, u16), BTreeSet<SocketAddr>>,
}

impl StaleUdp {
    pub(super) fn new(changes: &[Change]) -> Self {
        let mut out = Self::default();
        for change in changes.iter().filter(|c| c.key.protocol == Protocol::Udp) {
            let endpoints = |rules: Option<&PortRules>| -> BTreeSet<SocketAddr> {
                rules.into_iter().flat_map(PortRules::endpoints).collect()
            };
            let (before, after) = (endpoints(change.old.as_deref()), endpoints(change.new.as_deref()));
            let frontends_of = |rules: Option<&PortRules>| -> BTreeSet<Frontend> {
                rules.into_iter().flat_map(|r| frontends(&change.key, r).into_keys()).collect()
            };
            let (old, new) = (frontends_of(change.old.as_deref()), frontends_of(change.new.as_deref()));
            let has_lost = !before.is_subset(&after) || (before.is_empty() && !after.is_empty());
            for frontend in old.union(&new) {
                if has_lost || old.contains(frontend) != new.contains(frontend) {
                    let valid = out.frontends.entry((frontend.ip, frontend.port)).or_default();
                    if new.contains(frontend) {
                        valid.extend(&after);
                    }
                }
            }
        }
        out
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.frontends.is_empty()
    }

    /// Whether a connection to `destination`, which `answers_from` there, is one of them.
    pub(super) fn covers(&self, destination: SocketAddr, answers_from: SocketAddr) -> bool {
        let by_address = self.frontends.get(&(Some(destination.ip()), destination.port()));
        // A connection to a node port that no rule translated goes to a socket of this machine (or passes through) and
        // keeps its own address; it may not be ours.
        let by_node_port = || self.frontends.get(&(None, destination.port())).filter(|_| destination != answers_from);
        by_address.or_else(by_node_port).is_some_and(|valid| !valid.contains(&answers_from))
    }
}
