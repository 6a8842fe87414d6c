//! What every component needs and no Kubernetes word touches: time, randomness, tasks, shutdown, back-off, files, mounts.
//!
//! Everything here exists so that the rest of the workspace can be run under a simulator: nothing above this crate asks
//! the operating system for the time, for random bytes or for a detached task.

pub mod backoff;
pub mod blocking;
pub mod clock;
pub mod error_chain;
pub mod fs;
pub mod go_bool;
pub mod keep_alive;
pub mod memory;
pub mod mounts;
pub mod platform;
pub mod rng;
pub mod secret;
pub mod shutdown;
pub mod task_set;

pub use backoff::Backoff;
pub use clock::{Clock, Elapsed, SharedClock, SimClock, SystemClock, timeout};
pub use error_chain::ErrorChain;
pub use go_bool::parse_bool;
pub use keep_alive::KeepAlive;
pub use rng::{Rng, SharedRng, SimRng, SystemRng};
pub use secret::Secret;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use task_set::{SetExecutor, TaskPanic, TaskSet, panic_message};
