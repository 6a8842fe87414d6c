//! Rules of what drivers report of allocated devices.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, ErrorType, Path, quote},
    validation::parse_cidr_sloppy,
};

use super::device_id::DeviceId;
use crate::{
    conditions,
    report::Report,
    resource::rules::{
        lists::{each_unique, itself, present, shown_as, text},
        names, opaque,
    },
};

const CONDITIONS_MAX: usize = 8;
const INTERFACE_NAME_MAX_BYTES: usize = 256;
const HARDWARE_ADDRESS_MAX_BYTES: usize = 128;
const IPS_MAX: usize = 16;

/// Every rule that the report about one device breaks.
pub(super) fn validate(device: &Value, allocated: &BTreeSet<DeviceId<'_>>, path: &Path, errors: &mut ErrorList) {
    names::driver_name(text(device, "driver"), &path.child("driver"), errors);
    names::pool_name(text(device, "pool"), &path.child("pool"), errors);
    names::label(text(device, "device"), &path.child("device"), errors);
    if let Some(share) = present(device, "shareID").and_then(Value::as_str) {
        names::uid(share, &path.child("shareID"), errors);
    }
    let id = DeviceId::of(device);
    if !allocated.contains(&id) {
        let detail = "must be an allocated device in the claim";
        errors.push_with(|| shown_as(ErrorType::Invalid, path, &id.shown(), detail));
    }
    let (list, at) = (device.items_at(&["conditions"]), path.child("conditions"));
    if list.len() > CONDITIONS_MAX {
        errors.push(Error::too_many(&at, list.len(), CONDITIONS_MAX));
    }
    conditions::validate(list, &at, errors);
    if let Some(data) = present(device, "data") {
        opaque::any_object(Some(data), false, &path.child("data"), errors);
    }
    if let Some(data) = present(device, "networkData") {
        network(data, &path.child("networkData"), errors);
    }
}

fn network(data: &Value, path: &Path, errors: &mut ErrorList) {
    for (field, max_bytes) in
        [("interfaceName", INTERFACE_NAME_MAX_BYTES), ("hardwareAddress", HARDWARE_ADDRESS_MAX_BYTES)]
    {
        if text(data, field).len() > max_bytes {
            errors.push(Error::too_long(&path.child(field), max_bytes));
        }
    }
    each_unique(data.items_at(&["ips"]), IPS_MAX, &path.child("ips"), errors, interface_address, itself);
}

/// An address with the length of its network's prefix, in the one form that it is written in.
fn interface_address(address: &Value, path: &Path, errors: &mut ErrorList) {
    let address = itself(address);
    let Some((ip, length)) = parse_cidr_sloppy(address) else {
        let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        errors.invalid(path, address, detail);
        return;
    };
    let canonical = format!("{ip}/{length}");
    if address != canonical {
        errors.invalid(path, address, format!("must be in canonical form ({})", quote(&canonical)));
    }
}
