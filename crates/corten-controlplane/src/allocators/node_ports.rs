//! The node ports that a service is to get: taken at once, since they are known in this server's memory only. Pure.
//!
//! Upstream: pkg/registry/core/service/storage/alloc.go, pkg/registry/core/service/portallocator (v1.35).

use std::collections::{HashMap, HashSet};

use corten_apimachinery::{
    field::{Error, Path},
    status::Status,
    value::Value,
};
use corten_resources::core::service::allocation::{needs_health_check_node_port, needs_node_ports};

use super::{
    choice::invalid,
    counts::{Counts, Scope},
    ports::{ALLOCATED, Ports},
};

/// The node ports of a service, that of health checks included.
pub(super) fn port_numbers(service: &Value) -> Vec<i64> {
    let ports = service.items_at(&["spec", "ports"]).iter().filter_map(|port| port.i64_at(&["nodePort"]));
    ports.chain(service.i64_at(&["spec", "healthCheckNodePort"])).filter(|&port| port != 0).collect()
}

/// The node ports that `service` has and `other` has not.
pub(super) fn ports_beyond(service: &Value, other: &Value) -> Vec<i64> {
    let kept: HashSet<i64> = port_numbers(other).into_iter().collect();
    port_numbers(service).into_iter().filter(|port| !kept.contains(port)).collect()
}

fn number(port: &Value, field: &str) -> i64 {
    port.i64_at(&[field]).unwrap_or_default()
}

/// How many node ports `service` has to be given, if it is to have all that it does not choose itself.
pub(super) fn given_ports_needed(service: &Value, is_new: bool) -> usize {
    if !needs_node_ports(service) {
        return 0;
    }
    let ports = service.items_at(&["spec", "ports"]);
    let chooses = |port: &&Value| number(port, "nodePort") != 0;
    if !is_new {
        return ports.len() - ports.iter().filter(chooses).count();
    }
    // The same port of two protocols has one number.
    let mut numbers: HashSet<i64> = ports.iter().map(|port| number(port, "port")).collect();
    for port in ports.iter().filter(chooses) {
        numbers.remove(&number(port, "port"));
    }
    numbers.len()
}

/// Takes all ports that `service` needs beyond what `old` has, or none, and writes them in.
///
/// Errors: in upstream's words.
pub(super) fn take(
    (pool, counts): (&mut Ports, &Counts),
    service: &mut Value,
    old: Option<&Value>,
    owner: &str,
    below: &dyn Fn(u64) -> u64,
) -> Result<Vec<i64>, Status> {
    let mut taking = Taking { pool, counts, owner, below, taken: Vec::new() };
    match give(&mut taking, service, old) {
        Ok(()) => Ok(taking.taken),
        Err(status) => {
            for port in taking.taken {
                taking.pool.release(port, owner);
            }
            Err(status)
        }
    }
}

/// Writes in what stands in a dry run for the ports that `service` needs beyond what `old` has.
///
/// Errors: in upstream's words.
pub(super) fn rehearse(pool: &Ports, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    give(&mut Rehearsal { pool, named: HashSet::new(), last: None }, service, old)
}

/// Where ports come from.
trait Source {
    /// This port.
    fn this(&mut self, port: i64) -> Result<(), String>;
    /// Some port.
    fn any(&mut self) -> Result<i64, String>;
}

struct Taking<'a> {
    pool: &'a mut Ports,
    counts: &'a Counts,
    owner: &'a str,
    below: &'a dyn Fn(u64) -> u64,
    taken: Vec<i64>,
}

impl Source for Taking<'_> {
    fn this(&mut self, port: i64) -> Result<(), String> {
        let taken = self.pool.take(port, self.owner);
        self.counts.port(Scope::Static, taken.is_ok());
        taken?;
        self.taken.push(port);
        Ok(())
    }

    fn any(&mut self) -> Result<i64, String> {
        let taken = self.pool.take_any(self.owner, self.below);
        self.counts.port(Scope::Dynamic, taken.is_ok());
        let port = taken?;
        self.taken.push(port);
        Ok(port)
    }
}

/// Nothing is taken: a port that somebody has is refused, and one that is to be chosen is one more than the highest so far.
struct Rehearsal<'a> {
    pool: &'a Ports,
    named: HashSet<i64>,
    last: Option<i64>,
}

/// What the ports that are named in a dry run begin after, if the service names none itself. Upstream's figure.
const REHEARSED_AFTER: i64 = 32_768;

impl Rehearsal<'_> {
    fn name(&mut self, port: i64) {
        self.named.insert(port);
        self.last = self.last.max(Some(port));
    }
}

impl Source for Rehearsal<'_> {
    fn this(&mut self, port: i64) -> Result<(), String> {
        if self.pool.owner(port).is_some() || self.named.contains(&port) {
            return Err(ALLOCATED.to_owned());
        }
        self.name(port);
        Ok(())
    }

    fn any(&mut self) -> Result<i64, String> {
        let port = self.last.unwrap_or(REHEARSED_AFTER).saturating_add(1);
        self.name(port);
        Ok(port)
    }
}

fn give(source: &mut impl Source, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    ports(source, service, old)?;
    health_check_port(source, service, old)
}

fn ports(source: &mut impl Source, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    if !matches!(service.str_at(&["spec", "type"]), Some("NodePort" | "LoadBalancer")) {
        return Ok(());
    }
    let mut has: HashSet<i64> = old.map(port_numbers).unwrap_or_default().into_iter().collect();
    let mut ports = service.items_at(&["spec", "ports"]).to_vec();
    // What each port asks for, and what it was given in this write: the same port of two protocols gets one number, when
    // a service is made. The first counts.
    let (mut asked, mut given) = (HashMap::new(), HashMap::new());
    for port in ports.iter().filter(|port| number(port, "nodePort") != 0) {
        asked.entry(number(port, "port")).or_insert(number(port, "nodePort"));
    }
    for (index, entry) in ports.iter_mut().enumerate() {
        let (port, mut node_port) = (number(entry, "port"), number(entry, "nodePort"));
        if node_port == 0 && !needs_node_ports(service) {
            continue;
        }
        if node_port == 0 && old.is_none() {
            node_port = given.get(&port).or_else(|| asked.get(&port)).copied().unwrap_or_default();
        }
        if node_port == 0 {
            node_port = source.any().map_err(|why| none_left(&why))?;
        } else if !has.contains(&node_port) {
            source.this(node_port).map_err(|why| {
                let at = Path::new("spec").child("ports").index(index).child("nodePort");
                invalid(service, &[Error::invalid(&at, node_port, why)])
            })?;
        }
        has.insert(node_port);
        given.entry(port).or_insert(node_port);
        entry.set(&["nodePort"], node_port);
    }
    service.set(&["spec", "ports"], ports);
    Ok(())
}

fn health_check_port(source: &mut impl Source, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    if !needs_health_check_node_port(service) || old.is_some_and(needs_health_check_node_port) {
        return Ok(());
    }
    let path = ["spec", "healthCheckNodePort"];
    let wanted = service.i64_at(&path).unwrap_or_default();
    if wanted != 0 {
        return source.this(wanted).map_err(|why| {
            Status::internal(format_args!("failed to allocate requested HealthCheck NodePort {wanted}: {why}"))
        });
    }
    let port = source
        .any()
        .map_err(|why| Status::internal(format_args!("failed to allocate a HealthCheck NodePort 0: {why}")))?;
    service.set(&path, port);
    Ok(())
}

/// That no port could be given.
pub(super) fn none_left(why: &str) -> Status {
    Status::internal(format_args!("failed to allocate a nodePort: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::given_ports_needed;
    use crate::testing::tree;

    #[test]
    fn a_port_of_two_protocols_needs_one_number_when_it_is_new() {
        let check = |ports: serde_json::Value, want_new: usize, want_changed: usize| {
            let service = tree(json!({"spec": {"type": "NodePort", "ports": ports}}));
            let needed = [true, false].map(|is_new| given_ports_needed(&service, is_new));
            assert_eq!(needed, [want_new, want_changed], "{ports}");
        };
        check(json!([]), 0, 0);
        check(json!([{"port": 1}, {"port": 1}, {"port": 2}]), 2, 3);
        check(json!([{"port": 1}, {"port": 1, "nodePort": 30_001}]), 0, 1);
        check(json!([{"port": 1, "nodePort": 30_001}, {"port": 2}]), 1, 1);
        let cluster_ip = tree(json!({"spec": {"type": "ClusterIP", "ports": [{"port": 1}]}}));
        assert_eq!(given_ports_needed(&cluster_ip, true), 0);
    }
}
