//! Rules of lease candidates.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use super::semver::Version;
use crate::{
    coordination::coordinated::{self, OLDEST_EMULATION_VERSION},
    report::Report,
    tree::text_at,
};

pub(super) fn spec(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let text = |field: &str| text_at(object, &["spec", field]);
    let mut errors = ErrorList::new();
    errors.require(&path.child("leaseName"), text("leaseName"));
    // A version that is none counts as the least.
    let version = |field: &str, errors: &mut ErrorList| {
        let parsed = Version::parse(text(field));
        if parsed.is_none() && !text(field).is_empty() {
            errors.invalid(&path.child(field), text(field), "must be a valid semantic version");
        }
        parsed.unwrap_or_default()
    };
    let emulated = version("emulationVersion", &mut errors);
    let binary_at = path.child("binaryVersion");
    let has_binary = errors.require(&binary_at, text("binaryVersion"));
    let binary = version("binaryVersion", &mut errors);
    if has_binary && !text("emulationVersion").is_empty() && binary < emulated {
        let detail = "must be greater than or equal to `emulationVersion`";
        errors.invalid(&binary_at, text("binaryVersion"), detail);
    }
    let strategy = text("strategy");
    if errors.require(&path.child("strategy"), strategy) {
        if strategy == OLDEST_EMULATION_VERSION && emulated == Version::default() {
            let detail = "must be specified when `strategy` is 'OldestEmulationVersion'";
            errors.required(&path.child("emulationVersion"), detail);
        }
        coordinated::strategy(strategy, &path.child("strategy"), &mut errors);
    }
    errors
}

pub(super) fn update(object: &Value, old: &Value) -> ErrorList {
    let field = ["spec", "leaseName"];
    let mut errors = spec(object);
    errors.immutable(&Path::new("spec").child("leaseName"), object.at(&field), old.at(&field));
    errors
}
