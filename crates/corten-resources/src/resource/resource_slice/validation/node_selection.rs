//! Rules of which nodes can use devices: those of a slice, or of one device in it.

use corten_api::core::v1::NodeSelector;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::is_dns1123_subdomain,
    value::from_value,
};

use crate::{
    core::pod_spec::validation::node_selector,
    internal_form,
    report::{Report, unreadable},
    resource::rules::lists::present,
};

/// Whose nodes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeSelection {
    /// Those of all devices of a slice, unless each device says for itself.
    OfSlice,
    /// Those of one device.
    OfDevice,
}

impl NodeSelection {
    /// Exactly one of the fields that select nodes is set.
    pub(super) fn validate(self, object: &Value, path: &Path, errors: &mut ErrorList) {
        let mut set = Vec::new();
        if let Some(name) = object.str_at(&["nodeName"]) {
            let at = path.child("nodeName");
            if name.is_empty() {
                errors.invalid(&at, "", self.empty_name());
            } else {
                set.push("`nodeName`");
                errors.invalids(&at, name, is_dns1123_subdomain(name));
            }
        }
        if let Some(selector) = present(object, "nodeSelector") {
            set.push("`nodeSelector`");
            self.selector(selector, &path.child("nodeSelector"), errors);
        }
        for (field, shown) in self.truths() {
            match object.bool_at(&[field]) {
                Some(true) => set.push(shown),
                Some(false) => errors.invalid(&path.child(field), false, "must be either unset or set to true"),
                None => {}
            }
        }
        match set.len() {
            0 => errors.required(path, self.needs_one()),
            1 => {}
            _ => errors.invalid(path, format!("{{{}}}", set.join(", ")), self.has_several()),
        }
    }

    fn selector(self, selector: &Value, path: &Path, errors: &mut ErrorList) {
        match from_value::<NodeSelector>(selector) {
            Ok(selector) => node_selector(&selector, path, errors),
            Err(error) => errors.push(unreadable(&error)),
        }
        // Selectors of several slices are merged when devices of them are allocated.
        if self == Self::OfSlice && selector.items_at(&["nodeSelectorTerms"]).len() != 1 {
            let terms = selector.items_at(&["nodeSelectorTerms"]);
            let shown = || internal_form::core_list("NodeSelectorTerm", terms);
            let detail = "must have exactly one node selector term";
            errors.invalid_shown(&path.child("nodeSelectorTerms"), shown, detail);
        }
    }

    fn truths(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::OfSlice => &[("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")],
            Self::OfDevice => &[("allNodes", "`allNodes`")],
        }
    }

    fn empty_name(self) -> &'static str {
        match self {
            Self::OfSlice => "must be either unset or set to a non-empty string",
            Self::OfDevice => "must not be empty",
        }
    }

    fn needs_one(self) -> &'static str {
        match self {
            Self::OfSlice => {
                "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
            }
            Self::OfDevice => {
                "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set \
                 to true in the ResourceSlice spec"
            }
        }
    }

    fn has_several(self) -> &'static str {
        match self {
            Self::OfSlice => {
                "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple \
                 fields are set"
            }
            Self::OfDevice => self.needs_one(),
        }
    }
}
