//! What an informer tells its consumers.

use std::sync::Arc;

use corten_apimachinery::stored::Stored;

/// Told of every change, one at a time and in order, after the store shows it.
///
/// Called on the reflector's task: a handler puts keys into queues and returns. It may read listers; it must not add
/// handlers to the informer that calls it.
pub trait Handler: Send + Sync + 'static {
    /// An object came into view.
    fn on_add(&self, object: &Arc<Stored>);

    /// An object changed. Both states have the same UID: an object that was deleted and made again is told as a delete
    /// and an add.
    fn on_update(&self, old: &Arc<Stored>, new: &Arc<Stored>);

    /// An object went out of view. With `final_state_unknown`, the delete itself was missed: `object` is the last state
    /// that was seen, and there may have been later ones.
    fn on_delete(&self, object: &Arc<Stored>, final_state_unknown: bool);
}
