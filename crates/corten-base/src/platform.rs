//! The machine's names in Go, and so in image formats and on nodes.

/// The architecture that this program was built for: `amd64`, `arm64`, ...
#[must_use]
pub const fn architecture() -> &'static str {
    // Go's other names are Rust's.
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        std::env::consts::ARCH
    }
}
