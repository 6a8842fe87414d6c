//! Whatever bytes are in place of a store's pages, they are refused or read; what is read has its checksums.

mod support;

use std::fs;

use corten_fuzz::Target;
use corten_storage::kv::Expected;
use corten_storage_sqlite::{SqliteEngine, format};

use support::{Open, commit, put};

const TARGETS: &[Target] = &[Target { name: "rows of a store", corpus, run: read }];

const ROWS: u64 = 6;

/// A copy of a store with a few rows.
fn whole() -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    runtime.block_on(async {
        let open = Open::new(&directory.path().join("store")).await;
        for n in 0..ROWS {
            commit(&*open.engine, put(&format!("/k/{n}"), Expected::Absent, vec![b'a'; 300])).await;
        }
        open.engine.backup(&copy).await.unwrap();
        open.close().await;
    });
    fs::read(copy).unwrap()
}

/// Beginnings and ends of pages: which page, which end, and what is there. In between there is nothing.
fn corpus() -> Vec<Vec<u8>> {
    let whole = whole();
    let part = |(n, page): (usize, &[u8])| {
        let (beginning, end) = (&page[..200], &page[page.len() - 2_400..]);
        [(0, beginning), (1, end)].map(|(which, part)| [&[n as u8, which], part].concat())
    };
    whole.chunks(format::PAGE_SIZE as usize).enumerate().flat_map(part).collect()
}

fn read(input: &[u8]) {
    thread_local! {
        static WHOLE: Vec<u8> = whole();
    }
    let [n, which, part @ ..] = input else { return };
    let (mut bytes, page) = (WHOLE.with(Vec::clone), format::PAGE_SIZE as usize);
    let (first, part) = (usize::from(*n) % (bytes.len() / page) * page, &part[..part.len().min(page)]);
    let at = if which % 2 == 0 { first } else { first + page - part.len() };
    bytes[at..at + part.len()].copy_from_slice(part);
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    fs::write(&backup, bytes).unwrap();
    // Reads and verifies every row.
    if let Ok(revision) = SqliteEngine::check_restore(&backup, &place.path().join("store")) {
        assert!(revision <= ROWS, "{revision}");
    }
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}
