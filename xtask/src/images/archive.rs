//! The two forms in which images travel as one file: `docker save`'s, and the OCI image layout.
//!
//! Sources: docker image specification v1.2 (combined image JSON and file system); OCI image specification 1.1.

use std::env::consts::ARCH;
use std::io::Write;

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Image;
use super::layer::Layer;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes plain layers, a configuration and `manifest.json`.
pub(super) fn docker(image: &Image) -> anyhow::Result<Vec<u8>> {
    let layers: Vec<Vec<u8>> = image.layers.iter().map(Layer::to_tar).collect::<anyhow::Result<_>>()?;
    let config = to_json(&configuration(image, &layers))?;
    let config_name = format!("{}.json", sha256(&config));
    let names: Vec<String> = layers.iter().map(|layer| format!("{}/layer.tar", sha256(layer))).collect();
    let manifest = json!([{ "Config": config_name, "RepoTags": [image.familiar_reference], "Layers": names }]);
    let mut archive = Layer::default();
    for (name, layer) in names.iter().zip(&layers) {
        archive.file(name, 0o644, layer);
    }
    archive.file(&config_name, 0o644, &config);
    archive.file("manifest.json", 0o644, &to_json(&manifest)?);
    archive.to_tar()
}

/// Writes compressed layers, a configuration and a manifest as blobs, and the index that names the manifest.
pub(super) fn oci(image: &Image) -> anyhow::Result<Vec<u8>> {
    let layers: Vec<Vec<u8>> = image.layers.iter().map(Layer::to_tar).collect::<anyhow::Result<_>>()?;
    let config = to_json(&configuration(image, &layers))?;
    let mut archive = Layer::default();
    let mut add_blob = |media_type: &str, blob: &[u8]| {
        let digest = sha256(blob);
        archive.file(&format!("blobs/sha256/{digest}"), 0o644, blob);
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": blob.len() })
    };
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect::<anyhow::Result<_>>()?;
    let layers: Vec<Value> = layers.iter().map(|layer| add_blob(LAYER_TYPE, layer)).collect();
    let config = add_blob(CONFIG_TYPE, &config);
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers });
    let mut manifest = add_blob(MANIFEST_TYPE, &to_json(&manifest)?);
    manifest["platform"] = json!({ "os": "linux", "architecture": architecture() });
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": image.reference });
    let index =
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest] });
    archive.file("index.json", 0o644, &to_json(&index)?);
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
    archive.to_tar()
}

fn configuration(image: &Image, layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    // A fixed time: the same files make the same image.
    let created = "2026-01-01T00:00:00Z";
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": created,
        "config": image.config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": layers.iter().map(|_| json!({ "created": created, "created_by": "cargo xtask images" })).collect::<Vec<_>>(),
    })
}

/// Go's name for this machine, which image formats use.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes).context("compress a layer")?;
    encoder.finish().context("compress a layer")
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn to_json(value: &Value) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(value).context("encode JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn image() -> Image {
        let mut layer = Layer::default();
        layer.file("hello", 0o755, b"hello");
        Image {
            reference: "docker.io/library/x:1",
            familiar_reference: "x:1",
            file_name: "x",
            config: json!({ "Cmd": ["/hello"] }),
            layers: vec![layer],
        }
    }

    fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.collect()
    }

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_docker_archive_names_its_parts() {
        let files = files(&docker(&image()).unwrap());
        let manifest = &parse(&files["manifest.json"])[0];
        assert_eq!(manifest["RepoTags"], json!(["x:1"]));
        let config = parse(&files[manifest["Config"].as_str().unwrap()]);
        let layer = &files[manifest["Layers"][0].as_str().unwrap()];
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(layer)));
        assert_eq!(config["config"]["Cmd"], json!(["/hello"]));
    }

    #[test]
    fn an_oci_layout_leads_from_the_index_to_every_blob() {
        let files = files(&oci(&image()).unwrap());
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
            let bytes = files[&format!("blobs/sha256/{digest}")].clone();
            assert_eq!((sha256(&bytes), bytes.len() as u64), (digest, descriptor["size"].as_u64().unwrap()));
            bytes
        };
        let index = parse(&files["index.json"]);
        assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "docker.io/library/x:1");
        let manifest = parse(&blob(&index["manifests"][0]));
        let config = parse(&blob(&manifest["config"]));
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(blob(&manifest["layers"][0]).as_slice()).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&layer)));
    }
}
