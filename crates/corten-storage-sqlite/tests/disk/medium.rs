//! What a power cut leaves: everything that was synced, and of the rest whatever the disk had come to.

use std::{collections::BTreeMap, path::Path};

use corten_base::Rng;
use corten_storage_sqlite::format;

use super::disk::Operation;

/// What a disk writes at once, so that it is there as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// How much of what was not synced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survives {
    Nothing,
    Everything,
    /// Each sector by itself, in any order: a torn page at the end of the log is one of many outcomes.
    Some,
}

/// The files of a disk.
#[derive(Debug, Default)]
pub(crate) struct Medium {
    files: BTreeMap<String, File>,
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Operation>,
    /// Whether its name is durable.
    is_named: bool,
    is_deleted: bool,
}

impl Medium {
    pub(crate) fn apply(&mut self, operation: &Operation, rng: &dyn Rng) {
        match operation {
            Operation::Write { file, .. } | Operation::Truncate { file, .. } => {
                let is_database = file == format::DATABASE_FILE;
                let file = self.files.entry(file.clone()).or_default();
                if std::mem::take(&mut file.is_deleted) {
                    // A new file of an old name: SQLite deletes a log only when all of it is in the database.
                    *file = File::default();
                }
                file.is_named |= is_database;
                file.pending.push(operation.clone());
            }
            Operation::Sync { file: name } => {
                // Of a file that has no content there is nothing to keep.
                let Some(file) = self.files.get_mut(name) else { return };
                let pending = std::mem::take(&mut file.pending);
                pending.iter().for_each(|operation| perform(operation, &mut file.durable));
                if !file.is_named {
                    self.sync_directory();
                }
            }
            Operation::Lost { file } => {
                if let Some(file) = self.files.get_mut(file) {
                    let pending = std::mem::take(&mut file.pending);
                    let luck = || rng.below(2) == 0;
                    pending.iter().for_each(|operation| perform_partly(operation, &mut file.durable, luck));
                }
            }
            Operation::Delete { file, durable: true } => drop(self.files.remove(file)),
            Operation::Delete { file, durable: false } => {
                if let Some(file) = self.files.get_mut(file) {
                    file.is_deleted = true;
                }
            }
            Operation::Acknowledged(_) | Operation::Compacted(_) => {}
        }
    }

    /// SQLite syncs the directory with the first sync of each log and journal that it has made; that of the database itself
    /// is synced by the engine when it makes it.
    fn sync_directory(&mut self) {
        self.files.retain(|_, file| !file.is_deleted);
        self.files.values_mut().for_each(|file| file.is_named = true);
    }

    /// Writes the files as they are after a power cut into `directory`.
    pub(crate) fn cut(&self, survives: Survives, rng: &dyn Rng, directory: &Path) {
        let luck = || match survives {
            Survives::Nothing => false,
            Survives::Everything => true,
            Survives::Some => rng.below(2) == 0,
        };
        for (name, file) in &self.files {
            let is_there = (file.is_named || luck()) && !(file.is_deleted && luck());
            if !is_there {
                continue;
            }
            let mut bytes = file.durable.clone();
            file.pending.iter().for_each(|operation| perform_partly(operation, &mut bytes, luck));
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

/// Cuts a write where sectors end.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let first = (SECTOR_BYTES - offset as usize % SECTOR_BYTES).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let rest = rest.chunks(SECTOR_BYTES).enumerate();
    let rest = rest.map(move |(n, part)| (offset + (first + n * SECTOR_BYTES) as u64, part));
    std::iter::once((offset, head)).chain(rest)
}

/// What a disk may have done of an operation that nobody waited for.
fn perform_partly(operation: &Operation, bytes: &mut Vec<u8>, luck: impl Fn() -> bool) {
    match operation {
        Operation::Write { file, offset, bytes: written } => {
            for (offset, part) in sectors(*offset, written).filter(|_| luck()) {
                perform(&Operation::Write { file: file.clone(), offset, bytes: part.to_vec() }, bytes);
            }
        }
        other if luck() => perform(other, bytes),
        _ => {}
    }
}

fn perform(operation: &Operation, bytes: &mut Vec<u8>) {
    match operation {
        Operation::Write { offset, bytes: written, .. } => {
            let (from, to) = (*offset as usize, *offset as usize + written.len());
            if bytes.len() < to {
                bytes.resize(to, 0);
            }
            bytes[from..to].copy_from_slice(written);
        }
        Operation::Truncate { length, .. } => bytes.resize(*length as usize, 0),
        other => unreachable!("{other:?} changes no bytes"),
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimRng;

    use super::*;

    fn write(offset: u64, bytes: &[u8]) -> Operation {
        Operation::Write { file: "f".to_owned(), offset, bytes: bytes.to_vec() }
    }

    fn file_after(operations: &[Operation], survives: Survives) -> Option<Vec<u8>> {
        let (directory, mut medium) = (tempfile::tempdir().unwrap(), Medium::default());
        let rng = SimRng::shared(1);
        operations.iter().for_each(|operation| medium.apply(operation, &*rng));
        medium.cut(survives, &*rng, directory.path());
        std::fs::read(directory.path().join("f")).ok()
    }

    #[test]
    fn only_what_was_synced_is_sure() {
        let file = || "f".to_owned();
        let operations = [write(0, b"abc"), Operation::Sync { file: file() }, write(1, b"xyz")];
        assert_eq!(file_after(&operations[..1], Survives::Nothing), None);
        assert_eq!(file_after(&operations, Survives::Nothing).unwrap(), b"abc");
        assert_eq!(file_after(&operations, Survives::Everything).unwrap(), b"axyz");
        let lost = [&operations[..], &[Operation::Lost { file: file() }, Operation::Sync { file: file() }]].concat();
        let after = file_after(&lost, Survives::Everything).unwrap();
        assert!([&b"abc"[..], b"axyz"].contains(&&after[..]), "a failed sync is not made good by the next");
        let deleted = [&operations[..], &[Operation::Delete { file: file(), durable: true }]].concat();
        assert_eq!(file_after(&deleted, Survives::Nothing), None);
    }

    #[test]
    fn writes_are_torn_where_sectors_end() {
        let cut: Vec<_> = sectors(500, &[7; 1_100]).map(|(offset, part)| (offset, part.len())).collect();
        assert_eq!(cut, [(500, 12), (512, 512), (1_024, 512), (1_536, 64)]);
    }
}
