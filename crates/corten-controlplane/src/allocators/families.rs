//! Which families of addresses a service has, from what it says and what the cluster has. Pure.
//!
//! Upstream: pkg/registry/core/service/storage/alloc.go `initIPFamilyFields` (v1.35).

use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    validation::parse_ip_sloppy,
    value::Value,
};
use corten_resources::core::service::allocation;

use super::range::{family_of, other_family};

const IPS: [&str; 2] = ["spec", "clusterIPs"];
const FAMILIES: [&str; 2] = ["spec", "ipFamilies"];
const POLICY: [&str; 2] = ["spec", "ipFamilyPolicy"];

pub(super) fn texts(service: &Value, path: &[&str]) -> Vec<String> {
    service.items_at(path).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn set_texts(service: &mut Value, path: &[&str], texts: &[String]) {
    service.set(path, Value::array(texts.iter().map(|text| Value::from(text.as_str()))));
}

fn text<'s>(service: &'s Value, path: &[&str]) -> &'s str {
    service.str_at(path).unwrap_or_default()
}

pub(super) fn is_headless(service: &Value) -> bool {
    service.items_at(&IPS).first().and_then(Value::as_str) == Some("None")
}

pub(super) fn is_external_name(service: &Value) -> bool {
    text(service, &["spec", "type"]) == "ExternalName"
}

/// Whether an update leaves the addresses of a service of both families alone: then they stay even if the cluster has
/// gained or lost a family since.
pub(super) fn keeps_dual_stack(service: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else { return false };
    let is_same = |path: &[&str]| texts(service, path) == texts(old, path);
    !is_external_name(service)
        && text(service, &["spec", "type"]) == text(old, &["spec", "type"])
        && text(service, &POLICY) == "PreferDualStack"
        && text(old, &POLICY) == "PreferDualStack"
        && is_same(&IPS)
        && is_same(&FAMILIES)
}

/// Settles policy and families of `service`. `cluster` are the cluster's families, the default first.
pub(super) fn settle(service: &mut Value, old: Option<&Value>, cluster: &[&str]) -> Result<(), ErrorList> {
    if is_external_name(service) || keeps_dual_stack(service, old) {
        return Ok(());
    }
    let has_selector = service.at(&["spec", "selector"]).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    let is_free = text(service, &["spec", "clusterIP"]) == "None" && !has_selector;
    if text(service, &POLICY).is_empty() {
        let policy = match old.map(|old| text(old, &POLICY)) {
            Some(kept) if !kept.is_empty() => kept,
            _ if is_free => "RequireDualStack",
            _ => "SingleStack",
        };
        service.set(&POLICY, policy);
    }
    refuse(allocation::validate_cluster_ips(service))?;
    refuse(reconcile(service, old, cluster))?;
    let mut families = texts(service, &FAMILIES);
    let is_single = text(service, &POLICY) == "SingleStack";
    // Whoever has neither a selector nor an address may have any families.
    if !is_free {
        refuse(check(service, &families, cluster))?;
    }
    if families.is_empty() {
        families.extend(cluster.first().map(|&family| family.to_owned()));
    }
    if !is_single && families.len() == 1 && (is_free || cluster.len() == 2) {
        let other = other_family(&families[0]).to_owned();
        families.push(other);
    }
    set_texts(service, &FAMILIES, &families);
    Ok(())
}

fn refuse(errors: ErrorList) -> Result<(), ErrorList> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Makes addresses, families and policy agree, where it is clear what was meant.
fn reconcile(service: &mut Value, old: Option<&Value>, cluster: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let policy_at = spec.child("ipFamilyPolicy");
    let policy = text(service, &POLICY).to_owned();
    let is_single = policy == "SingleStack";
    if let Some(old) = old {
        for (path, what) in [(IPS, "cluster IP"), (FAMILIES, "IP family")] {
            let (was, now) = (texts(old, &path), texts(service, &path));
            if is_single {
                if was == now && now.len() > 1 {
                    set_texts(service, &path, &now[..1]);
                }
            } else if !now.is_empty() && now.len() < was.len() && now[0] == was[0] {
                let detail = format!("must be 'SingleStack' to release the secondary {what}");
                errors.push(Error::invalid(&policy_at, policy.as_str(), detail));
            }
        }
    }
    if is_single {
        for (path, what) in [(IPS, "cluster IPs"), (FAMILIES, "IP families")] {
            if service.items_at(&path).len() == 2 {
                let detail =
                    format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
                errors.push(Error::invalid(&policy_at, policy.as_str(), detail));
            }
        }
    }
    let ips = texts(service, &IPS);
    let mut families = texts(service, &FAMILIES);
    for (index, ip) in ips.iter().enumerate() {
        let Some(address) = parse_ip_sloppy(ip) else { break };
        if index < families.len() {
            continue;
        }
        let family = family_of(address);
        if cluster.contains(&family) {
            families.push(family.to_owned());
        } else {
            let shown = Value::array(ips.iter().map(|ip| Value::from(ip.as_str())));
            let detail = format!("{family} is not configured on this cluster");
            errors.push(Error::invalid(&spec.child("clusterIPs").index(index), shown, detail));
        }
    }
    if !families.is_empty() {
        set_texts(service, &FAMILIES, &families);
    }
    errors
}

/// What the service asks for has to be there.
fn check(service: &Value, families: &[String], cluster: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let policy = text(service, &POLICY);
    if policy == "RequireDualStack" && cluster.len() < 2 {
        let detail = "this cluster is not configured for dual-stack services";
        errors.push(Error::invalid(&spec.child("ipFamilyPolicy"), policy, detail));
    }
    for (index, family) in families.iter().enumerate().filter(|(_, family)| !cluster.contains(&family.as_str())) {
        let at = spec.child("ipFamilies").index(index);
        errors.push(Error::invalid(&at, family.as_str(), "not configured on this cluster"));
    }
    errors
}
