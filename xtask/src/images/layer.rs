//! A layer of an image: files, folders and links with modes, as a tar file that depends on nothing else.

use std::collections::BTreeMap;

use anyhow::Context;
use tar::{Builder, EntryType, Header};

enum Node {
    File { mode: u32, content: Vec<u8> },
    Folder { mode: u32 },
    Link { target: String },
}

/// Entries by path, without a leading slash; written in the order of their names, folders before what is in them.
#[derive(Default)]
pub(super) struct Layer {
    nodes: BTreeMap<String, Node>,
}

impl Layer {
    /// Adds a regular file, and the folders above it.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.add(path, Node::File { mode, content: content.to_vec() });
    }

    pub(super) fn folder(&mut self, path: &str, mode: u32) {
        self.add(path, Node::Folder { mode });
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.add(path, Node::Link { target: target.to_owned() });
    }

    fn add(&mut self, path: &str, node: Node) {
        for (slash, _) in path.match_indices('/') {
            self.nodes.entry(path[..slash].to_owned()).or_insert(Node::Folder { mode: 0o755 });
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The layer as a tar file; times, owners and order are fixed.
    pub(super) fn to_tar(&self) -> anyhow::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, node) in &self.nodes {
            append(&mut builder, path, node).with_context(|| format!("add {path} to a layer"))?;
        }
        builder.into_inner().context("end a layer")
    }
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, node: &Node) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    match node {
        Node::File { mode, content } => {
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_slice())
        }
        Node::Folder { mode } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            builder.append_data(&mut header, format!("{path}/"), &[][..])
        }
        Node::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            builder.append_link(&mut header, path, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn writes_folders_before_files_and_the_same_bytes_each_time() {
        let build = || {
            let mut layer = Layer::default();
            layer.link("bin/sh", "busybox");
            layer.file("bin/busybox", 0o755, b"x");
            layer.folder("tmp", 0o1777);
            layer.to_tar().unwrap()
        };
        let tar = build();
        assert_eq!(tar, build());
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                let path = entry.path().unwrap().display().to_string();
                (
                    path,
                    entry.header().mode().unwrap(),
                    entry.link_name().unwrap().map(|name| name.display().to_string()),
                    content,
                )
            })
            .collect();
        let entry = |path: &str, mode, link: Option<&str>, content: &str| {
            (path.to_owned(), mode, link.map(str::to_owned), content.to_owned())
        };
        assert_eq!(
            entries,
            [
                entry("bin/", 0o755, None, ""),
                entry("bin/busybox", 0o755, None, "x"),
                entry("bin/sh", 0o777, Some("busybox"), ""),
                entry("tmp/", 0o1777, None, ""),
            ]
        );
    }
}
