//! Logs of the process: to standard error, filtered by level and module.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The filter cannot be read, or logs were set up already.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Not a filter.
    #[error("parse log filter {filter:?}")]
    Filter {
        /// What was given.
        filter: String,
        /// Why it is none.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Done twice.
    #[error("set up logs")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logs for the process. `filter` is a level, or `module=level` pairs.
pub fn init(filter: &str, format: Format) -> Result<(), LogsError> {
    let parsed =
        EnvFilter::try_new(filter).map_err(|source| LogsError::Filter { filter: filter.to_owned(), source })?;
    let registry = tracing_subscriber::registry().with(parsed);
    match format {
        Format::Text => {
            // A file or a pipe has nothing to do with colours.
            let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal());
            registry.with(lines.with_writer(std::io::stderr).with_target(false)).try_init()?;
        }
        Format::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for the process that logs: logs are set up once per process, and standard error is the test's own.
    const INSIDE: &str = "CORTEN_TEST_LOGS_INSIDE";

    /// `corten server 2>file` wrote a terminal's colours into the file.
    #[test]
    fn only_a_terminal_gets_colours() {
        if std::env::var_os(INSIDE).is_some() {
            init("info", Format::Text).unwrap();
            tracing::info!(key = "value", "Said something");
            return;
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logs::tests::only_a_terminal_gets_colours", "--nocapture"])
            .env(INSIDE, "1")
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("Said something") && !text.contains('\u{1b}'), "{text:?}");
    }
}
