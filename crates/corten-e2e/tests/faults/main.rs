//! Faults as clients see them: the real process over HTTP/2 and TLS, killed, on a full disk, among watchers that do not read.

mod client;
mod protobuf;

mod checker;
mod history;
mod resources;
mod watching;
mod writing;

mod crowd;
mod disk;
mod expiry;
mod hostile;
mod restarts;

/// Whether there is time for the long form of a test: `cargo xtask test --all`.
fn is_long() -> bool {
    std::env::var_os("CORTEN_FAULTS_LONG").is_some()
}
