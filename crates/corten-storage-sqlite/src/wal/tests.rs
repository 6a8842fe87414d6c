use rusqlite::Connection;

use super::*;

/// The log of a small database after several commits, each of a few frames.
fn log() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "page_size", 4096).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)").unwrap();
    for n in 0..12 {
        connection.execute("INSERT INTO t VALUES (?1, zeroblob(9000))", [n]).unwrap();
    }
    std::fs::read(directory.path().join("db-wal")).unwrap()
}

#[track_caller]
fn check(log: &[u8], want: Option<u64>) {
    let found = find_damage(log, 4096).unwrap();
    let frame = found.clone().map(|damage| match damage {
        Damage::Log { frame, commits } => {
            assert!(commits >= 2);
            frame
        }
        other => panic!("not {other:?}"),
    });
    assert_eq!(frame, want, "{found:?}");
}

const FRAME: usize = FRAME_HEADER_BYTES + 4096;

#[test]
fn a_clean_log_is_fine_and_so_is_none() {
    check(&log(), None);
    check(&[], None);
    check(&[0; 20], None);
}

#[test]
fn a_log_cut_anywhere_is_a_torn_tail() {
    let log = log();
    for length in (0..log.len()).step_by(509) {
        check(&log[..length], None);
    }
}

#[test]
fn a_bad_last_commit_is_a_torn_tail() {
    let mut log = log();
    let last = log.len() - FRAME;
    log[last + 2_000] ^= 1;
    check(&log, None);
}

#[test]
fn a_flipped_bit_before_other_commits_is_damage() {
    let clean = log();
    for frame in [1, 4, 9] {
        for place in [0, 9, 17, 24, 3_000] {
            let mut log = clean.clone();
            log[HEADER_BYTES + (frame - 1) * FRAME + place] ^= 0x10;
            check(&log, Some(frame as u64));
        }
    }
}

#[test]
fn a_flipped_bit_in_the_header_is_damage() {
    let clean = log();
    for place in [0, 5, 9, 13, 17, 21, 25, 30] {
        let mut log = clean.clone();
        log[place] ^= 0x04;
        check(&log, Some(0));
    }
}

#[test]
fn frames_of_an_earlier_round_are_no_damage() {
    let (old, mut log) = (log(), log());
    assert_ne!(old[16..24], log[16..24], "each log has its own salts");
    let half = HEADER_BYTES + 5 * FRAME;
    let length = log.len();
    log[half..].copy_from_slice(&old[half..length]);
    check(&log, None);
}

/// On a disk that was full for a while, or failed, each write left its frames; later ones were written over them from the
/// front. That looked like damage, and the store was refused.
#[test]
fn what_failed_commits_have_left_behind_the_end_is_no_damage() {
    let mut log = log();
    let end = HEADER_BYTES + 10 * FRAME;
    let sum_at = |log: &[u8], frame: usize| {
        let header = &log[HEADER_BYTES + (frame - 1) * FRAME..];
        (word(header, 4), word(header, 5))
    };
    log.truncate(end + 9 * FRAME);
    // Three attempts at the frames behind the tenth, each longer than the next one, each ending in a commit.
    let good = sum_at(&log, 10);
    let big_endian = word(&log, 0) & 1 == 1;
    for frames in [9, 6, 3] {
        let mut sum = Checksum { big_endian, words: good };
        for n in 0..frames {
            let frame = &mut log[end + n * FRAME..][..FRAME];
            frame[4..8].copy_from_slice(&(if n + 1 == frames { 20_u32 } else { 0 }).to_be_bytes());
            frame[FRAME_HEADER_BYTES] = frames as u8;
            sum = sum.of_frame(frame);
            frame[16..20].copy_from_slice(&sum.words.0.to_be_bytes());
            frame[20..24].copy_from_slice(&sum.words.1.to_be_bytes());
        }
    }
    check(&log, None);
    // The last one was cut short, too.
    log[end + 700] ^= 1;
    check(&log, None);
}

#[test]
fn no_input_harms_a_decoder() {
    let corpus = || vec![log()[..HEADER_BYTES + 3 * FRAME].to_vec()];
    let run = |input: &[u8]| {
        let found = find_damage(input, 4096).unwrap();
        // Inputs are short: with pages of ours there is no room for a bad frame and two commits.
        assert!(found.is_none() || word(input, 2) < 4_096, "{found:?}");
    };
    corten_fuzz::smoke(&[corten_fuzz::Target { name: "write-ahead log", corpus, run }]);
}
