//! Names that the server makes.
//!
//! Upstream: k8s.io/apiserver/pkg/storage/names/generate.go (v1.35).

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

#[cfg(test)]
mod tests {
    use corten_base::SimRng;

    use super::generate;

    #[test]
    fn a_generated_name_keeps_to_a_dns_label() {
        let rng = SimRng::shared(1);
        let name = generate("web-", &*rng);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(generate(&"x".repeat(100), &*rng).len(), 63);
    }
}
