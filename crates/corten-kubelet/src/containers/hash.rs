//! The hash of a container's spec: what may not change while it runs.
//!
//! Upstream: pkg/kubelet/container/helpers.go, `HashContainer` (v1.35): FNV-32a over the JSON of image and name. All other
//! fields are immutable in the API or change in place.

use corten_api::core::v1::Container;
use serde_json::json;

/// FNV-32a in hexadecimal, as the annotation carries it.
#[must_use]
pub fn of_container(container: &Container) -> String {
    let picked = json!({"image": container.image.clone().unwrap_or_default(), "name": container.name});
    format!("{:x}", fnv32a(picked.to_string().as_bytes()))
}

fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_image_and_name() {
        // Source: the test vectors of the FNV reference.
        assert_eq!(fnv32a(b""), 0x811c_9dc5);
        assert_eq!(fnv32a(b"foobar"), 0xbf9c_f968);
        let container =
            |image: &str| Container { name: "c".to_owned(), image: Some(image.to_owned()), ..Container::default() };
        assert_eq!(of_container(&container("a")), format!("{:x}", fnv32a(br#"{"image":"a","name":"c"}"#)));
        assert_ne!(of_container(&container("a")), of_container(&container("b")));
    }
}
