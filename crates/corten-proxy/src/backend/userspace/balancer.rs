//! Picks an endpoint for a client.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::ruleset::{PortRules, Route, frontends::Role};

/// Clients that are remembered; the one whose turn came first is forgotten first. As many as a kernel set holds.
const CLIENTS_MAX: usize = 65_535;

/// The endpoints of one port, taken in turn, and who was sent where.
#[derive(Debug)]
pub(super) struct Balancer {
    cluster_cidrs: Vec<IpNet>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Arc<PortRules>,
    turns: usize,
    /// Client -> endpoint, and when it was last sent there (monotonic).
    clients: BTreeMap<IpAddr, (SocketAddr, Duration)>,
    /// In the order in which they came to be remembered.
    order: VecDeque<IpAddr>,
}

impl Balancer {
    pub(super) fn new(rules: Arc<PortRules>, cluster_cidrs: Vec<IpNet>) -> Self {
        let state = State { rules, turns: 0, clients: BTreeMap::new(), order: VecDeque::new() };
        Self { cluster_cidrs, state: Mutex::new(state) }
    }

    pub(super) fn set_rules(&self, rules: Arc<PortRules>) {
        let mut state = self.state.lock();
        if rules.affinity.is_none() {
            state.clients.clear();
            state.order.clear();
        }
        state.rules = rules;
    }

    /// The endpoints to try for a client, best first; none if it may not come or there is none. `local` is the address
    /// that it used.
    pub(super) fn candidates(&self, role: Role, client: IpAddr, local: IpAddr, now: Duration) -> Vec<SocketAddr> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let rules = Arc::clone(&state.rules);
        if role == Role::LoadBalancer
            && rules.source_ranges.as_ref().is_some_and(|ranges| !ranges.iter().any(|r| r.contains(&client)))
        {
            return Vec::new();
        }
        let endpoints = self.endpoints(&rules, role, client, local);
        if endpoints.is_empty() {
            return Vec::new();
        }
        let mut list: Vec<_> = endpoints.iter().copied().collect();
        if let Some(timeout) = rules.affinity {
            let known = state.clients.get(&client).filter(|(a, at)| endpoints.contains(a) && now < *at + timeout);
            if let Some((endpoint, _)) = known {
                let first = list.iter().position(|a| a == endpoint).expect("is one of them");
                list.rotate_left(first);
                return list;
            }
        }
        let turn = state.turns % list.len();
        state.turns = state.turns.wrapping_add(1);
        list.rotate_left(turn);
        list
    }

    /// A client was sent to an endpoint.
    pub(super) fn remember(&self, client: IpAddr, endpoint: SocketAddr, now: Duration) {
        let mut state = self.state.lock();
        if state.rules.affinity.is_none() {
            return;
        }
        if state.clients.insert(client, (endpoint, now)).is_none() {
            state.order.push_back(client);
        }
        if state.order.len() > CLIENTS_MAX
            && let Some(oldest) = state.order.pop_front()
        {
            state.clients.remove(&oldest);
        }
    }

    /// Whether an endpoint is still to be used.
    pub(super) fn has(&self, endpoint: SocketAddr) -> bool {
        let state = self.state.lock();
        state.rules.cluster_endpoints.contains(&endpoint) || state.rules.local_endpoints.contains(&endpoint)
    }

    fn endpoints<'a>(
        &self,
        rules: &'a PortRules,
        role: Role,
        client: IpAddr,
        local: IpAddr,
    ) -> &'a BTreeSet<SocketAddr> {
        let route = if role == Role::ClusterIp { rules.internal } else { rules.external };
        // A process of this node talks to itself, from the address it calls or from the loopback.
        let is_inside = client == local || client.is_loopback() || crate::proxy::contains(&self.cluster_cidrs, client);
        match route {
            Route::Local if role == Role::ClusterIp || !is_inside => &rules.local_endpoints,
            _ => &rules.cluster_endpoints,
        }
    }
}
