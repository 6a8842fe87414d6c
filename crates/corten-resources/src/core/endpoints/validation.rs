//! Rules of endpoints.

use corten_api::core::v1::{EndpointAddress, Endpoints};
use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_label, is_qualified_name},
};

use super::repack::addresses_repacked;
use crate::{
    core::service::non_special_ip,
    older_addresses::OlderAddresses,
    report::{Report, with_view},
    view::{each, list, text},
};

/// How many addresses the subsets may have once ports with the same addresses have come together: more than fit into an
/// object that is stored.
const ADDRESSES_MAX: usize = 250_000;

pub(super) fn subsets(features: &Features, object: &Value) -> ErrorList {
    let older = OlderAddresses::new(features);
    let mut errors = with_view(object, |endpoints: &Endpoints, errors| {
        for (at, subset) in each(&endpoints.subsets, &Path::new("subsets")) {
            if list(&subset.addresses).is_empty() && list(&subset.not_ready_addresses).is_empty() {
                errors.required(&at, "must specify `addresses` or `notReadyAddresses`");
            }
            for (field, addresses) in
                [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)]
            {
                for (at, one) in each(addresses, &at.child(field)) {
                    address(one, &at, &older, errors);
                }
            }
            let needs_name = list(&subset.ports).len() > 1;
            for (at, port) in each(&subset.ports, &at.child("ports")) {
                let name = text(&port.name);
                if !name.is_empty() {
                    errors.invalids(&at.child("name"), name, is_dns1123_label(name));
                } else if needs_name {
                    errors.required(&at.child("name"), "");
                }
                errors.port(&at.child("port"), port.port.into());
                errors.require_one_of(&at.child("protocol"), text(&port.protocol), &["SCTP", "TCP", "UDP"]);
                if let Some(protocol) = &port.app_protocol {
                    errors.invalids(&at.child("appProtocol"), protocol, is_qualified_name(protocol));
                }
            }
        }
    });
    let addresses = addresses_repacked(object);
    if addresses > ADDRESSES_MAX {
        errors.push(Error::too_many(&Path::new("subsets"), addresses, ADDRESSES_MAX));
    }
    errors
}

fn address(address: &EndpointAddress, path: &Path, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    errors.extend(older.ip(&path.child("ip"), &address.ip));
    if !text(&address.hostname).is_empty() {
        errors.invalids(&path.child("hostname"), text(&address.hostname), is_dns1123_label(text(&address.hostname)));
    }
    if let Some(node) = &address.node_name {
        errors.object_name(&path.child("nodeName"), node);
    }
    non_special_ip(&address.ip, &path.child("ip"), errors);
}
