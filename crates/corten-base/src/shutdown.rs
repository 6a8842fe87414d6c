//! One signal that tells every task to finish: requested once, seen by all, children end with their parent.

use tokio_util::sync::CancellationToken;

/// The receiving end: cheap to clone, handed to every component.
#[derive(Debug, Clone)]
pub struct Shutdown(CancellationToken);

/// The sending end, held by whoever decides. Dropping it requests nothing.
#[derive(Debug, Clone)]
pub struct ShutdownTrigger(CancellationToken);

impl Shutdown {
    /// A new signal and its trigger.
    #[must_use]
    pub fn new() -> (ShutdownTrigger, Self) {
        let token = CancellationToken::new();
        (ShutdownTrigger(token.clone()), Self(token))
    }

    /// A signal that ends with this one, or earlier by its own trigger.
    #[must_use]
    pub fn child(&self) -> (ShutdownTrigger, Self) {
        let token = self.0.child_token();
        (ShutdownTrigger(token.clone()), Self(token))
    }

    /// Completes once shutdown is requested. Cancel-safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether shutdown was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl ShutdownTrigger {
    /// Requests shutdown; every later call does nothing.
    pub fn request(&self) {
        self.0.cancel();
    }
}
