//! The backup file of the engine in memory: a line with the version, then rows, each as lengths and bytes.
//!
//! Only tests write it and only the same build reads it, so the version is there to refuse, not to convert.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use bytes::Bytes;
use jiff::Timestamp;

use crate::{kv::Revision, mvcc::Row};

const HEADER: &[u8] = b"corten-memory-1\n";

/// In place of a length or a time: there is none.
const NONE: u64 = u64::MAX;

/// Writes a store to a new file.
pub(super) fn write(path: &Path, compacted: Revision, rows: &[Row]) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create_new(path)?);
    out.write_all(HEADER)?;
    let number = |out: &mut io::BufWriter<fs::File>, number: u64| out.write_all(&number.to_le_bytes());
    number(&mut out, compacted)?;
    number(&mut out, rows.len() as u64)?;
    for row in rows {
        number(&mut out, row.revision)?;
        number(&mut out, row.create_revision)?;
        number(&mut out, row.previous.unwrap_or(NONE))?;
        number(&mut out, row.expires_at.map_or(0, |at| at.as_second() as u64))?;
        number(&mut out, row.expires_at.map_or(NONE, |at| at.subsec_nanosecond() as u64))?;
        number(&mut out, row.key.len() as u64)?;
        number(&mut out, row.value.as_ref().map_or(NONE, |value| value.len() as u64))?;
        out.write_all(&row.key)?;
        out.write_all(row.value.as_deref().unwrap_or_default())?;
    }
    out.into_inner()?.sync_all()
}

/// Reads the compacted revision and the rows back.
pub(super) fn read(path: &Path) -> io::Result<(Revision, Vec<Row>)> {
    let data = fs::read(path)?;
    let mut rest = data.strip_prefix(HEADER).ok_or_else(|| io::Error::other("not a backup of the engine in memory"))?;
    let compacted = number(&mut rest)?;
    let count = number(&mut rest)?;
    let mut rows = Vec::new();
    for _ in 0..count {
        let revision = number(&mut rest)?;
        let create_revision = number(&mut rest)?;
        let previous = Some(number(&mut rest)?).filter(|previous| *previous != NONE);
        let second = number(&mut rest)? as i64;
        let expires_at = match number(&mut rest)? {
            NONE => None,
            nanosecond => Some(Timestamp::new(second, nanosecond as i32).map_err(io::Error::other)?),
        };
        let key_length = number(&mut rest)?;
        let value_length = number(&mut rest)?;
        let key = bytes(&mut rest, key_length)?;
        let value = if value_length == NONE { None } else { Some(bytes(&mut rest, value_length)?) };
        rows.push(Row { key, value, revision, create_revision, expires_at, previous });
    }
    Ok((compacted, rows))
}

fn number(rest: &mut &[u8]) -> io::Result<u64> {
    let mut bytes = [0; 8];
    rest.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn bytes(rest: &mut &[u8], length: u64) -> io::Result<Bytes> {
    let (bytes, after) = rest.split_at_checked(length as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
    *rest = after;
    Ok(Bytes::copy_from_slice(bytes))
}
