//! `/logs/`: the files under the machine's log directory.
//!
//! Invariant: nothing outside of that directory is read: a pod that may write there could point anywhere with a symbolic link.
//! Upstream: pkg/kubelet/server `ServeLogs`, net/http `FileServer` (v1.35); that one follows links anywhere.

use std::path::Path;

use futures::TryStreamExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio_util::io::ReaderStream;

use super::answer::{Answer, of, text, with_type};

/// Sends a file under `root`, or the names in a directory. `path` begins behind `/logs`.
pub(super) async fn handle(root: &Path, path: &str) -> Response<Answer> {
    let missing = || text(StatusCode::NOT_FOUND, "404 page not found\n");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.contains(&"..") {
        return text(StatusCode::BAD_REQUEST, "invalid URL path\n");
    }
    let wanted = root.join(parts.join("/"));
    let (Ok(root), Ok(found)) = (tokio::fs::canonicalize(root).await, tokio::fs::canonicalize(&wanted).await) else {
        return missing();
    };
    let Ok(facts) = tokio::fs::metadata(&found).await else { return missing() };
    if !found.starts_with(&root) {
        return missing();
    }
    if facts.is_dir() {
        if !path.ends_with('/') {
            let mut response = text(StatusCode::MOVED_PERMANENTLY, "");
            let name = parts.last().map_or_else(|| "logs/".to_owned(), |name| format!("{name}/"));
            if let Ok(place) = HeaderValue::try_from(name) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            return response;
        }
        return match names(&found).await {
            Ok(names) => with_type(StatusCode::OK, "text/html; charset=utf-8", list(&names)),
            Err(error) => failed(&error),
        };
    }
    // A pipe or a device would wait for ever, or never end.
    if !facts.is_file() {
        return missing();
    }
    match tokio::fs::File::open(&found).await {
        Ok(file) => {
            let body = StreamBody::new(ReaderStream::new(file).map_ok(Frame::data));
            of(StatusCode::OK, "text/plain; charset=utf-8", body.boxed_unsync())
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &std::io::Error) -> Response<Answer> {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

async fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let mut name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().await?.is_dir() {
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
}
