//! Bearer tokens, fixed or from a file that somebody renews.

use std::{fmt, path::PathBuf, time::Duration};

use corten_apimachinery::status::{Reason, Status};
use corten_base::{ErrorChain, SharedClock, TaskSet, blocking, fs};
use http::HeaderValue;
use parking_lot::Mutex;

/// How long a token read from a file is used before the file is read again. Upstream: `cachingTokenSource`, which gives
/// up on a token a minute after reading it, ten seconds early.
const TOKEN_FILE_PERIOD: Duration = Duration::from_secs(50);

/// What is sent with every request, besides a client certificate.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// This token.
    Token(String),
    /// The token in this file, read again as time passes.
    TokenFile(PathBuf),
}

impl fmt::Debug for Credentials {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::TokenFile(path) => write!(f, "TokenFile({})", path.display()),
        }
    }
}

/// The `Authorization` header of the moment.
#[derive(Debug)]
pub(super) struct TokenSource {
    credentials: Credentials,
    clock: SharedClock,
    tasks: TaskSet,
    /// The header made from the file, and until when it is used.
    cached: Mutex<Option<(HeaderValue, Duration)>>,
}

impl TokenSource {
    pub(super) fn new(credentials: Credentials, clock: SharedClock, tasks: TaskSet) -> Self {
        Self { credentials, clock, tasks, cached: Mutex::new(None) }
    }

    /// The header's value; `None` for none.
    ///
    /// Errors: `Unauthorized` if there is no usable token. A file that cannot be read for a while does no harm as long
    /// as the last token is accepted.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, Status> {
        let path = match &self.credentials {
            Credentials::None => return Ok(None),
            Credentials::Token(token) => return bearer(token).map(Some),
            Credentials::TokenFile(path) => path.clone(),
        };
        let cached = self.cached.lock().clone();
        if let Some((header, until)) = &cached
            && self.clock.monotonic() < *until
        {
            return Ok(Some(header.clone()));
        }
        let read = blocking::run(&self.tasks, "token", move || fs::read_to_string(&path)).await;
        let read = read.map_err(Status::internal)?;
        let header = match (read, cached) {
            (Ok(text), _) => bearer(text.trim())?,
            (Err(_), Some((header, _))) => header,
            (Err(error), None) => return Err(unusable(&ErrorChain(&error).to_string())),
        };
        *self.cached.lock() = Some((header.clone(), self.clock.monotonic() + TOKEN_FILE_PERIOD));
        Ok(Some(header))
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Status> {
    if token.is_empty() {
        return Err(unusable("it is empty"));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| unusable("it is no header text"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn unusable(why: &str) -> Status {
    Status::new(Reason::Unauthorized, format!("could not use the bearer token: {why}"))
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;

    use super::*;

    #[tokio::test]
    async fn a_token_file_is_read_again_and_survives_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let source = TokenSource::new(Credentials::TokenFile(path.clone()), clock.clone(), TaskSet::new("test"));
        assert!(source.header().await.is_err());
        fs::write(&path, b"one\n").unwrap();
        assert_eq!(source.header().await.unwrap().unwrap(), "Bearer one");
        fs::write(&path, b"two").unwrap();
        assert_eq!(source.header().await.unwrap().unwrap(), "Bearer one");
        clock.advance(TOKEN_FILE_PERIOD);
        assert_eq!(source.header().await.unwrap().unwrap(), "Bearer two");
        fs::remove_file(&path).unwrap();
        clock.advance(TOKEN_FILE_PERIOD);
        assert_eq!(source.header().await.unwrap().unwrap(), "Bearer two");
    }
}
