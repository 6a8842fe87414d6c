//! When containers' logs are rotated, as the flags and the file of `--config` say.
//!
//! Upstream: pkg/kubelet/apis/config/validation and `NewContainerLogManager` in pkg/kubelet/logs (v1.35).

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use corten_apimachinery::quantity::Quantity;
use corten_kubelet::log_rotation::LogRotation;

/// What was asked for; absent values have upstream's defaults.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// `containerLogMaxSize`: an amount of bytes; a negative one for no rotation.
    pub(super) max_size: Option<&'a str>,
    /// `containerLogMaxFiles`.
    pub(super) max_files: Option<i32>,
    /// `containerLogMaxWorkers`.
    pub(super) max_workers: Option<i32>,
    /// `containerLogMonitorInterval`.
    pub(super) interval: Option<Duration>,
}

/// The shortest `containerLogMonitorInterval`.
const INTERVAL_MIN: Duration = Duration::from_secs(3);

/// Makes a rotation of what was asked for.
///
/// Errors: a value that cannot be, in upstream's words.
pub(super) fn rotation(wanted: &Wanted<'_>) -> anyhow::Result<LogRotation> {
    let mut rotation = LogRotation::default();
    if let Some(size) = wanted.max_size.filter(|size| !size.is_empty()) {
        let parsed = size.parse::<Quantity>();
        let quantity = parsed.with_context(|| format!("failed to parse container log max size {size:?}"))?;
        // Negative: never.
        rotation.max_size_bytes = u64::try_from(quantity.units()).ok();
    }
    if let Some(files) = wanted.max_files {
        ensure!(files > 1, "invalid MaxFiles {files}, must be > 1");
        rotation.max_files = usize::try_from(files)?;
    }
    match wanted.max_workers {
        None => {}
        Some(workers @ 1..) => rotation.max_workers = usize::try_from(workers)?,
        Some(_) => bail!("invalid configuration: containerLogMaxWorkers must be greater than or equal to 1"),
    }
    if let Some(interval) = wanted.interval {
        let least = "invalid configuration: containerLogMonitorInterval must be a positive time duration greater than or \
                     equal to 3s";
        ensure!(interval >= INTERVAL_MIN, "{least}");
        rotation.interval = interval;
    }
    Ok(rotation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &Wanted<'_>, want: Result<(Option<u64>, usize, usize, u64), &str>) {
        let got = rotation(wanted).map(|it| (it.max_size_bytes, it.max_files, it.max_workers, it.interval.as_secs()));
        match want {
            Ok(want) => assert_eq!(got.unwrap(), want),
            Err(want) => assert!(got.unwrap_err().to_string().contains(want), "{want}"),
        }
    }

    #[test]
    fn logs_are_rotated_as_the_flags_and_the_file_say() {
        let none = Wanted::default;
        check(&none(), Ok((Some(10 << 20), 5, 1, 10)));
        check(&Wanted { max_size: Some("64Ki"), max_files: Some(2), ..none() }, Ok((Some(64 << 10), 2, 1, 10)));
        check(&Wanted { max_size: Some("-1"), ..none() }, Ok((None, 5, 1, 10)));
        check(&Wanted { max_size: Some(""), max_workers: Some(3), ..none() }, Ok((Some(10 << 20), 5, 3, 10)));
        check(&Wanted { interval: Some(Duration::from_secs(3)), ..none() }, Ok((Some(10 << 20), 5, 1, 3)));
        check(&Wanted { max_size: Some("much"), ..none() }, Err("failed to parse container log max size \"much\""));
        check(&Wanted { max_files: Some(1), ..none() }, Err("invalid MaxFiles 1, must be > 1"));
        check(&Wanted { max_workers: Some(0), ..none() }, Err("containerLogMaxWorkers"));
        check(&Wanted { interval: Some(Duration::from_secs(2)), ..none() }, Err("greater than or equal to 3s"));
    }
}
