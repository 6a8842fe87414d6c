//! The machine's settings that a node changes: what they were is remembered before the first change, and put back when the
//! cluster leaves the machine.
//!
//! `route_localnet` lets packets to and from 127/8 pass interfaces, and packet rules of the proxy keep neighbours out
//! (CVE-2020-8558). Where it stayed without the rules, neighbours reached what listens on 127.0.0.1.
//!
//! The record is among the run time state: it survives a killed process and ends with the machine's run, as the settings do.
//! Several clusters share the settings: while another one is there they stay, and the last one cannot know what was before all
//! of them unless it was the first.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use corten_base::fs;
use corten_net::{netlink::Rtnl, netns::Netns, nftables::Nftables, sysctl};
use serde::{Deserialize, Serialize};

use crate::places::Places;

const IP_FORWARD: &str = "net/ipv4/ip_forward";
const ROUTE_LOCALNET: &str = "net/ipv4/conf/all/route_localnet";

/// What was found, by name; what is unknown is not in it. Format, version 1: one JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    settings: BTreeMap<String, String>,
}

/// Who is in the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Present {
    /// This cluster's bridge of pods.
    bridge: bool,
    /// This cluster's rules of services.
    rules: bool,
    /// The bridge of another cluster.
    other_bridge: bool,
    /// The rules of another cluster.
    other_rules: bool,
}

/// Remembers the settings, unless a start before this one did. Blocks for some system calls.
pub(crate) fn remember(places: &Places, host: &Netns) -> anyhow::Result<()> {
    let path = places.found_settings();
    if path.exists() {
        return Ok(());
    }
    let present = present(places, host)?;
    let mut found = Found::default();
    for name in to_remember(present) {
        let value = sysctl::read(host, name).with_context(|| format!("read the setting {name}"))?;
        found.settings.insert(name.to_owned(), value);
    }
    let text = serde_json::to_vec(&found).context("write down the machine's settings")?;
    fs::create_private_dir(&places.run)?;
    Ok(fs::write_atomic(&path, &text, 0o600)?)
}

/// Puts the settings back; says what it changed. Blocks for some system calls. The rules of the proxy have to stand still.
pub(crate) fn put_back(places: &Places, host: &Netns) -> anyhow::Result<Option<String>> {
    let found = read(&places.found_settings())?;
    let mut changed = Vec::new();
    for (name, value) in plan(found.as_ref(), present(places, host)?) {
        let now = sysctl::read(host, name).with_context(|| format!("read the setting {name}"))?;
        if now != value {
            sysctl::write(host, name, &value).with_context(|| format!("set {name} to {value}"))?;
            changed.push(format!("{}={value}", name.replace('/', ".")));
        }
    }
    Ok((!changed.is_empty()).then(|| format!("set {}", changed.join(" and "))))
}

/// The settings whose values are the machine's own: none of our kind has changed them.
fn to_remember(present: Present) -> Vec<&'static str> {
    let Present { bridge, rules, other_bridge, other_rules } = present;
    let mut names = Vec::new();
    if !bridge && !other_bridge {
        names.push(IP_FORWARD);
    }
    if !rules && !other_rules {
        names.push(ROUTE_LOCALNET);
    }
    names
}

/// What to set when the cluster goes.
fn plan(found: Option<&Found>, present: Present) -> Vec<(&'static str, String)> {
    let known = |name: &str| found.and_then(|found| found.settings.get(name)).cloned();
    let mut settings = Vec::new();
    if let Some(value) = known(ROUTE_LOCALNET).or_else(|| present.rules.then(|| "0".to_owned()))
        && !present.other_rules
    {
        settings.push((ROUTE_LOCALNET, value));
    }
    if let Some(value) = known(IP_FORWARD)
        && !present.other_bridge
    {
        settings.push((IP_FORWARD, value));
    }
    settings
}

/// Nothing where there is no record. One that makes no sense knows nothing.
fn read(path: &Path) -> anyhow::Result<Option<Found>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn present(places: &Places, host: &Netns) -> anyhow::Result<Present> {
    let links = Rtnl::open_in(host).and_then(|rtnl| rtnl.links()).context("list network interfaces")?;
    let bridges: Vec<&str> = links.iter().map(|link| link.name.as_str()).filter(|name| is_ours(name, "0")).collect();
    let nftables = Nftables::open_in(host).context("talk to nftables")?;
    let tables = match nftables.is_supported().context("ask the kernel for nftables")? {
        true => nftables.tables().context("list tables")?,
        false => Vec::new(),
    };
    let rules: Vec<&str> =
        tables.iter().map(|table| table.name.as_str()).filter(|name| is_ours(name, "-proxy")).collect();
    let (own_bridge, own_rules) = (places.bridge(), places.proxy_table());
    Ok(Present {
        bridge: bridges.contains(&own_bridge.as_str()),
        rules: rules.contains(&own_rules.as_str()),
        other_bridge: bridges.iter().any(|name| *name != own_bridge),
        other_rules: rules.iter().any(|name| *name != own_rules),
    })
}

/// Whether a cluster of any root has this name before the suffix: `corten`, or `corten-` and six digits.
fn is_ours(name: &str, suffix: &str) -> bool {
    let Some(rest) = name.strip_suffix(suffix).and_then(|name| name.strip_prefix("corten")) else { return false };
    rest.is_empty()
        || rest
            .strip_prefix('-')
            .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|one| one.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use corten_net::nftables::{Family, Table, Transaction};
    use nix::unistd::Uid;

    use super::*;

    fn found(settings: &[(&str, &str)]) -> Found {
        Found { settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
    }

    #[track_caller]
    fn check(found: Option<&Found>, present: Present, want: &[(&str, &str)]) {
        let got = plan(found, present);
        assert_eq!(got.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_was_found_comes_back_unless_another_cluster_needs_it() {
        let was = found(&[(IP_FORWARD, "0"), (ROUTE_LOCALNET, "1")]);
        let alone = Present { bridge: true, rules: true, ..Present::default() };
        check(Some(&was), alone, &[(ROUTE_LOCALNET, "1"), (IP_FORWARD, "0")]);
        check(Some(&was), Present { other_bridge: true, ..alone }, &[(ROUTE_LOCALNET, "1")]);
        check(Some(&was), Present { other_bridge: true, other_rules: true, ..alone }, &[]);
        // Unknown: what is dangerous goes off if it was us, and nobody else's is touched.
        check(None, alone, &[(ROUTE_LOCALNET, "0")]);
        check(Some(&Found::default()), alone, &[(ROUTE_LOCALNET, "0")]);
        check(None, Present { bridge: true, ..Present::default() }, &[]);
        check(None, Present::default(), &[]);
    }

    #[test]
    fn only_clusters_have_their_names() {
        for (name, want) in [
            ("corten-proxy", true),
            ("corten-12ab34-proxy", true),
            ("corten-12ab3-proxy", false),
            ("corten-cni", false),
            ("kube-proxy", false),
        ] {
            assert_eq!(is_ours(name, "-proxy"), want, "{name}");
        }
        assert!(is_ours("corten0", "0") && !is_ours("eth0", "0"));
    }

    /// `down` once left `route_localnet` on and took the guard away: neighbours reached 127.0.0.1 (CVE-2020-8558).
    #[test]
    fn privileged_settings_are_after_the_end_what_they_were_before_the_start() {
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root can make a network namespace");
            return;
        }
        let (directory, host) = (tempfile::tempdir().unwrap(), Netns::create().unwrap());
        let places = Places::new(directory.path()).unwrap();
        let read = || [IP_FORWARD, ROUTE_LOCALNET].map(|name| sysctl::read(&host, name).unwrap());
        let set = |forward: &str, localnet: &str| {
            sysctl::write_all(&host, &[(IP_FORWARD, forward), (ROUTE_LOCALNET, localnet)]).unwrap();
        };
        set("0", "0");
        remember(&places, &host).unwrap();
        set("1", "1");
        // A start after a kill remembers what the first one found.
        remember(&places, &host).unwrap();
        assert_eq!(
            put_back(&places, &host).unwrap().unwrap(),
            "set net.ipv4.conf.all.route_localnet=0 and net.ipv4.ip_forward=0"
        );
        assert_eq!(read(), ["0", "0"]);
        assert_eq!(put_back(&places, &host).unwrap(), None);
        // The record is lost, and our rules are there.
        let nftables = Nftables::open_in(&host).unwrap();
        if !nftables.is_supported().unwrap() {
            eprintln!("not all was tried: this kernel has no nftables");
            return;
        }
        set("1", "1");
        fs::remove_file(&places.found_settings()).unwrap();
        assert_eq!(put_back(&places, &host).unwrap(), None, "somebody else's");
        let mut transaction = Transaction::new();
        transaction.add_table(&Table::new(Family::Ip4, places.proxy_table()));
        nftables.commit(&transaction).unwrap();
        remember(&places, &host).unwrap();
        put_back(&places, &host).unwrap().unwrap();
        assert_eq!(read(), ["1", "0"]);
    }
}
