//! Waits for an object that is about to be made by somebody else.

use std::{sync::Arc, time::Duration};

use corten_apimachinery::{status::Status, stored::Stored};
use corten_apiserver::registry::read_failure;
use corten_base::{Clock, timeout};
use corten_storage::cacher::Cacher;

/// The object under `key`, which may appear within `patience`; `None` if it does not.
///
/// Errors: the cache cannot answer now.
pub(super) async fn wait_for(
    cacher: &Cacher,
    key: &str,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<Option<Arc<Stored>>, Status> {
    let (snapshot, mut watcher) = cacher.watch_from_now(0).await.map_err(read_failure)?;
    if let Some(object) = snapshot.get(key) {
        return Ok(Some(Arc::clone(object)));
    }
    let appears = async {
        let mut events = Vec::new();
        while cacher.get(key).is_none() && watcher.next(&mut events).await.is_ok() {
            events.clear();
        }
        cacher.get(key)
    };
    Ok(timeout(clock, patience, appears).await.unwrap_or_default())
}
