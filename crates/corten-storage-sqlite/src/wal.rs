//! Looks for damage in the write-ahead log before SQLite opens it.
//!
//! SQLite takes the log up to the first bad frame and silently drops the rest: right after a crash, when the tail was being
//! written, and wrong after a flipped bit, when acknowledged commits follow. With `synchronous=FULL` each commit is synced
//! before the next one begins, so a crash leaves at most one commit after the first bad frame; two or more mean damage.
//!
//! But not any two: commits that failed leave frames, which later ones overwrite from the front. So what counts is a chain:
//! each frame's checksum goes on from the one before, and frames of two failed commits do not fit together.
//! Format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use corten_base::fs::Context as _;

use crate::{
    error::{Damage, OpenError},
    format::{PAGE_SIZE, PAGE_SIZES},
};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// How many commits after the first bad frame are too many for a torn tail.
const LOST_COMMITS_MIN: u64 = 2;

/// Refuses a log that SQLite would silently cut. A log that does not exist is fine.
pub(crate) fn check(log: &Path, database: &Path) -> Result<(), OpenError> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Err::<(), _>(error).at("open", log).unwrap_err().into()),
    };
    let page_size = page_size_of(database).at("read", database)?;
    match find_damage(BufReader::with_capacity(1 << 20, file), page_size).at("read", log)? {
        None => Ok(()),
        Some(damage) => Err(OpenError::Damaged { path: database.to_owned(), damage }),
    }
}

/// The page size that the database says it has; that of new ones if it does not say.
fn page_size_of(database: &Path) -> io::Result<usize> {
    let mut header = [0; 18];
    match File::open(database).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {}
        Err(error) => return Err(error),
    }
    let said = i64::from(u16::from_be_bytes([header[16], header[17]]));
    Ok(if PAGE_SIZES.contains(&said) { said } else { PAGE_SIZE } as usize)
}

/// Looks for it in the log of a database with pages of `page_size`.
fn find_damage(mut log: impl Read, page_size: usize) -> io::Result<Option<Damage>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let magic = word(&header, 0);
    let mut sum = Checksum { big_endian: magic & 1 == 1, words: (0, 0) };
    sum.add(&header[..24]);
    let header_intact = magic & !1 == MAGIC && sum.words == (word(&header, 6), word(&header, 7));
    let page_size = match word(&header, 2) {
        size @ 512..=65_536 if size.is_power_of_two() => size as usize,
        // Without a page size there are no frames to find. The database's is the only one that a damaged header can hide.
        _ => page_size,
    };
    let mut salts = header_intact.then(|| (word(&header, 4), word(&header, 5)));
    let (mut frame_number, mut bad) = (0, if header_intact { None } else { Some(0) });
    let mut chain = Chain { commits: 0, most_commits: 0, ends: [sum.words; 2] };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_size];
    while fill(&mut log, &mut frame)? {
        frame_number += 1;
        let own_salts = (word(&frame, 2), word(&frame, 3));
        // Under a damaged header the first frame tells which salts are live.
        let is_live = *salts.get_or_insert(own_salts) == own_salts;
        let is_bad = !is_live || sum.of_frame(&frame).words != (word(&frame, 4), word(&frame, 5));
        if bad.is_none() && is_bad {
            bad = Some(frame_number);
        }
        if bad.is_some() {
            // A frame that ends a commit carries the size of the database after it.
            chain.add(&sum, &frame, is_live && word(&frame, 1) != 0);
        } else {
            sum = sum.of_frame(&frame);
            chain.ends = [sum.words; 2];
        }
    }
    let commits = chain.most_commits;
    Ok(bad.filter(|_| commits >= LOST_COMMITS_MIN).map(|frame| Damage::Log { frame, commits }))
}

/// Frames behind the first bad one of which each continues the one before.
struct Chain {
    commits: u64,
    most_commits: u64,
    /// The checksum after the frame before, as it says itself and as it comes out: one of them may be what is damaged.
    ends: [(u32, u32); 2],
}

impl Chain {
    fn add(&mut self, like: &Checksum, frame: &[u8], is_commit: bool) {
        let stored = (word(frame, 4), word(frame, 5));
        let computed = self.ends.map(|words| Checksum { words, ..*like }.of_frame(frame).words);
        if !computed.contains(&stored) {
            self.commits = 0;
        }
        self.commits += u64::from(is_commit);
        self.most_commits = self.most_commits.max(self.commits);
        self.ends = [stored, computed[0]];
    }
}

/// Fills `buffer`; false at the end of the log, where the rest, if any, is a torn frame.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The big-endian 32-bit word `n` of a header.
fn word(header: &[u8], n: usize) -> u32 {
    u32::from_be_bytes(header[4 * n..4 * n + 4].try_into().expect("a word has four bytes"))
}

/// The log's running checksum over pairs of words, in the byte order that its magic names.
#[derive(Clone, Copy)]
struct Checksum {
    big_endian: bool,
    words: (u32, u32),
}

impl Checksum {
    /// The checksum with a frame added: its page, where that goes, and whether it ends a commit.
    fn of_frame(mut self, frame: &[u8]) -> Self {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER_BYTES..]);
        self
    }

    fn add(&mut self, data: &[u8]) {
        let read = |bytes: &[u8]| {
            let bytes = bytes.try_into().expect("a word has four bytes");
            if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let (mut a, mut b) = self.words;
        for pair in data.chunks_exact(8) {
            a = a.wrapping_add(read(&pair[..4])).wrapping_add(b);
            b = b.wrapping_add(read(&pair[4..])).wrapping_add(a);
        }
        self.words = (a, b);
    }
}

#[cfg(test)]
mod tests;
