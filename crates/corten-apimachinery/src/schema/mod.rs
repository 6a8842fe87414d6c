//! Structural schemas: what a custom resource's objects look like, and everything that follows from it.
//!
//! Flow of an object: `prune` and `coerce_object_meta` after decoding, `prune_nulls_without_defaults` and `apply_defaults`,
//! then `validate_object` (or `_update`), and rules in CEL (which are not this crate's) unless `rules_not_checked`.
//! Flow of a definition: `Structural::from_props`, `validate_structural`, `validate_defaults`.
//! Depth is bounded: no schema is deeper than `SCHEMA_DEPTH_MAX`, and what walks an object walks the schema with it.
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema, pkg/apiserver/validation (v1.35).

mod structural;

mod convert;
mod correlation;
mod default_rules;
mod defaulting;
mod field_path;
mod list_type;
mod object_meta;
mod object_rules;
mod pattern;
pub mod props;
mod prune;
mod publish;
mod published;
mod structural_rules;
mod types;
mod value_rules;

pub use convert::{ConvertError, SCHEMA_DEPTH_MAX};
pub use correlation::{Correlation, OldItems};
pub use default_rules::{CheckRules, has_unpruned_defaults, prune_defaults, validate_defaults};
pub use defaulting::{apply_defaults, prune_nulls_without_defaults};
pub use field_path::resolve_field_path;
pub use list_type::validate_lists;
pub use object_meta::{MetaType, coerce_object_meta, validate_embedded};
pub use object_rules::{rules_not_checked, validate_object, validate_object_update};
pub use pattern::Pattern;
pub use prune::{UnknownFields, prune};
pub use publish::{publish, publish_list};
pub use published::Published;
pub use structural::{
    AdditionalProperties, Extensions, Generic, NestedAdditionalProperties, NestedValueValidation, Structural,
    ValidationRule, ValueValidation,
};
pub use structural_rules::validate_structural;
pub(crate) use types::LIST_META;
pub use types::{CustomKind, to_types};
pub use value_rules::{is_known_format, unrecognized_formats, validate_value, validate_value_update};

#[cfg(test)]
mod tests;
