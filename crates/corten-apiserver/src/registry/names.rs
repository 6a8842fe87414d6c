//! Names that the server makes, and names that lead to no object.
//!
//! Upstream: k8s.io/apiserver/pkg/storage/names/generate.go, `NamespaceKeyFunc` and `NoNamespaceKeyFunc` in
//! registry/generic/registry/store.go (v1.35).

use corten_apimachinery::{
    field::quote,
    status::{Reason, Status},
    validation::is_path_segment_name,
};
use corten_base::Rng;

/// How many random characters are added.
const SUFFIX: usize = 5;

/// The longest base: names with their suffix stay within a DNS label.
const BASE_MAX: usize = 63 - SUFFIX;

/// A name that begins with `base`, cut if need be, and ends in random characters.
pub(super) fn generate(base: &str, rng: &dyn Rng) -> String {
    let mut end = base.len().min(BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &base[..end], rng.name_suffix(SUFFIX))
}

/// Refuses a name that cannot be a segment of a path.
///
/// Errors: `BadRequest`.
pub fn check_name(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::bad_request("Name parameter required."));
    }
    let complaints = is_path_segment_name(name);
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Status::bad_request(format!("Name parameter invalid: {}: {}", quote(name), complaints.join(";"))))
}

/// Refuses a namespace that is a way to elsewhere where keys are paths: in one, objects of this resource or, if it is not empty,
/// the one of this name. No such namespace can be made; upstream's storage refuses the key.
///
/// Errors: 500 without a reason, in upstream's words.
/// Upstream: `PrepareKey` in k8s.io/apiserver/pkg/storage (v1.35).
pub(super) fn check_namespace(storage_prefix: &str, namespace: &str, name: &str) -> Result<(), Status> {
    if !matches!(namespace, "." | "..") {
        return Ok(());
    }
    let slash = if name.is_empty() { "" } else { "/" };
    let key = format!("/{storage_prefix}/{namespace}{slash}{name}");
    Err(Status::new(Reason::Unknown, format!("invalid key: {}", quote(&key))))
}

#[cfg(test)]
mod tests {
    use corten_base::SimRng;

    use super::{check_name, generate};

    #[test]
    fn a_name_that_is_no_path_segment_leads_nowhere() {
        assert_eq!(check_name("a.b"), Ok(()));
        for (name, why) in [
            ("..", "Name parameter invalid: \"..\": may not be '..'"),
            (".", "Name parameter invalid: \".\": may not be '.'"),
            ("a/%", "Name parameter invalid: \"a/%\": may not contain '/';may not contain '%'"),
            ("", "Name parameter required."),
        ] {
            let refused = check_name(name).unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (400, why));
        }
    }

    #[test]
    fn a_generated_name_keeps_to_a_dns_label() {
        let rng = SimRng::shared(1);
        let name = generate("web-", &*rng);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(generate(&"x".repeat(100), &*rng).len(), 63);
    }
}
