//! `/logs/`: the files under the machine's log directory.
//!
//! Invariant: nothing outside of that directory is read, and nothing but files and directories is opened: a pod that may write
//! there could point anywhere with a symbolic link, also while somebody asks. So the place that links lead to is opened without
//! following any, and what was looked at is what is read.
//!
//! Upstream: pkg/kubelet/server `ServeLogs`, net/http `FileServer` (v1.35); that one follows links anywhere.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use futures::TryStreamExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};
use tokio_util::io::ReaderStream;

use super::answer::{Answer, of, text, with_type};
use crate::volumes::blocking;

/// What was found.
#[derive(Debug)]
enum Found {
    File(File),
    Directory(OwnedFd),
}

/// Sends a file under `root`, or the names in a directory. `path` begins behind `/logs`.
pub(super) async fn handle(root: &Path, path: &str) -> Response<Answer> {
    let missing = || text(StatusCode::NOT_FOUND, "404 page not found\n");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.contains(&"..") {
        return text(StatusCode::BAD_REQUEST, "invalid URL path\n");
    }
    let (root, wanted) = (root.to_owned(), root.join(parts.join("/")));
    match blocking(move || find(&root, &wanted)).await {
        Ok(Some(Found::File(file))) => {
            let file = ReaderStream::new(tokio::fs::File::from_std(file));
            let body = StreamBody::new(file.map_ok(Frame::data));
            of(StatusCode::OK, "text/plain; charset=utf-8", body.boxed_unsync())
        }
        Ok(Some(Found::Directory(_))) if !path.ends_with('/') => {
            let mut response = text(StatusCode::MOVED_PERMANENTLY, "");
            let name = parts.last().map_or_else(|| "logs/".to_owned(), |name| format!("{name}/"));
            if let Ok(place) = HeaderValue::try_from(name) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            response
        }
        Ok(Some(Found::Directory(directory))) => match blocking(move || names(&directory)).await {
            Ok(names) => with_type(StatusCode::OK, "text/html; charset=utf-8", list(&names)),
            Err(error) => failed(&error),
        },
        Ok(None) => missing(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &io::Error) -> Response<Answer> {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

/// What is at `wanted`, if links lead to a place below `root`. Blocks.
fn find(root: &Path, wanted: &Path) -> io::Result<Option<Found>> {
    let (Ok(root), Ok(place)) = (root.canonicalize(), wanted.canonicalize()) else { return Ok(None) };
    let Ok(below) = place.strip_prefix(&root) else { return Ok(None) };
    open(&File::open(&root)?, below)
}

/// Opens `path` below `root`; nothing where a link has come to be on the way, or where it is neither a file nor a directory: a
/// pipe or a device would wait for ever, or never end. Blocks, for nobody.
fn open(root: &File, path: &Path) -> io::Result<Option<Found>> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    // Opened for nothing but to be looked at.
    let looked_at = match openat2(root, if path.as_os_str().is_empty() { Path::new(".") } else { path }, how) {
        Ok(opened) => File::from(opened),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let kind = looked_at.metadata()?.file_type();
    if kind.is_dir() {
        Ok(Some(Found::Directory(looked_at.into())))
    } else if kind.is_file() {
        File::open(by_descriptor(&looked_at.into())).map(Found::File).map(Some)
    } else {
        Ok(None)
    }
}

/// The path of what is open, whatever its name leads to by now.
fn by_descriptor(opened: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", opened.as_raw_fd()).into()
}

/// The names in a directory; those of directories end with a slash. Blocks.
fn names(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(by_descriptor(directory))? {
        let entry = entry?;
        let mut name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            name.push('/');
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

/// A page with a link to every name.
fn list(names: &[String]) -> String {
    let mut page = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n".to_owned();
    for name in names {
        let link = percent_encoding::utf8_percent_encode(name, LINK);
        let shown = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        page.push_str(&format!("<a href=\"{link}\">{shown}</a>\n"));
    }
    page.push_str("</pre>\n");
    page
}

/// What a relative link cannot have as it is.
const LINK: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?');

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(root: &Path, path: &str) -> (u16, String) {
        let response = handle(root, path).await;
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn only_what_is_in_the_directory_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("log");
        std::fs::create_dir_all(root.join("pods")).unwrap();
        std::fs::write(directory.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("pods/a.log"), "text").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("pods/a.log", root.join("in")).unwrap();
        assert_eq!(get(&root, "/pods/a.log").await, (200, "text".to_owned()));
        assert_eq!(get(&root, "/in").await, (200, "text".to_owned()));
        assert_eq!(get(&root, "/out").await.0, 404);
        assert_eq!(get(&root, "/../secret").await.0, 400);
        assert_eq!(get(&root, "/missing").await.0, 404);
        assert_eq!(get(&root, "/pods").await.0, 301);
        let (code, page) = get(&root, "/").await;
        assert_eq!(code, 200);
        assert!(page.contains("<a href=\"pods/\">pods/</a>"), "{page}");
    }

    /// A place was resolved, then looked at, then opened, by its name each time: a pod that exchanged a directory for a link in
    /// between read any file of the machine, and a pipe held a thread for ever.
    #[test]
    fn what_was_exchanged_meanwhile_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::create_dir_all(path.join("pods")).unwrap();
        std::fs::create_dir(directory.path().join("outside")).unwrap();
        std::fs::write(directory.path().join("outside/a.log"), "secret").unwrap();
        std::fs::write(path.join("pods/a.log"), "text").unwrap();
        let root = File::open(&path).unwrap();
        // As the name was resolved before.
        let place = Path::new("pods/a.log");
        let Some(Found::File(file)) = open(&root, place).unwrap() else { panic!("it is a file") };
        assert_eq!(io::read_to_string(file).unwrap(), "text");
        assert!(matches!(open(&root, Path::new("")).unwrap(), Some(Found::Directory(_))));
        std::fs::remove_file(path.join(place)).unwrap();
        assert!(open(&root, place).unwrap().is_none());
        std::os::unix::fs::symlink(directory.path().join("outside/a.log"), path.join(place)).unwrap();
        assert!(open(&root, place).unwrap().is_none());
        std::fs::remove_file(path.join(place)).unwrap();
        nix::unistd::mkfifo(&path.join(place), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&root, place).unwrap().is_none());
        std::fs::remove_dir_all(path.join("pods")).unwrap();
        for target in ["../outside".into(), directory.path().join("outside")] {
            std::os::unix::fs::symlink(target, path.join("pods")).unwrap();
            assert!(open(&root, place).unwrap().is_none());
            std::fs::remove_file(path.join("pods")).unwrap();
        }
    }
}
