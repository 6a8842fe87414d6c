//! Brings a watch from the past up to the events that the hub remembers, page by page from the table.

use std::sync::Arc;

use bytes::Bytes;
use corten_base::Shutdown;
use corten_storage::{
    kv::{Event, KvError, Revision, WatchBatch},
    mvcc::{Attach, Row, watch_hub::WatchSender},
};
use rusqlite::Connection;

use crate::{
    engine::Shared,
    error::{Damage, MediumError},
    format::{self, StoredRow},
    readers,
};

/// How many revisions one page covers: so that a reader's snapshot is short and does not hold checkpoints up.
const PAGE_REVISIONS: u64 = 1_024;

/// After how many bytes of values a page ends.
const PAGE_BYTES: usize = 4 << 20;

/// Sends `sender` what happened under `prefix` after the revision `position`, then hands it to the hub. Ends early when the
/// consumer goes or `shutdown` comes.
pub(crate) async fn run(
    shared: Arc<Shared>,
    prefix: Bytes,
    mut position: Revision,
    mut sender: WatchSender,
    shutdown: Shutdown,
) {
    loop {
        let (until, behind) = match shared.hub.attach(&prefix, position, sender) {
            Attach::Attached | Attach::Closed => return,
            Attach::Behind { until, sender } => (until.min(position + PAGE_REVISIONS), sender),
        };
        sender = behind;
        let message = page(&shared, &prefix, position, until).await;
        let failed = message.is_err();
        if let Ok(batch) = &message {
            position = batch.revision;
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            is_received = sender.send(message) => if failed || !is_received { return },
        }
    }
}

/// The events under `prefix` in `(after, until]`, or fewer if they are large.
async fn page(shared: &Arc<Shared>, prefix: &Bytes, after: Revision, until: Revision) -> Result<WatchBatch, KvError> {
    let (reader, watched) = (Arc::clone(shared), prefix.clone());
    let page = shared.readers.run(move |connection| read_page(&reader, connection, &watched, after, until)).await;
    // Compaction moves its revision before it removes rows: if it has not passed `after` yet, the page is whole.
    shared.index.read().readable(Some(after))?;
    page.map_err(readers::read_failed)
}

fn read_page(
    shared: &Shared,
    connection: &Connection,
    prefix: &[u8],
    after: Revision,
    until: Revision,
) -> Result<WatchBatch, MediumError> {
    let mut found: Vec<Row> = Vec::new();
    let (mut revision, mut bytes) = (after, 0);
    let mut statement = connection.prepare_cached(format::SELECT_ROWS_AFTER)?;
    let mut rows = statement.query([after as i64, until as i64])?;
    while bytes < PAGE_BYTES {
        let Some(row) = rows.next()? else {
            revision = until;
            break;
        };
        // Looking at the key first spares the reading of values that nobody wants.
        let rev: i64 = row.get(0)?;
        let key = row.get_ref(1)?.as_blob().map_err(|_| Damage::Row(rev))?;
        revision = rev as u64;
        if key.starts_with(prefix) {
            let row = StoredRow::read(row)?.to_row(None);
            bytes += row.value.as_ref().map_or(0, Bytes::len);
            found.push(row);
        }
    }
    drop(rows);
    let previous: Vec<Option<Revision>> = {
        let index = shared.index.read();
        found.iter().map(|row| Some(index.at(&row.key, row.revision - 1)?.mod_revision)).collect()
    };
    let events: Result<Arc<[Event]>, MediumError> = found
        .into_iter()
        .zip(previous)
        .map(|(row, previous)| {
            let previous = previous.map(|previous| shared.value(connection, previous)).transpose()?;
            Ok(row.event(previous))
        })
        .collect();
    Ok(WatchBatch { events: events?, revision })
}
