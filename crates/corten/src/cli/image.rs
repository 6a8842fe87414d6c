//! `corten image`: the images that pods of this machine can run.

use std::{fs::File, io::IsTerminal as _, os::fd::AsRawFd as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use corten_base::{Shutdown, SystemClock, SystemRng};
use corten_container_runtime::{ContainerRuntime, images::store::ImageStore};
use corten_net::netns::Netns;

use super::common::{Root, note, print, runtime};
use crate::{
    archive,
    commands::{image_lines, remove_image},
    control::{self, Answer, ImageLine, Request},
    ground,
    instance::{Asker, Claim, Instance, Purpose},
    places::Places,
    preflight,
};

/// The name of standard input among archives.
const STDIN: &str = "-";

/// Options of `corten image`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    root: Root,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import the images of archives: what `docker save` writes, or an OCI layout, in a tar file that may be compressed
    /// with gzip or zstd.
    Import {
        /// The archives; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        archives: Vec<PathBuf>,
    },
    /// List the images.
    #[command(visible_alias = "ls")]
    List,
    /// Remove an image under all its names.
    Rm {
        /// A name or an id, or the beginning of an id.
        #[arg(value_name = "IMAGE")]
        image: String,
    },
}

/// Does it in the running process, or on the store of images directly if there is none.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    preflight::require_root("image", "images and the socket of the running cluster belong to root")?;
    let places = options.root.places()?;
    let mut spooled = None;
    let request = match options.command {
        Command::Import { archives } => {
            let mut absolute = Vec::new();
            for archive in &archives {
                if archive.as_os_str() != STDIN {
                    let found = archive.canonicalize();
                    absolute.push(found.with_context(|| format!("find the archive {}", archive.display()))?);
                } else if spooled.is_none() {
                    let spool = Spooled::take(&places)?;
                    absolute.push(spool.path());
                    spooled = Some(spool);
                } else {
                    bail!("standard input is one archive: give `-` once");
                }
            }
            Request::ImportImages(absolute)
        }
        Command::List => Request::ListImages,
        Command::Rm { image } => Request::RemoveImage(image),
    };
    let answer = control::ask(&places.control_socket(), request.clone()).and_then(|answer| match answer {
        Some(answer) => Ok(answer),
        None => directly(&places, request),
    });
    match spooled {
        Some(spooled) => spooled.show(answer),
        None => show(answer?),
    }
}

/// What came on standard input, in a file without a name: archives are read by position, also by another process.
struct Spooled(File);

impl Spooled {
    fn take(places: &Places) -> anyhow::Result<Self> {
        let mut stdin = std::io::stdin().lock();
        if stdin.is_terminal() {
            bail!("standard input is a terminal: `corten image import - < FILE`, or give the file's name");
        }
        ground::settle(places)?;
        // Beside the images, where there is room for them; a killed process leaves nothing.
        let mut file =
            tempfile::tempfile_in(&places.root).with_context(|| format!("make a file in {}", places.root.display()))?;
        std::io::copy(&mut stdin, &mut file).context("read the archive from standard input")?;
        Ok(Self(file))
    }

    /// Leads to the file while this process lives.
    fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// As `show`, under the name that the user knows.
    fn show(&self, answer: anyhow::Result<Answer>) -> anyhow::Result<ExitCode> {
        let path = self.path().display().to_string();
        let named = |text: String| text.replace(&path, "standard input");
        match answer {
            Ok(Answer::Failed(reason)) => bail!(named(reason)),
            Ok(answer) => show(answer),
            Err(error) => bail!(named(format!("{error:#}"))),
        }
    }
}

fn show(answer: Answer) -> anyhow::Result<ExitCode> {
    match answer {
        Answer::Done(lines) => print(lines)?,
        Answer::Images(images) => {
            let head = format!("{:60} {:14} {:>10}", "IMAGE", "ID", "SIZE");
            print(std::iter::once(head).chain(images.iter().flat_map(lines)))?;
        }
        Answer::Failed(reason) => bail!(reason),
        Answer::Status(_) => bail!("the running process answered something else"),
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(image: &ImageLine) -> Vec<String> {
    let id = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
    let short = &id[..id.len().min(12)];
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let size = format!("{:.1} MB", image.size_bytes as f64 / 1e6);
    let names = if image.tags.is_empty() { vec!["<none>".to_owned()] } else { image.tags.clone() };
    names.iter().map(|name| format!("{name:60} {short:14} {size:>10}")).collect()
}

/// Without a process: under its lock, because nobody else may change the images meanwhile.
fn directly(places: &Places, request: Request) -> anyhow::Result<Answer> {
    let _instance = match Instance::claim(places, Purpose::Image, Asker::new(&note))? {
        Claim::Ours(instance) => instance,
        Claim::Running(_) => bail!("the cluster is starting or ending: try again in a moment"),
    };
    let open = || ImageStore::open(places.images()).context("open the images");
    match request {
        Request::ListImages => Ok(Answer::Images(image_lines(&open()?))),
        Request::ImportImages(archives) => Ok(Answer::Done(archive::import_all(&open()?, &archives)?)),
        Request::RemoveImage(name) => Ok(Answer::Done(vec![runtime()?.block_on(remove(places, &name))?])),
        Request::Status | Request::Stop | Request::Backup(_) => bail!("this is no command about images"),
    }
}

/// Containers that a killed process left may still use an image, and only the runtime knows them.
async fn remove(places: &Places, name: &str) -> anyhow::Result<String> {
    let (end, shutdown) = Shutdown::new();
    let executable = std::env::current_exe().context("find this program's file")?;
    let host = Netns::current().context("open the network namespace")?;
    let config = places.container_runtime(executable);
    let runtime = ContainerRuntime::open(config, host, SystemClock::shared(), SystemRng::shared(), shutdown)
        .await
        .context("open the container runtime")?;
    let removed = remove_image(&runtime, name).await;
    end.request();
    runtime.join().await.context("close the container runtime")?;
    removed.map_err(anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_line_per_name() {
        let image = ImageLine {
            id: "sha256:0123456789abcdef".to_owned(),
            tags: vec!["docker.io/library/nginx:1".to_owned(), "docker.io/library/nginx:latest".to_owned()],
            size_bytes: 1_250_000,
        };
        let lines = lines(&image);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("docker.io/library/nginx:1 ") && lines[0].contains(" 0123456789ab "), "{lines:?}");
        assert!(lines[0].ends_with("1.2 MB"), "{lines:?}");
        let nameless = ImageLine { tags: Vec::new(), ..image };
        assert!(super::lines(&nameless)[0].starts_with("<none> "));
    }
}
