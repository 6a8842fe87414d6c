//! What tells allocated devices apart.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorType, Path, quote},
};

use crate::resource::rules::lists::{Key, shown_as, text};

/// A device, or a share of one.
///
/// Upstream: `SharedDeviceID` of k8s.io/dynamic-resource-allocation/structured (v1.35).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceId<'c> {
    driver: &'c str,
    pool: &'c str,
    device: &'c str,
    /// Empty for the whole device.
    share: &'c str,
}

impl<'c> DeviceId<'c> {
    /// The device of a result or of a driver's report.
    pub(crate) fn of(object: &'c Value) -> Self {
        let [driver, pool, device, share] = ["driver", "pool", "device", "shareID"].map(|field| text(object, field));
        Self { driver, pool, device, share }
    }

    /// How upstream's messages show it.
    pub(super) fn shown(&self) -> String {
        let fields = [("Driver", self.driver), ("Pool", self.pool), ("Device", self.device), ("ShareID", self.share)];
        format!("{{{}}}", fields.map(|(name, text)| format!("\"{name}\":{}", quote(text))).join(","))
    }
}

impl Key for DeviceId<'_> {
    fn duplicate(&self, path: &Path) -> Error {
        shown_as(ErrorType::Duplicate, path, &self.shown(), "")
    }
}
