//! The plugin `host-local`: hands out addresses from ranges of the node, and remembers them on disk.
//!
//! One file per address, `<dataDir>/<network>/<address>`, whose content is the container's id and its interface: the
//! upstream plugin's layout, so that either can take over. A reservation appears complete or not at all (written aside,
//! then linked to its name, which fails if the name is taken), so a crash at any moment leaves neither half a
//! reservation nor an address that two pods have. A lock file keeps other processes out while an address is chosen.
//!
//! Addresses are handed out in turn, so that one is not used again right after it was released.
//! Upstream: containernetworking/plugins `plugins/ipam/host-local`.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use corten_base::fs::{Context as _, FsError};
use ipnet::IpNet;
use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{CniError, CniResult, Dns, IpConfig, Plugin, Request, RouteConfig, code};

const DEFAULT_DATA_DIR: &str = "/var/lib/cni/networks";
const LOCK: &str = "lock";
const LAST_PREFIX: &str = "last_reserved_ip.";
/// A reservation before it has its name. Left over by a crash, it is removed by the next one.
const STAGED: &str = ".staged";

/// See the module.
#[derive(Debug)]
pub struct HostLocal;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outer {
    ipam: Config,
    #[serde(default)]
    runtime_config: RuntimeConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeConfig {
    /// Wanted addresses, with or without prefix length.
    #[serde(default)]
    ips: Vec<String>,
    /// Ranges that come before those of the configuration.
    #[serde(default)]
    ip_ranges: Vec<Vec<RangeConfig>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    data_dir: Option<PathBuf>,
    #[serde(default)]
    ranges: Vec<Vec<RangeConfig>>,
    /// The older way to write a single range.
    #[serde(flatten)]
    single: SingleRange,
    #[serde(default)]
    routes: Vec<RouteConfig>,
    resolv_conf: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SingleRange {
    subnet: Option<IpNet>,
    range_start: Option<IpAddr>,
    range_end: Option<IpAddr>,
    gateway: Option<IpAddr>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RangeConfig {
    subnet: IpNet,
    range_start: Option<IpAddr>,
    range_end: Option<IpAddr>,
    gateway: Option<IpAddr>,
}

/// A range with its bounds worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    subnet: IpNet,
    first: IpAddr,
    last: IpAddr,
    gateway: IpAddr,
}

/// The reservations of one network, locked against other processes and threads.
struct Store {
    dir: PathBuf,
    _lock: Flock<File>,
}

impl Plugin for HostLocal {
    fn add(&self, request: &Request<'_>) -> Result<CniResult, CniError> {
        let outer: Outer = request.parse()?;
        let sets = range_sets(&outer)?;
        let mut wanted = outer.runtime_config.ips.iter().map(|ip| parse_wanted(ip)).collect::<Result<Vec<_>, _>>()?;
        let store = Store::open(&outer.ipam, request.network)?;
        let owner = owner(request);
        let mut held = store.held_by(&owner).map_err(storage)?;
        let before = held.len();
        let mut ips = Vec::new();
        for (index, set) in sets.iter().enumerate() {
            let from_set = |ip: &IpAddr| set.iter().any(|r| r.contains(*ip) && *ip != r.gateway);
            let asked = wanted.iter().position(from_set).map(|i| wanted.swap_remove(i));
            let result = match held.iter().copied().find(from_set) {
                Some(ip) => Ok(ip),
                None => store.reserve(index, set, asked, &owner),
            };
            match result {
                Ok(ip) => {
                    held.push(ip);
                    let range = set.iter().find(|r| r.contains(ip)).expect("chosen from this set");
                    let address = IpNet::new(ip, range.subnet.prefix_len()).expect("same family as its subnet");
                    ips.push(IpConfig { interface: None, address, gateway: Some(range.gateway) });
                }
                Err(e) => {
                    // All or nothing, unless the container came with addresses of an earlier addition.
                    if before == 0 {
                        store.release(&owner).map_err(storage)?;
                    }
                    return Err(e);
                }
            }
        }
        if let Some(ip) = wanted.first() {
            if before == 0 {
                store.release(&owner).map_err(storage)?;
            }
            return Err(CniError::new(code::INVALID_CONFIG, format!("requested address {ip} is in no range")));
        }
        let dns = match &outer.ipam.resolv_conf {
            Some(path) => read_resolv_conf(path)?,
            None => Dns::default(),
        };
        Ok(CniResult { ips, routes: outer.ipam.routes, dns, ..CniResult::default() })
    }

    fn delete(&self, request: &Request<'_>) -> Result<(), CniError> {
        let outer: Outer = request.parse()?;
        let store = Store::open(&outer.ipam, request.network)?;
        store.release(&owner(request)).map_err(storage)
    }

    fn check(&self, request: &Request<'_>) -> Result<(), CniError> {
        let outer: Outer = request.parse()?;
        let store = Store::open(&outer.ipam, request.network)?;
        if store.held_by(&owner(request)).map_err(storage)?.is_empty() {
            return Err(CniError::new(code::MISMATCH, "the container has no address"));
        }
        Ok(())
    }
}

/// The containers that hold addresses of a network: id and interface. For finding what a crash left behind. Blocks.
pub fn holders(config: &Map<String, Value>, network: &str) -> Result<Vec<(String, String)>, CniError> {
    let outer: Outer = serde_json::from_value(Value::Object(config.clone()))
        .map_err(|e| CniError::new(code::DECODE, "cannot read the configuration").details(&e))?;
    let store = Store::open(&outer.ipam, network)?;
    let mut out: Vec<_> = store.all().map_err(storage)?.into_iter().map(|(_, owner)| owner).collect();
    out.sort();
    out.dedup();
    Ok(out.iter().map(|o| o.split_once("\r\n").unwrap_or((o, ""))).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
}

impl Store {
    fn open(config: &Config, network: &str) -> Result<Self, CniError> {
        let dir = config.data_dir.as_deref().unwrap_or(Path::new(DEFAULT_DATA_DIR)).join(network);
        let open = || -> Result<Self, FsError> {
            corten_base::fs::create_dir_all(&dir)?;
            let path = dir.join(LOCK);
            let file = File::options().create(true).append(true).open(&path).at("open", &path)?;
            let lock =
                Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| io::Error::from(e)).at("lock", &path)?;
            Ok(Self { dir: dir.clone(), _lock: lock })
        };
        open().map_err(storage)
    }

    /// All reservations: address and owner.
    fn all(&self) -> Result<Vec<(IpAddr, String)>, FsError> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.dir).at("read directory", &self.dir)? {
            let path = entry.at("read directory", &self.dir)?.path();
            let Some(ip) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok()) else { continue };
            out.push((ip, corten_base::fs::read_to_string(&path)?.trim().to_owned()));
        }
        Ok(out)
    }

    fn held_by(&self, owner: &str) -> Result<Vec<IpAddr>, FsError> {
        let mut out: Vec<_> = self.all()?.into_iter().filter(|(_, o)| o == owner).map(|(ip, _)| ip).collect();
        out.sort();
        Ok(out)
    }

    fn release(&self, owner: &str) -> Result<(), FsError> {
        self.held_by(owner)?.into_iter().try_for_each(|ip| corten_base::fs::remove_file(&self.dir.join(ip.to_string())))
    }

    /// Reserves the wanted address, or the next free one behind the one that was reserved last.
    fn reserve(&self, index: usize, set: &[Range], wanted: Option<IpAddr>, owner: &str) -> Result<IpAddr, CniError> {
        if let Some(ip) = wanted {
            return match self.claim(ip, owner).map_err(storage)? {
                true => Ok(ip),
                false => Err(CniError::new(code::EXHAUSTED, format!("requested address {ip} is taken"))),
            };
        }
        let last_path = self.dir.join(format!("{LAST_PREFIX}{index}"));
        let last = match corten_base::fs::read_to_string(&last_path) {
            Ok(text) => text.trim().parse::<IpAddr>().ok(),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(storage(e)),
        };
        for ip in candidates(set, last) {
            if self.claim(ip, owner).map_err(storage)? {
                // Only a hint for the next search: losing it costs nothing.
                corten_base::fs::write(&last_path, ip.to_string().as_bytes()).map_err(storage)?;
                return Ok(ip);
            }
        }
        let first = set.first().map(|r| format!("{}-{}", r.first, r.last)).unwrap_or_default();
        Err(CniError::new(code::EXHAUSTED, format!("no IP addresses available in range set: {first}")))
    }

    /// Takes an address; returns whether it was free.
    fn claim(&self, ip: IpAddr, owner: &str) -> Result<bool, FsError> {
        let path = self.dir.join(ip.to_string());
        if path.exists() {
            return Ok(false);
        }
        let staged = self.dir.join(STAGED);
        // After a crash between link and removal it is the same file as a reservation: never write into it.
        corten_base::fs::remove_file(&staged)?;
        corten_base::fs::write(&staged, owner.as_bytes())?;
        let linked = match fs::hard_link(&staged, &path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e).at("link", &path),
        };
        corten_base::fs::remove_file(&staged)?;
        linked
    }
}

impl Range {
    fn new(config: &RangeConfig) -> Result<Self, CniError> {
        let subnet = config.subnet.trunc();
        let invalid = |what: String| CniError::new(code::INVALID_CONFIG, what);
        if subnet.prefix_len() > subnet.max_prefix_len() - 2 {
            return Err(invalid(format!("Network {subnet} too small to allocate from")));
        }
        let first_host = number(subnet.network()) + 1;
        // The last IPv4 address is the broadcast address.
        let last_host = number(subnet.broadcast()) - u128::from(subnet.addr().is_ipv4());
        let within = |name: &str, ip: Option<IpAddr>, default: u128| match ip {
            None => Ok(address(default, subnet)),
            Some(ip) if subnet.contains(&ip) => Ok(ip),
            Some(ip) => Err(invalid(format!("{name} {ip} not in network {subnet}"))),
        };
        let range = Self {
            subnet,
            first: within("RangeStart", config.range_start, first_host)?,
            last: within("RangeEnd", config.range_end, last_host)?,
            gateway: config.gateway.unwrap_or_else(|| address(first_host, subnet)),
        };
        if range.first > range.last {
            Err(invalid(format!("range of {subnet} ends before it starts")))
        } else {
            Ok(range)
        }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&ip)
    }

    /// The addresses to hand out whose numbers are in `first..=last`.
    fn between(self, first: u128, last: u128) -> impl Iterator<Item = IpAddr> {
        (first..=last).map(move |n| address(n, self.subnet)).filter(move |ip| *ip != self.gateway)
    }

    fn all(self) -> impl Iterator<Item = IpAddr> {
        self.between(number(self.first), number(self.last))
    }
}

/// All addresses of a set, those behind `last` first.
fn candidates(set: &[Range], last: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
    let position = last.and_then(|last| Some((set.iter().position(|r| r.contains(last))?, number(last))));
    let (start, split) = match position {
        Some((index, last)) => (index, last + 1),
        None => (0, set.first().map_or(0, |r| number(r.first))),
    };
    let begun = set.get(start).copied();
    let head = begun.into_iter().flat_map(move |r| r.between(split, number(r.last)));
    let others = set.iter().cycle().skip(start + 1).take(set.len().saturating_sub(1)).flat_map(|r| r.all());
    let tail = begun.into_iter().flat_map(move |r| r.between(number(r.first), split.saturating_sub(1)));
    head.chain(others).chain(tail)
}

fn range_sets(outer: &Outer) -> Result<Vec<Vec<Range>>, CniError> {
    let single = &outer.ipam.single;
    let single = single.subnet.map(|subnet| {
        let SingleRange { range_start, range_end, gateway, .. } = *single;
        vec![RangeConfig { subnet, range_start, range_end, gateway }]
    });
    let sets = single.iter().chain(&outer.runtime_config.ip_ranges).chain(&outer.ipam.ranges);
    let sets = sets.map(|set| set.iter().map(Range::new).collect()).collect::<Result<Vec<Vec<_>>, _>>()?;
    if sets.is_empty() || sets.iter().any(Vec::is_empty) {
        return Err(CniError::new(code::INVALID_CONFIG, "no IP ranges specified"));
    }
    Ok(sets)
}

fn parse_wanted(text: &str) -> Result<IpAddr, CniError> {
    let bare = text.split('/').next().unwrap_or_default();
    bare.parse().map_err(|e| {
        CniError::new(code::INVALID_CONFIG, format!("requested address {text:?} is not valid")).details(&e)
    })
}

fn owner(request: &Request<'_>) -> String {
    format!("{}\r\n{}", request.container_id.trim(), request.interface)
}

fn storage(e: FsError) -> CniError {
    CniError::new(code::IO, "cannot access the address reservations").details(&e)
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

fn address(number: u128, like: IpNet) -> IpAddr {
    match like {
        IpNet::V4(_) => Ipv4Addr::from(u32::try_from(number).expect("inside an IPv4 subnet")).into(),
        IpNet::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// Source: resolv.conf(5).
fn read_resolv_conf(path: &Path) -> Result<Dns, CniError> {
    let text = corten_base::fs::read_to_string(path)
        .map_err(|e| CniError::new(code::IO, "cannot read the resolver configuration").details(&e))?;
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("domain") => dns.domain = words.next().unwrap_or_default(),
            Some("search") => dns.search.extend(words),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    Ok(dns)
}

#[cfg(test)]
mod tests;
