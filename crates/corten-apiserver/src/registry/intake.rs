//! Whether new objects of a resource are taken.
//!
//! All stores that a custom resource has had share one: requests that came before a change of its definition still write
//! through an older store. Who closes it knows that no create is under way: each has entered before it is written, and has
//! left once the engine has answered and consistent reads wait for it, also if its client has gone.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// Open until it is closed for good. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Intake {
    is_closed: Arc<RwLock<bool>>,
}

/// A create under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    _is_closed: OwnedRwLockReadGuard<bool>,
}

impl Intake {
    /// Begins a create; `None` if none may begin any more.
    pub(super) async fn enter(&self) -> Option<Entered> {
        let is_closed = Arc::clone(&self.is_closed).read_owned().await;
        (!*is_closed).then_some(Entered { _is_closed: is_closed })
    }

    /// Lets no create begin from now on: when this returns, all that had begun have ended. Cancel-safe: what has been asked
    /// for is then to be asked for again.
    pub(super) async fn close(&self) {
        *self.is_closed.write().await = true;
    }
}
