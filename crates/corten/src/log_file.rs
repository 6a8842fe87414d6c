//! Log files of this machine's cluster: `corten.log` and `dns.log`.

use std::path::Path;

use corten_base::fs::Context as _;

/// A log of more than this is put aside at the next start, in place of the one that was put aside before.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// Puts a log aside that has become long: `corten.log` becomes `corten.log.1`.
///
/// Errors: it cannot be renamed.
pub(crate) fn put_aside_if_long(log: &Path) -> anyhow::Result<()> {
    if std::fs::metadata(log).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        let aside = log.with_extension("log.1");
        std::fs::rename(log, &aside).at("rename to", &aside)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_log_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("dns.log");
        put_aside_if_long(&log).unwrap();
        let file = std::fs::File::create(&log).unwrap();
        for (bytes, is_there) in [(LOG_BYTES_MAX, true), (LOG_BYTES_MAX + 1, false)] {
            // Takes no room: nothing is written.
            file.set_len(bytes).unwrap();
            put_aside_if_long(&log).unwrap();
            assert_eq!(log.exists(), is_there, "{bytes}");
        }
        assert!(directory.path().join("dns.log.1").exists());
    }
}
