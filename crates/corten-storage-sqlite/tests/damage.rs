//! Damaged files are refused, never served: flipped bits, missing rows, foreign files.

mod support;

use std::path::Path;

use corten_storage::{
    conformance::seeded_rng,
    kv::{Expected, KeyValue, KvError},
};
use corten_storage_sqlite::{Config, OpenError, SqliteEngine, format};

use support::{Open, clock, commit, config, delete, put, try_commit, whole};

/// Fills a store and returns what is in it. With history, a compacted past, and tombstones.
async fn fill(directory: &Path, objects: u64) -> Vec<KeyValue> {
    let open = Open::new(directory).await;
    let engine = &*open.engine;
    for n in 0..objects {
        let key = format!("/k/{n}");
        let created = commit(engine, put(&key, Expected::Absent, vec![b'a'; 700])).await;
        let updated = commit(engine, put(&key, Expected::ModRevision(created), vec![b'b'; 1_500])).await;
        if n % 5 == 0 {
            commit(engine, delete(&key, updated)).await;
        }
        if n == objects / 2 {
            engine.compact(updated).await.unwrap();
        }
    }
    let kvs = engine.list(whole()).await.unwrap().kvs;
    open.close().await;
    kvs
}

/// Opens a store that may be damaged: what it holds, or why it was refused.
async fn read(directory: &Path) -> Result<Vec<KeyValue>, OpenError> {
    let open = Open::try_new(config(directory), clock()).await?;
    let kvs = open.engine.list(whole()).await.unwrap().kvs;
    open.close().await;
    Ok(kvs)
}

#[tokio::test]
async fn a_flipped_bit_in_the_database_is_found_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let want = fill(directory.path(), 60).await;
    let database = directory.path().join(format::DATABASE_FILE);
    let (clean, rng) = (std::fs::read(&database).unwrap(), seeded_rng());
    let mut found = 0;
    for _ in 0..60 {
        let (byte, bit) = (rng.below(clean.len() as u64) as usize, rng.below(8));
        let mut damaged = clean.clone();
        damaged[byte] ^= 1 << bit;
        std::fs::write(&database, &damaged).unwrap();
        match read(directory.path()).await {
            Err(_) => {
                found += 1;
                let after = std::fs::read(&database).unwrap();
                // Bytes 18 and 19 say which kind of log the file has, 24 to 27 and 92 to 99 count changes.
                let differs = (100..after.len().max(damaged.len())).find(|n| after.get(*n) != damaged.get(*n));
                assert_eq!(differs, None, "a refused file stays as it was");
            }
            Ok(kvs) => assert_eq!(kvs, want, "bit {bit} of byte {byte} changed what is read"),
        }
    }
    assert!(found > 20, "only {found} of 60 were found: the file cannot have so much unused space");
}

#[tokio::test]
async fn a_missing_row_is_found() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 20).await;
    let database = directory.path().join(format::DATABASE_FILE);
    let clean = std::fs::read(&database).unwrap();
    let revisions = |connection: &rusqlite::Connection| -> Vec<i64> {
        let mut statement = connection.prepare("SELECT rev FROM kv ORDER BY rev").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let all = revisions(&rusqlite::Connection::open(&database).unwrap());
    // The last row is the one that cannot be missed.
    for revision in &all[..all.len() - 1] {
        std::fs::write(&database, &clean).unwrap();
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute("DELETE FROM kv WHERE rev = ?1", [revision]).unwrap();
        drop(connection);
        let error = read(directory.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "row {revision}: {error:?}");
        assert!(error.to_string().contains("restore the latest backup"), "{error}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_refused_and_a_torn_tail_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let open = Open::new(directory.path()).await;
    let mut revision = 0;
    for n in 0..30 {
        revision = commit(&*open.engine, put(&format!("/k/{n}"), Expected::Absent, vec![b'a'; 1_200])).await;
    }
    // While the store is open its log is not emptied: what a killed process would leave.
    let (database, log) = (format::DATABASE_FILE, format::LOG_FILE);
    let clean: Vec<_> =
        [database, log].iter().map(|file| (*file, std::fs::read(directory.path().join(file)).unwrap())).collect();
    open.close().await;
    let plant = |change: &dyn Fn(&mut Vec<u8>)| {
        for (file, bytes) in &clean {
            let mut bytes = bytes.clone();
            if *file == log {
                change(&mut bytes);
            }
            std::fs::write(copy.path().join(file), bytes).unwrap();
        }
        let _ = std::fs::remove_file(copy.path().join("corten.db-shm"));
    };
    plant(&|_| {});
    assert_eq!(read(copy.path()).await.unwrap().len(), 30, "the log alone holds everything");

    let (rng, length) = (seeded_rng(), clean[1].1.len());
    for _ in 0..30 {
        let byte = rng.below((length * 3 / 4) as u64) as usize;
        plant(&|bytes| bytes[byte] ^= 1 << (byte % 8));
        match read(copy.path()).await {
            Err(OpenError::Damaged { .. }) => {}
            other => panic!("byte {byte} of the log: {other:?}"),
        }
        assert_eq!(std::fs::read(copy.path().join(log)).unwrap().len(), length, "the log is still there");
    }
    // The last commit was being written when the power went.
    plant(&|bytes| bytes.truncate(length - 100));
    let open = Open::new(copy.path()).await;
    assert_eq!(open.engine.status().await.unwrap().revision, revision - 1);
    assert_eq!(commit(&*open.engine, put("/k/29", Expected::Absent, "again")).await, revision);
    open.close().await;
}

#[tokio::test]
async fn other_files_are_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join(format::DATABASE_FILE);
    let refused = async |what: &str| {
        let error = read(directory.path()).await.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    std::fs::write(&database, b"something else entirely").unwrap();
    refused("is not a store of corten").await;

    std::fs::remove_file(&database).unwrap();
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(connection);
    refused("is not a store of corten").await;

    std::fs::remove_file(&database).unwrap();
    fill(directory.path(), 3).await;
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.pragma_update(None, "user_version", format::VERSION + 1).unwrap();
    drop(connection);
    refused("start the newer version again").await;

    std::fs::remove_file(&database).unwrap();
    std::fs::write(directory.path().join(format::LOG_FILE), b"a log without its database").unwrap();
    refused("but not its database").await;
}

#[tokio::test]
async fn a_damaged_backup_is_not_restored_and_a_store_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let (store, copy) = (directory.path().join("store"), directory.path().join("copy"));
    fill(&store, 10).await;
    let open = Open::new(&store).await;
    open.engine.backup(&copy).await.unwrap();
    open.close().await;
    let error = SqliteEngine::restore(&copy, &store).unwrap_err();
    assert!(matches!(error, OpenError::Exists { .. }), "{error:?}");

    let mut bytes = std::fs::read(&copy).unwrap();
    // A page keeps remains of cells that were moved: a bit in each stretch hits at least one value that counts.
    for place in (0..bytes.len()).step_by(512).filter(|n| bytes[*n] == b'b').collect::<Vec<_>>() {
        bytes[place] ^= 1;
    }
    std::fs::write(&copy, &bytes).unwrap();
    let fresh = directory.path().join("fresh");
    let error = SqliteEngine::restore(&copy, &fresh).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(!fresh.exists(), "nothing was made");
}

/// A truncated database file once became a new, empty cluster without a word.
#[tokio::test]
async fn a_store_that_must_exist_is_never_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join(format::DATABASE_FILE);
    let must_exist = || Config { must_exist: true, ..config(directory.path()) };
    let refused = || async { Open::try_new(must_exist(), clock()).await.map(drop).unwrap_err().to_string() };
    assert!(refused().await.contains("is missing"));
    assert!(!database.exists());
    let want = fill(directory.path(), 5).await;
    let backup = directory.path().join("backup");
    let open = Open::try_new(must_exist(), clock()).await.unwrap();
    open.engine.backup(&backup).await.unwrap();
    open.close().await;
    std::fs::write(&database, b"").unwrap();
    let said = refused().await;
    assert!(said.contains("is empty") && said.contains("corten restore"), "{said}");
    assert_eq!(std::fs::metadata(&database).unwrap().len(), 0, "nothing is changed");
    // The cure works.
    SqliteEngine::restore(&backup, directory.path()).unwrap();
    assert_eq!(read(directory.path()).await.unwrap(), want);
}

/// A power cut, or a copy that was cut short, may leave half of the last page, or none of it.
#[tokio::test]
async fn a_torn_last_page_is_found_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let want = fill(directory.path(), 40).await;
    let database = directory.path().join(format::DATABASE_FILE);
    let clean = std::fs::read(&database).unwrap();
    let (page, mut found) = (format::PAGE_SIZE as usize, 0);
    let cut_short = |bytes: usize| clean[..clean.len() - bytes].to_vec();
    let zeroed = |from: usize, to: usize| {
        let mut bytes = clean.clone();
        let length = bytes.len();
        bytes[length - from..length - to].fill(0);
        bytes
    };
    let torn = [
        cut_short(1),
        cut_short(page / 2),
        cut_short(page),
        cut_short(3 * page),
        zeroed(page, 0),
        zeroed(page, page / 2),
        zeroed(page / 2, 0),
        zeroed(5 * page, 4 * page),
    ];
    for (n, bytes) in torn.iter().enumerate() {
        std::fs::write(&database, bytes).unwrap();
        match read(directory.path()).await {
            Ok(kvs) => assert_eq!(kvs, want, "case {n} changed what is read"),
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged { .. }), "case {n}: {error}");
                found += 1;
            }
        }
    }
    assert!(found >= 4, "only {found} were found");
}

/// New stores have larger pages than the first ones.
#[tokio::test]
async fn a_store_keeps_the_pages_that_it_was_made_with() {
    let directory = tempfile::tempdir().unwrap();
    let want = fill(directory.path(), 20).await;
    let connection = rusqlite::Connection::open(directory.path().join(format::DATABASE_FILE)).unwrap();
    let page_size = || connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(page_size(), format::PAGE_SIZE);
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM; PRAGMA journal_mode = WAL")
        .unwrap();
    assert_eq!(page_size(), 4096);
    let open = Open::new(directory.path()).await;
    assert_eq!(open.engine.list(whole()).await.unwrap().kvs, want);
    commit(&*open.engine, put("/new", Expected::Absent, "new")).await;
    open.close().await;
    assert_eq!((read(directory.path()).await.unwrap().len(), page_size()), (want.len() + 1, 4096));
    drop(connection);
    let other = "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; PRAGMA journal_mode = WAL";
    rusqlite::Connection::open(directory.path().join(format::DATABASE_FILE)).unwrap().execute_batch(other).unwrap();
    let refused = read(directory.path()).await.unwrap_err().to_string();
    assert!(refused.contains("page_size is 1024, not 4096 or 8192"), "{refused}");
}

/// What is damaged under a running engine is an error for who asks for it, and for nobody else.
#[tokio::test]
async fn a_bit_that_flips_while_the_store_is_open_is_never_served() {
    let directory = tempfile::tempdir().unwrap();
    let want = fill(directory.path(), 30).await;
    let database = directory.path().join(format::DATABASE_FILE);
    let (clean, rng) = (std::fs::read(&database).unwrap(), seeded_rng());
    for round in 0..40 {
        std::fs::write(&database, &clean).unwrap();
        let open = Open::new(directory.path()).await;
        let mut damaged = clean.clone();
        // Every second one is in a value, and has to be found: there is much room between them. What a page has no use for any
        // more may hold the same bytes, so all of them change.
        let is_in_value = round % 2 == 0;
        let bytes: Vec<usize> = if is_in_value {
            let kv = &want[round % want.len()];
            let row = [&kv.key[..], &kv.value[..16]].concat();
            let rows = clean.windows(row.len()).enumerate().filter(|(_, bytes)| **bytes == row);
            rows.map(|(at, _)| at + kv.key.len()).collect()
        } else {
            vec![rng.below(clean.len() as u64) as usize]
        };
        let (byte, bit) = (bytes[0], rng.below(8));
        bytes.iter().for_each(|&byte| damaged[byte] ^= 1 << bit);
        std::fs::write(&database, &damaged).unwrap();
        let mut lost = 0;
        for kv in &want {
            match open.engine.get(&kv.key, None).await {
                Ok(read) => assert_eq!(read.kv.as_ref(), Some(kv), "bit {bit} of byte {byte} changed what is read"),
                Err(KvError::Storage { .. }) => lost += 1,
                Err(other) => panic!("not {other:?}"),
            }
        }
        assert!(!is_in_value || lost > 0, "round {round}: bit {bit} of byte {byte} is in a value");
        // One row, or those of one page, unless it is a page that leads to others.
        let is_reading = lost < want.len() || byte / format::PAGE_SIZE as usize <= 2;
        assert!(is_reading, "round {round}: bit {bit} of byte {byte} has taken everything");
        // Other writes go on, or are refused with an error; they do not hide what has happened.
        if let Ok(revision) = try_commit(&*open.engine, put("/new", Expected::Absent, "new")).await {
            assert_eq!(open.engine.get(b"/new", None).await.unwrap().kv.unwrap().mod_revision, revision);
        }
        open.close().await;
        for file in [format::LOG_FILE, "corten.db-shm"] {
            let _ = std::fs::remove_file(directory.path().join(file));
        }
    }
}
