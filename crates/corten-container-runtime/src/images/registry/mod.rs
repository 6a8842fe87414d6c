//! Pulls images from registries that speak the OCI distribution protocol.
//!
//! Flow: name -> endpoints (mirrors first) -> manifest for this platform -> blobs, streamed into `content` -> `store`.
//! Invariant: nothing is believed without its digest; dropping the call ends every transfer.
//! Upstream: OCI distribution specification 1.1; messages as containerd's.

mod auth;
mod transport;

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use corten_base::{ErrorChain, SharedClock, TaskSet};
use corten_cri::{Code, CriError};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    DOCUMENT_BYTES_MAX, Digest, ImageError, Reference,
    import::{Platform, parse},
    store::{Image, ImageStore},
    too_long,
};
use crate::blocking;
pub use auth::Credentials;
use auth::Session;
use transport::{Body, Transport};

/// How much is taken of a blob whose size the manifest does not tell: larger layers are not made by who leaves that out.
const UNTOLD_BYTES_MAX: u64 = 16 << 30;
/// An index in an index in an index ...
const INDEX_DEPTH_MAX: usize = 4;
/// How many blobs of one image are transferred at the same time. containerd's figure.
const BLOBS_AT_ONCE: usize = 3;
/// How many pieces of a blob wait for the disk.
const PIECES_MAX: usize = 16;
/// How often blobs are fetched again that somebody swept away before the image was recorded.
const ROUNDS_MAX: usize = 3;
/// What is asked for, by preference.
const DOCUMENT_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                              application/vnd.docker.distribution.manifest.list.v2+json, \
                              application/vnd.docker.distribution.manifest.v2+json";

/// Where registries are and whom to trust.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Endpoints (`https://mirror.example`) that are asked before the registry itself, by registry (`docker.io`).
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries that are spoken to without TLS. Those on this machine (`localhost`, `127.0.0.0/8`, `::1`) always are.
    pub plain_http: Vec<String>,
    /// Files with the certificates of authorities, PEM; those that do not exist are passed over.
    pub authorities: Vec<PathBuf>,
    /// How long a connection may take, and how long a peer may say nothing.
    pub patience: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        // Where distributions keep them: Debian, Fedora, Alpine.
        let files = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
        Self {
            mirrors: BTreeMap::new(),
            plain_http: Vec::new(),
            authorities: files.into_iter().map(PathBuf::from).collect(),
            patience: Duration::from_secs(60),
        }
    }
}

/// Why a pull failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PullError {
    /// The registry does not have it.
    #[error("{0}: not found")]
    NotFound(String),
    /// The registry does not give it to this caller.
    #[error("{0}")]
    Denied(String),
    /// Everything else.
    #[error("{0}")]
    Other(String),
}

impl PullError {
    /// The error with what was tried before it.
    fn while_doing(self, what: &str) -> Self {
        match self {
            Self::NotFound(name) => Self::NotFound(format!("{what}: {name}")),
            Self::Denied(why) => Self::Denied(format!("{what}: {why}")),
            Self::Other(why) => Self::Other(format!("{what}: {why}")),
        }
    }
}

impl From<ImageError> for PullError {
    fn from(error: ImageError) -> Self {
        Self::Other(ErrorChain(&error).to_string())
    }
}

impl From<PullError> for CriError {
    fn from(error: PullError) -> Self {
        let code = match error {
            PullError::NotFound(_) => Code::NotFound,
            PullError::Denied(_) => Code::PermissionDenied,
            PullError::Other(_) => Code::Unknown,
        };
        Self::new(code, error.to_string())
    }
}

/// Pulls images. Cheap to make.
#[derive(Debug)]
pub struct Puller {
    config: RegistryConfig,
    transport: Transport,
    tasks: TaskSet,
}

/// A part of an image.
#[derive(Debug, Clone, Deserialize)]
struct Descriptor {
    digest: Digest,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

/// An index or a manifest: which of them shows in what it has.
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// What an image consists of.
struct Plan {
    /// The document that the name means.
    top: (Digest, Bytes),
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Puller {
    /// A puller; what blocks is done in `tasks`.
    #[must_use]
    pub fn new(config: RegistryConfig, clock: SharedClock, tasks: TaskSet) -> Self {
        let transport = Transport::new(config.authorities.clone(), config.patience, clock, tasks.clone());
        Self { config, transport, tasks }
    }

    /// Makes an image present under its name.
    ///
    /// Errors: `NotFound`, `PermissionDenied`, else `Unknown`. Cancellation: transfers end; complete blobs may stay until
    /// the next sweep.
    pub async fn pull(
        &self,
        store: &Arc<ImageStore>,
        name: &Reference,
        credentials: Option<Credentials>,
    ) -> Result<Arc<Image>, CriError> {
        let what = format!("failed to pull and unpack image \"{name}\"");
        let pulled = self.pull_from_any(store, name, credentials).await;
        pulled.map_err(|error| error.while_doing(&what).into())
    }

    async fn pull_from_any(
        &self,
        store: &Arc<ImageStore>,
        name: &Reference,
        credentials: Option<Credentials>,
    ) -> Result<Arc<Image>, PullError> {
        let mut last = PullError::NotFound(name.to_string());
        for endpoint in self.endpoints(&name.domain) {
            let session = Session::new(&self.transport, endpoint, &name.path, credentials.clone());
            match self.resolve(&session, name).await {
                Ok(plan) => return fetch(&session, &self.tasks, store, name, plan).await,
                Err(error) => last = error.while_doing(&format!("failed to resolve reference \"{name}\"")),
            }
        }
        Err(last)
    }

    /// Where to ask: mirrors, then the registry itself.
    fn endpoints(&self, domain: &str) -> Vec<String> {
        let mirrors = self.config.mirrors.get(domain).into_iter().flatten();
        let mut endpoints: Vec<String> =
            mirrors.map(|mirror| mirror.trim_end_matches('/').trim_end_matches("/v2").to_owned()).collect();
        let is_plain = is_this_machine(domain) || self.config.plain_http.iter().any(|plain| plain == domain);
        // The one registry whose name is not its host.
        let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
        endpoints.push(format!("{}://{host}", if is_plain { "http" } else { "https" }));
        endpoints
    }

    /// Follows indexes to the manifest for this machine.
    async fn resolve(&self, session: &Session<'_>, name: &Reference) -> Result<Plan, PullError> {
        let wanted = name.digest.as_ref().map(ToString::to_string).or_else(|| name.tag.clone()).unwrap_or_default();
        let top = document(session, &wanted, name.digest.as_ref(), name).await?;
        let (mut text, mut depth) = (top.1.clone(), 0);
        loop {
            let document: Document = parse("manifest", &text)?;
            if let Some(config) = document.config {
                if config.size > DOCUMENT_BYTES_MAX {
                    return Err(too_long(&format!("image config {}", config.digest)).into());
                }
                return Ok(Plan { top, config, layers: document.layers });
            }
            let fits = |one: &&Descriptor| one.platform.as_ref().is_none_or(Platform::is_ours);
            let next = document.manifests.iter().find(fits).filter(|_| depth < INDEX_DEPTH_MAX);
            let Some(next) = next else {
                return Err(PullError::NotFound(format!("no match for platform in manifest {}", top.0)));
            };
            text = self::document(session, &next.digest.to_string(), Some(&next.digest), name).await?.1;
            depth += 1;
        }
    }
}

fn is_this_machine(domain: &str) -> bool {
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => domain,
    };
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// A manifest or an index, and what it is called by its content.
async fn document(
    session: &Session<'_>,
    which: &str,
    wanted: Option<&Digest>,
    name: &Reference,
) -> Result<(Digest, Bytes), PullError> {
    let mut body = session.get(&format!("manifests/{which}"), Some(DOCUMENT_TYPES), &name.to_string()).await?;
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        text.extend_from_slice(&piece.map_err(PullError::Other)?);
        if text.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(too_long("manifest").into());
        }
    }
    let found = Digest::of(&text);
    match wanted {
        Some(wanted) if *wanted != found => Err(ImageError::Digest { wanted: wanted.clone(), found }.into()),
        _ => Ok((found, text.into())),
    }
}

/// Brings what is missing and records the image.
async fn fetch(
    session: &Session<'_>,
    tasks: &TaskSet,
    store: &Arc<ImageStore>,
    name: &Reference,
    plan: Plan,
) -> Result<Arc<Image>, PullError> {
    for _ in 0..ROUNDS_MAX {
        let missing: Vec<(Descriptor, u64)> = {
            let mut seen = std::collections::BTreeSet::new();
            let layers = plan.layers.iter().map(|layer| (layer, UNTOLD_BYTES_MAX));
            let parts = std::iter::once((&plan.config, DOCUMENT_BYTES_MAX)).chain(layers);
            let is_missing = |(part, _): &(&Descriptor, u64)| {
                seen.insert(part.digest.clone()) && !store.content.contains(&part.digest)
            };
            parts.filter(is_missing).map(|(part, untold)| (part.clone(), untold)).collect()
        };
        let transfers = missing.into_iter().map(|(part, untold)| blob(session, tasks, store, name, part, untold));
        futures::stream::iter(transfers).buffer_unordered(BLOBS_AT_ONCE).try_collect::<Vec<()>>().await?;
        let recorded = {
            let (store, name, top) = (Arc::clone(store), name.clone(), plan.top.clone());
            let config = plan.config.digest.clone();
            let layers: Vec<Digest> = plan.layers.iter().map(|layer| layer.digest.clone()).collect();
            blocking::run(tasks, "image", move || record(&store, &name, &top, &config, layers))
        };
        let recorded = recorded.await.map_err(|error| PullError::Other(error.to_string()))??;
        if let Some(image) = recorded {
            return Ok(image);
        }
    }
    Err(PullError::Other("content was removed while it was pulled".to_owned()))
}

/// Records an image; `None` if a part was swept away since it came.
fn record(
    store: &ImageStore,
    name: &Reference,
    top: &(Digest, Bytes),
    config: &Digest,
    layers: Vec<Digest>,
) -> Result<Option<Arc<Image>>, ImageError> {
    let _alone = store.changing.lock();
    if layers.iter().chain([config]).any(|part| !store.content.contains(part)) {
        return Ok(None);
    }
    if !store.content.contains(&top.0) {
        store.content.write(&top.1[..], Some(&top.0))?;
    }
    store.add(config, Some(top.0.clone()), layers, std::slice::from_ref(name)).map(Some)
}

/// Streams one blob to the disk; one whose size the manifest does not tell may have `untold` bytes.
async fn blob(
    session: &Session<'_>,
    tasks: &TaskSet,
    store: &Arc<ImageStore>,
    name: &Reference,
    part: Descriptor,
    untold: u64,
) -> Result<(), PullError> {
    let body = session.get(&format!("blobs/{}", part.digest), None, &name.to_string()).await?;
    let (pieces, source) = mpsc::channel(PIECES_MAX);
    let (store, wanted) = (Arc::clone(store), part.digest.clone());
    let written = blocking::run(tasks, "blob", move || {
        let source = Pieces { source, current: Bytes::new(), is_complete: false };
        store.content.write(source, Some(&wanted)).map(drop)
    });
    let what = || format!("failed to copy: {}", part.digest);
    // No blob is empty: such a manifest does not say.
    let sent = feed(body, pieces, if part.size == 0 { untold } else { part.size }).await;
    let written = written.await.map_err(|error| PullError::Other(error.to_string()))?;
    // What went wrong on the network comes first: the disk only saw the end.
    sent.map_err(|error| PullError::Other(error).while_doing(&what()))?;
    written.map_err(|error| PullError::from(error).while_doing(&what()))
}

async fn feed(mut body: Body, pieces: mpsc::Sender<Option<Bytes>>, size: u64) -> Result<(), String> {
    let mut left = size;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        let length = piece.len() as u64;
        if length > left {
            return Err(format!("the blob has more than {size} bytes"));
        }
        left = left.saturating_sub(length);
        if pieces.send(Some(piece)).await.is_err() {
            // The writer has ended and says why.
            return Ok(());
        }
    }
    // The same: an end that nobody hears was an error before.
    let _ = pieces.send(None).await;
    Ok(())
}

/// The pieces of a blob as a file. One that breaks off is an error, never a short file.
struct Pieces {
    source: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    is_complete: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.is_complete {
            match self.source.blocking_recv() {
                Some(Some(piece)) => self.current = piece,
                Some(None) => self.is_complete = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
