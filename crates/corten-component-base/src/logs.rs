//! Logs of the process: to standard error, filtered by level and module.

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
        Format::Text => registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()?,
        Format::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()?,
    }
    Ok(())
}
