//! Deletion of many objects: of a collection, or of all that a definition had.

use std::sync::Arc;

use corten_apimachinery::{resource::DeleteOptions, status::Status, stored::Stored};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use super::{
    delete::Deleted,
    store::{Store, WriteContext},
};

/// How many objects are deleted side by side, so that the engine commits many at once.
const DELETIONS_AT_ONCE: usize = 64;

impl Store {
    /// Deletes `objects`, each in its own namespace, or begins to. What has gone already is no failure: somebody else was
    /// faster.
    ///
    /// Errors: the first refusal; then nothing more is begun, and what was begun has been seen to its end.
    pub async fn delete_all<'a>(
        &'a self,
        cx: WriteContext<'a>,
        objects: &'a [Arc<Stored>],
        options: &'a DeleteOptions,
    ) -> Result<(), Status> {
        let mut waiting = objects.iter();
        let mut running = FuturesUnordered::new();
        let mut failed = None;
        loop {
            while failed.is_none()
                && running.len() < DELETIONS_AT_ONCE
                && let Some(object) = waiting.next()
            {
                running.push(self.delete_one(
                    WriteContext { namespace: &object.namespace, ..cx },
                    &object.name,
                    options,
                ));
            }
            match running.next().await {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(status)) if status.is_not_found() => {}
                Some(Err(status)) => _ = failed.get_or_insert(status),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// One object's deletion, boxed: many wait side by side.
    fn delete_one<'a>(
        &'a self,
        cx: WriteContext<'a>,
        name: &'a str,
        options: &'a DeleteOptions,
    ) -> BoxFuture<'a, Result<Deleted, Status>> {
        async move { self.delete(&cx, name, options).await }.boxed()
    }
}
