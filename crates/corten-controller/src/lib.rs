//! What controllers are made of: workqueues, the reconcile loop, expectations, ownership, descriptors.
//!
//! Flow: informer handlers (`enqueue`, filtered by `predicate`) -> `WorkQueue` -> `Runner` -> `Reconciler` -> client.
//! Invariant: a key is reconciled by one worker at a time, and a change that comes meanwhile is reconciled after it.
//! Upstream: k8s.io/client-go/util/workqueue, pkg/controller/controller_utils.go and controller_ref_manager.go (v1.35).
#![forbid(unsafe_code)]

pub mod descriptor;
pub mod enqueue;
pub mod expectations;
pub mod owner;
pub mod predicate;
pub mod reconciler;
pub mod runner;
pub mod workqueue;

pub use corten_informer::Key;
pub use descriptor::{ClientFactory, Context, Controller, ControllerDescriptor};
pub use enqueue::Enqueue;
pub use expectations::{Expectations, UidTrackingExpectations};
pub use owner::{ControllerRefManager, Owner};
pub use predicate::Predicate;
pub use reconciler::{ReconcileError, Reconciler, Requeue};
pub use runner::Runner;
pub use workqueue::{RateLimit, WorkQueue};
