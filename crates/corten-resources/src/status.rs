//! The `status` endpoint of kinds, which keeps apart what clients say and what controllers report.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use crate::rules::{keep, keep_metadata};

/// The rules of the change from an old object, the last argument, to a new one.
type Rules = fn(&Context<'_>, &Value, &Value) -> ErrorList;
/// What else is carried over from the old object, or filled in.
type Preparation = fn(&Context<'_>, &mut Value, &Value);
/// Paths of fields.
type Fields = &'static [&'static [&'static str]];

/// A `status` endpoint: the spec stays as it was.
#[derive(Debug)]
pub(crate) struct Status {
    rules: Rules,
    prepare: Preparation,
    keeps_metadata: bool,
    is_versioned: bool,
    resets: Fields,
}

impl Status {
    /// One whose writes follow `rules`.
    pub(crate) const fn new(rules: Rules) -> Self {
        let prepare: Preparation = |_cx, _object, _old| {};
        Self { rules, prepare, keeps_metadata: false, is_versioned: false, resets: &[&["spec"]] }
    }

    /// Labels, annotations and the like stay too.
    pub(crate) const fn keeping_metadata(self) -> Self {
        Self { keeps_metadata: true, resets: &[&["metadata"], &["spec"]], ..self }
    }

    /// An update has to name the version that it replaces.
    pub(crate) const fn versioned(self) -> Self {
        Self { is_versioned: true, ..self }
    }

    /// The last step before the rules.
    pub(crate) const fn preparing(self, prepare: Preparation) -> Self {
        Self { prepare, ..self }
    }

    /// What an apply through this endpoint does not own, where that is not what stays.
    pub(crate) const fn resetting(self, resets: Fields) -> Self {
        Self { resets, ..self }
    }
}

impl Strategy for Status {
    fn prepare_for_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["spec"]);
        if self.keeps_metadata {
            keep_metadata(object, old);
        }
        (self.prepare)(cx, object, old);
    }

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        (self.rules)(cx, object, old)
    }

    fn allow_unconditional_update(&self) -> bool {
        !self.is_versioned
    }

    fn reset_fields(&self) -> Fields {
        self.resets
    }
}
