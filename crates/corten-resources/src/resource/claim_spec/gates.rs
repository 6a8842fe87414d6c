//! Fields of requests behind feature gates that are off.
//!
//! Upstream: pkg/api/resourceclaimspec/util.go (v1.35).

use corten_apimachinery::{Features, Value};

use crate::{
    defaulting::{each, within},
    resource::rules::lists::present,
};

/// Which features an object that is there already uses: their fields stay, whatever the gates say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InUse {
    /// Requests with alternatives.
    pub(crate) prioritized_list: bool,
    /// Devices that others use, for watching them.
    pub(crate) admin_access: bool,
    /// Parts of devices.
    pub(crate) consumable_capacity: bool,
    /// Devices with taints.
    pub(crate) tolerations: bool,
}

impl InUse {
    /// What the requests and constraints of `devices` use.
    pub(crate) fn of(devices: Option<&Value>) -> Self {
        let Some(devices) = devices else { return Self::default() };
        let mut uses = Self::default();
        for constraint in devices.items_at(&["constraints"]) {
            uses.consumable_capacity |= present(constraint, "distinctAttribute").is_some();
        }
        for request in devices.items_at(&["requests"]) {
            let alternatives = request.items_at(&["firstAvailable"]);
            uses.prioritized_list |= !alternatives.is_empty();
            uses.consumable_capacity |= alternatives.iter().any(|other| present(other, "capacity").is_some());
            uses.tolerations |= alternatives.iter().any(tolerates);
            if let Some(exactly) = present(request, "exactly") {
                uses.tolerations |= tolerates(exactly);
                uses.admin_access |= present(exactly, "adminAccess").is_some();
                uses.consumable_capacity |= present(exactly, "capacity").is_some();
            }
        }
        uses
    }

    /// What may stay: what is in use, and what a gate that is on allows.
    pub(crate) fn or_enabled(self, features: &Features) -> Self {
        Self {
            prioritized_list: self.prioritized_list || features.is_enabled("DRAPrioritizedList"),
            admin_access: self.admin_access || features.is_enabled("DRAAdminAccess"),
            consumable_capacity: self.consumable_capacity || features.is_enabled("DRAConsumableCapacity"),
            tolerations: self.tolerations || features.is_enabled("DRADeviceTaints"),
        }
    }
}

/// Takes out of the requests and constraints of `devices` what may not stay.
pub(crate) fn drop_disabled(devices: &mut Value, stays: InUse) {
    let InUse { prioritized_list, admin_access, consumable_capacity, tolerations } = stays;
    if prioritized_list && admin_access && consumable_capacity && tolerations {
        return;
    }
    let parts = |asked: &mut Value| {
        if !consumable_capacity {
            asked.unset(&["capacity"]);
        }
        if !tolerations {
            asked.unset(&["tolerations"]);
        }
    };
    if !consumable_capacity {
        each(devices, &["constraints"], |constraint| {
            constraint.unset(&["distinctAttribute"]);
        });
    }
    each(devices, &["requests"], |request| {
        if !prioritized_list {
            request.unset(&["firstAvailable"]);
        }
        within(request, &["exactly"], |exactly| {
            if !admin_access {
                exactly.unset(&["adminAccess"]);
            }
            parts(exactly);
        });
        each(request, &["firstAvailable"], parts);
    });
}

fn tolerates(asked: &Value) -> bool {
    !asked.items_at(&["tolerations"]).is_empty()
}
