//! Rules of names and texts that all kinds share, with upstream's messages.
//!
//! Every function returns why a text is not what its name says, and nothing if it is. `ip` and `object_meta` report
//! against a field path instead, as upstream's do.
//! Upstream: k8s.io/apimachinery/pkg/util/validation and pkg/api/validate/content (v1.35).

mod ip;
mod names;
mod object_meta;
mod strict_ip;
mod text;

pub use ip::{
    cidr_warnings, ip_warnings, parse_cidr_sloppy, parse_ip_sloppy, validate_cidr, validate_ip, validate_ipv4,
};
pub use names::{
    is_dns1035_label, is_dns1035_label_prefixed, is_dns1123_label, is_dns1123_label_prefixed, is_dns1123_subdomain,
    is_dns1123_subdomain_prefixed, is_dns1123_subdomain_with_underscore, is_label_value, is_path_segment_name,
    is_path_segment_name_prefixed, is_qualified_name, is_wildcard_dns1123_subdomain,
};
pub use object_meta::{
    validate_annotations, validate_field_manager, validate_label_map, validate_label_name, validate_object_meta,
    validate_object_meta_update, validate_standard_finalizers,
};
pub use strict_ip::{
    is_smaller_part, validate_canonical_cidr, validate_canonical_ip, validate_cidr_form, validate_ip_form,
};
pub use text::{
    field_is_immutable, in_range, is_c_identifier, is_config_map_key, is_env_var_name, is_group_id,
    is_http_header_name, is_percent, is_port_name, is_port_number, is_relaxed_env_var_name, is_user_id,
    validate_domain_prefixed_path,
};

pub use messages::{inclusive_range, max_length, regex_message};

mod messages {
    //! The sentences that several rules share.

    /// A text is longer than `limit_bytes`.
    #[must_use]
    pub fn max_length(limit_bytes: usize) -> String {
        format!("must be no more than {limit_bytes} bytes")
    }

    /// A number is not in `min..=max`.
    #[must_use]
    pub fn inclusive_range(min: i64, max: i64) -> String {
        format!("must be between {min} and {max}, inclusive")
    }

    /// A text does not match `regex`; `examples` do.
    #[must_use]
    pub fn regex_message(message: &str, regex: &str, examples: &[&str]) -> String {
        if examples.is_empty() {
            return format!("{message} (regex used for validation is '{regex}')");
        }
        let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
        format!("{message} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
    }
}

#[cfg(test)]
mod tests;
