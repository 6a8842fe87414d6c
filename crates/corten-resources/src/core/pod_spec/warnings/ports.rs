//! Ports of a pod that clash.

use std::collections::BTreeMap;

use corten_apimachinery::{Value, field::Path};

/// How many warnings about pairs of ports a pod is worth: more than an answer carries (4,096 characters in all), fewer than
/// what the pairs of a hostile pod's ports come to.
pub(super) const PORT_WARNINGS_MAX: usize = 100;

/// The ports of containers that run side by side, by what makes two of them worth a warning.
///
/// Each pair is worth one, as upstream; those looked at are those told of, and there is a bound to that.
#[derive(Default)]
pub(super) struct Ports<'p> {
    known: BTreeMap<PortKey<'p>, Known<'p>>,
    told: usize,
}

/// The container's port, and its protocol.
type PortKey<'p> = (i64, &'p str);

/// Ports of one key in their order, and their places in it by host port and host address.
#[derive(Default)]
struct Known<'p> {
    paths: Vec<Path>,
    by_host: BTreeMap<(i64, &'p str), Vec<usize>>,
}

impl<'p> Ports<'p> {
    /// Compares a port with those before it, and takes it in.
    pub(super) fn add(&mut self, port: &'p Value, at: Path, warnings: &mut Vec<String>) {
        let number = |field: &str| port.i64_at(&[field]).unwrap_or_default();
        let text = |field: &str| port.str_at(&[field]).unwrap_or_default();
        let (host_ip, host_port) = (text("hostIP"), number("hostPort"));
        let (container_port, protocol) = (number("containerPort"), text("protocol"));
        if !host_ip.is_empty() && host_port == 0 {
            let name = text("name");
            warnings.push(format!(
                "{at}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{container_port} \
                 Protocol:{protocol} HostIP:{host_ip}}}"
            ));
        }
        let known = self.known.entry((container_port, protocol)).or_default();
        let left = PORT_WARNINGS_MAX.saturating_sub(self.told);
        let clashes = known.clashes((host_port, host_ip), left);
        self.told += clashes.len();
        let told = clashes.into_iter().map(|(other, how)| {
            let other = &known.paths[other];
            format!("{at}: {how} port definition with {other}")
        });
        warnings.extend(told);
        known.by_host.entry((host_port, host_ip)).or_default().push(known.paths.len());
        known.paths.push(at);
    }
}

impl<'p> Known<'p> {
    /// The first `limit` of those that clash with another one for `host`, and how.
    fn clashes(&self, host: (i64, &'p str), limit: usize) -> Vec<(usize, &'static str)> {
        if limit == 0 {
            return Vec::new();
        }
        let (port, ip) = host;
        let how = |other: (i64, &str)| match other {
            other if other == host => "duplicate",
            (0, _) => "overlapping",
            _ if port == 0 => "overlapping",
            _ => "dangerously ambiguous",
        };
        let ports = |port: i64| self.by_host.range((port, "")..(port.saturating_add(1), ""));
        // Without a port of the host, it is redundant with every other; with one, and without an address, with all of that.
        let groups: Vec<_> = match (port, ip) {
            (0, _) => self.by_host.iter().collect(),
            (_, "") => ports(0).chain(ports(port)).collect(),
            _ => {
                let same = [(port, ""), host].into_iter().filter_map(|host| self.by_host.get_key_value(&host));
                ports(0).chain(same).collect()
            }
        };
        // Of each group the first ones are enough to know the first of all.
        let mut clashes: Vec<_> = groups
            .into_iter()
            .flat_map(|(other, places)| places.iter().take(limit).map(move |&place| (place, how(*other))))
            .collect();
        clashes.sort_unstable();
        clashes.truncate(limit);
        clashes
    }
}
