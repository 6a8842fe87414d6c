//! The file of a backup: everything by which a cluster is the same one again, in a tar archive.
//!
//! Format, version 1: `corten-backup.json` with the version; `cluster.json`, what the cluster was made with; `pki/`, its
//! authority and the keys of service accounts' tokens; `store`, a copy of the store. It is written in this order and read in
//! any, as people pack archives anew; members of other names are passed over. Earlier versions wrote the store alone, which
//! begins otherwise; such a backup is still taken.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use corten_base::fs::{self, Context as _};
use corten_component_base::certificates::KeyPairPem;
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

use crate::{pki, places::Places, record::Record};

/// The version that this program writes, and the only one it reads.
const VERSION: u32 = 1;

const HEAD: &str = "corten-backup.json";
const RECORD: &str = "cluster.json";

/// The name of the store in the archive, and where it is unpacked.
pub(crate) const STORE: &str = "store";

/// The directory of keys in the archive.
const KEYS: &str = "pki";

/// What cannot be made again, and the mode that it is written with. Certificates of components are signed anew.
const KEY_FILES: &[(&str, u32)] = &[("ca.crt", 0o644), ("ca.key", 0o600), ("sa.pub", 0o644), ("sa.key", 0o600)];

/// What a store begins with. Source: SQLite's file format.
const STORE_MAGIC: &[u8] = b"SQLite format 3\0";

/// The longest member but the store: keys and records are a hundredth of it.
const MEMBER_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
}

/// A backup being made, in a directory beside where it will be. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Draft {
    target: PathBuf,
    directory: TempDir,
}

impl Draft {
    /// Begins the backup that will be the new file `target`. Blocks.
    ///
    /// Errors: there is such a file, the directory cannot be written.
    pub(crate) fn begin(target: PathBuf) -> anyhow::Result<Self> {
        if target.try_exists().at("look for", &target)? {
            bail!("{} is there already: a backup is a new file", target.display());
        }
        let parent = target.parent().with_context(|| format!("{} is no file", target.display()))?;
        // Only its owner can enter.
        let made = tempfile::Builder::new().prefix(".corten-backup-").tempdir_in(parent);
        let directory = made.map_err(|error| anyhow::anyhow!("write in {}: {error}", parent.display()))?;
        Ok(Self { target, directory })
    }

    /// Where the copy of the store belongs.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join(STORE)
    }

    /// Puts everything together and gives it its name. Blocks.
    ///
    /// Errors: what cannot be read or written.
    pub(crate) fn finish(self, record: &Record, pki: &Path) -> anyhow::Result<()> {
        // Its mode is 0600.
        let file = NamedTempFile::new_in(self.directory.path()).at("create a file in", self.directory.path())?;
        let mut archive = tar::Builder::new(file);
        let head = serde_json::to_vec(&Head { version: VERSION }).context("write the head of the backup")?;
        append(&mut archive, HEAD, 0o644, &head)?;
        append(&mut archive, RECORD, 0o644, record.to_text()?.as_bytes())?;
        for (name, mode) in KEY_FILES {
            append(&mut archive, &format!("{KEYS}/{name}"), *mode, &fs::read(&pki.join(name))?)?;
        }
        let mut store = File::open(self.store()).at("open", &self.store())?;
        archive.append_file(STORE, &mut store).at("write", &self.target)?;
        let file = archive.into_inner().at("write", &self.target)?;
        file.as_file().sync_all().at("sync", &self.target)?;
        file.persist_noclobber(&self.target).map_err(|error| error.error).at("rename to", &self.target)?;
        let parent = self.target.parent().unwrap_or(Path::new("."));
        Ok(File::open(parent).and_then(|parent| parent.sync_all()).at("sync", parent)?)
    }
}

fn append(archive: &mut tar::Builder<NamedTempFile>, name: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, name, content).with_context(|| format!("write {name} of the backup"))
}

/// What a backup has.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The copy of the store.
    pub(crate) store: PathBuf,
    /// The rest; nothing in a backup of an earlier version.
    pub(crate) identity: Option<Identity>,
}

/// What makes a cluster this one, beside its objects.
#[derive(Debug)]
pub(crate) struct Identity {
    record: Record,
    keys: Vec<(&'static str, u32, Vec<u8>)>,
}

/// Reads a backup; what is in an archive is unpacked into `staging`, an empty directory that is its owner's alone. Blocks.
///
/// Errors: it cannot be read, ends too early, is of another version, lacks something or has it twice, holds keys that do not
/// belong together. That it holds a store is not looked at.
pub(crate) fn read(backup: &Path, staging: &Path) -> anyhow::Result<Contents> {
    let mut file = File::open(backup).map_err(|error| anyhow::anyhow!("open it: {error}"))?;
    let mut beginning = Vec::new();
    (&mut file).take(STORE_MAGIC.len() as u64).read_to_end(&mut beginning).context("read it")?;
    if beginning == STORE_MAGIC {
        return Ok(Contents { store: backup.to_owned(), identity: None });
    }
    file.rewind().context("read it")?;
    let mut found = Found::default();
    let mut archive = tar::Archive::new(file);
    for (place, entry) in archive.entries().context("read it")?.enumerate() {
        let mut entry = match entry {
            Err(error) if place == 0 => {
                tracing::debug!(err = %error, "Could not read an archive");
                bail!("it is neither an archive that `corten backup` wrote nor a store");
            }
            entry => entry.context("read it")?,
        };
        let path = entry.path().context("read it")?.into_owned();
        // `tar cf FILE .` begins every name with it.
        let name = path.strip_prefix(".").unwrap_or(&path).to_string_lossy().into_owned();
        found.take(&name, &mut entry, staging)?;
    }
    found.finish()
}

/// What a backup has by now.
#[derive(Debug, Default)]
struct Found {
    head: Option<Head>,
    record: Option<Record>,
    keys: BTreeMap<&'static str, (u32, Vec<u8>)>,
    store: Option<PathBuf>,
}

impl Found {
    /// Takes in a member.
    fn take(&mut self, name: &str, entry: &mut tar::Entry<'_, File>, staging: &Path) -> anyhow::Result<()> {
        let key = name.strip_prefix(KEYS).and_then(|name| name.strip_prefix('/'));
        let key = key.and_then(|name| KEY_FILES.iter().find(|(key, _)| *key == name));
        if !matches!(name, HEAD | RECORD | STORE) && key.is_none() {
            return Ok(());
        }
        if !entry.header().entry_type().is_file() {
            bail!("{name} in it is no regular file");
        }
        let is_second = match (name, key) {
            (HEAD, _) => self.head.replace(Head::parse(&member(entry)?)?).is_some(),
            (RECORD, _) => {
                let record = Record::parse(&String::from_utf8_lossy(&member(entry)?))?;
                self.record.replace(record).is_some()
            }
            (_, Some((key, mode))) => self.keys.insert(key, (*mode, member(entry)?)).is_some(),
            _ if self.store.is_some() => true,
            _ => {
                self.store = Some(unpack(entry, &staging.join(STORE))?);
                false
            }
        };
        if is_second {
            bail!("{name} is in it twice");
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Contents> {
        let Self { head: Some(_), record: Some(record), keys, store: Some(store) } = self else {
            bail!("it is not whole: it was cut, or is another archive");
        };
        let text = |name: &str| {
            let (_, content) = keys.get(name).with_context(|| format!("it is not whole: it lacks {KEYS}/{name}"))?;
            std::str::from_utf8(content).with_context(|| format!("{KEYS}/{name} in it is no text"))
        };
        let authority = KeyPairPem { certificate: text("ca.crt")?.to_owned(), key: text("ca.key")?.to_owned().into() };
        pki::expect_pairs(authority, (text("sa.pub")?, text("sa.key")?)).context("its keys do not belong together")?;
        let keys = keys.into_iter().map(|(name, (mode, content))| (name, mode, content)).collect();
        Ok(Contents { store, identity: Some(Identity { record, keys }) })
    }
}

impl Head {
    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let head: Self = serde_json::from_slice(text).context("understand its head")?;
        if head.version != VERSION {
            bail!("it has version {}, this program knows {VERSION}", head.version);
        }
        Ok(head)
    }
}

fn unpack(entry: &mut tar::Entry<'_, File>, path: &Path) -> anyhow::Result<PathBuf> {
    let mut copy = File::create_new(path).at("create", path)?;
    let (size, copied) = (entry.size(), io::copy(entry, &mut copy).at("write", path)?);
    if copied != size {
        bail!("it ends in the middle of the store, after {copied} of {size} bytes");
    }
    Ok(path.to_owned())
}

fn member(entry: &mut tar::Entry<'_, File>) -> anyhow::Result<Vec<u8>> {
    let size = entry.size();
    if size > MEMBER_BYTES_MAX {
        bail!("it is damaged: a key or record is too long");
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).context("read it")?;
    if content.len() as u64 != size {
        bail!("it is not whole: it was cut");
    }
    Ok(content)
}

impl Identity {
    /// Fails where keys of another cluster are in the way and cannot be put aside, since others were before. Blocks, changes
    /// nothing.
    pub(crate) fn expect_room(&self, places: &Places) -> anyhow::Result<()> {
        let (pki, aside) = (places.pki(), places.replaced_pki());
        if !self.has_place(&pki) && is_there(&pki)? && is_there(&aside)? {
            bail!(
                "{} are keys of another cluster, which were put aside by an earlier restore: move them out of the way first, \
                 because those in {} would take their place",
                aside.display(),
                pki.display()
            );
        }
        Ok(())
    }

    /// Makes the cluster at `places` this one. Keys of another cluster are put aside. Cut at any point, it does the rest when it
    /// is called again. `staging` is a directory in the root, its owner's alone, for what is not complete. Blocks.
    ///
    /// Errors: as `expect_room`; what cannot be written.
    pub(crate) fn take_place(&self, places: &Places, staging: &Path) -> anyhow::Result<()> {
        let pki = places.pki();
        if !self.has_place(&pki) {
            self.expect_room(places)?;
            // All of them, before anything else is touched: the disk may be full.
            let new = staging.join(KEYS);
            fs::create_dir_all(&new)?;
            for (name, mode, content) in &self.keys {
                fs::write_atomic(&new.join(name), content, *mode)?;
            }
            if is_there(&pki)? {
                let aside = places.replaced_pki();
                std::fs::rename(&pki, &aside).at("rename to", &aside)?;
            }
            std::fs::rename(&new, &pki).at("rename to", &pki)?;
        }
        // With it the root is on disk, and so the new names.
        self.record.write(&places.record())
    }

    fn has_place(&self, pki: &Path) -> bool {
        self.keys.iter().all(|(name, _, content)| fs::read(&pki.join(name)).is_ok_and(|it| it == *content))
    }
}

fn is_there(path: &Path) -> anyhow::Result<bool> {
    Ok(path.try_exists().at("look for", path)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use corten_component_base::certificates::{Authority, CertificateFiles};
    use corten_controlplane::authentication::service_account::new_key;

    use super::*;

    pub(crate) fn record() -> Record {
        let ranges = ("10.60.0.0/16".parse().unwrap(), "10.50.0.0/16".parse().unwrap());
        let served = ("0.0.0.0:6443".parse().unwrap(), 10_250, corten_proxy::ProxyMode::Auto);
        Record::new(ranges, "cluster.local", Some("foo".to_owned()), served)
    }

    pub(crate) fn write_keys(pki: &Path) {
        fs::create_dir_all(pki).unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Authority::ensure(&CertificateFiles::new(pki, "ca"), "kubernetes", now).unwrap();
        let (private, public) = new_key().unwrap();
        fs::write(&pki.join("sa.key"), private.as_bytes()).unwrap();
        fs::write(&pki.join("sa.pub"), public.as_bytes()).unwrap();
    }

    fn backup(directory: &Path) -> PathBuf {
        let target = directory.join("backup");
        write_keys(&directory.join("pki"));
        let draft = Draft::begin(target.clone()).unwrap();
        fs::write(&draft.store(), &[7; 5_000]).unwrap();
        draft.finish(&record(), &directory.join("pki")).unwrap();
        target
    }

    /// The members of a backup, to pack it anew.
    fn members(backup: &Path) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(File::open(backup).unwrap());
        let member = |entry: io::Result<tar::Entry<'_, File>>| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            (name, member(&mut entry).unwrap())
        };
        archive.entries().unwrap().map(member).collect()
    }

    #[track_caller]
    fn check(members: &[(String, Vec<u8>)], link: Option<&str>, want: Result<(), &str>) {
        let directory = tempfile::tempdir().unwrap();
        let (path, staging) = (directory.path().join("backup"), directory.path().join("staging"));
        fs::create_dir_all(&staging).unwrap();
        let mut archive = tar::Builder::new(File::create(&path).unwrap());
        for (name, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o600);
            if link == Some(name) {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, name, "elsewhere").unwrap();
            } else {
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, name, &content[..]).unwrap();
            }
        }
        archive.into_inner().unwrap();
        match (read(&path, &staging), want) {
            (Ok(contents), Ok(())) => assert_eq!(fs::read(&contents.store).unwrap(), [7; 5_000]),
            (Err(error), Err(want)) => assert!(format!("{error:#}").contains(want), "{error:#}"),
            (got, want) => panic!("{got:?} in place of {want:?}"),
        }
    }

    /// A link became an empty key, another order "is not a store", and keys of others a cluster that nobody could reach.
    #[test]
    fn an_archive_that_somebody_packed_is_taken_if_it_is_whole() {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [whole, other] = directories.each_ref().map(|directory| members(&backup(directory.path())));
        check(&whole, None, Ok(()));
        let mut sorted: Vec<_> = whole.iter().map(|(name, content)| (format!("./{name}"), content.clone())).collect();
        sorted.push(("./notes".to_owned(), b"mine".to_vec()));
        sorted.sort();
        sorted.reverse();
        check(&sorted, None, Ok(()));
        for (name, _) in &whole {
            check(&whole, Some(name), Err(&format!("{name} in it is no regular file")));
            let mut twice = whole.clone();
            twice.extend(whole.iter().find(|(known, _)| known == name).cloned());
            check(&twice, None, Err(&format!("{name} is in it twice")));
            let without: Vec<_> = whole.iter().filter(|(known, _)| known != name).cloned().collect();
            check(&without, None, Err("it is not whole"));
        }
        for name in ["pki/ca.key", "pki/ca.crt", "pki/sa.key", "pki/sa.pub"] {
            let foreign = other.iter().find(|(known, _)| known == name).unwrap();
            let mixed: Vec<_> =
                whole.iter().map(|member| if member.0 == name { foreign.clone() } else { member.clone() }).collect();
            check(&mixed, None, Err("its keys do not belong together"));
        }
        let mut renamed = whole;
        for (_, content) in renamed.iter_mut().filter(|(name, _)| name == RECORD) {
            *content = String::from_utf8(content.clone()).unwrap().replace("foo", "../../x").into_bytes();
        }
        check(&renamed, None, Err("\"../../x\" is no name for a node"));
        check(&[], None, Err("it is not whole"));
    }

    /// `backup`, `delete`, `restore`, `up` once took the default ranges, made another authority, and failed.
    #[test]
    fn a_cluster_is_the_same_one_after_its_backup() {
        let directory = tempfile::tempdir().unwrap();
        let target = backup(directory.path());
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600, "it holds keys");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "the draft is gone");
        let places = Places::new(&directory.path().join("root")).unwrap();
        write_keys(&places.pki());
        let others = fs::read(&places.pki().join("ca.key")).unwrap();
        let ours = fs::read(&directory.path().join("pki/sa.key")).unwrap();
        fs::write(&places.pki().join("admin.crt"), b"signed by another").unwrap();
        for round in 0..2 {
            let staging = tempfile::tempdir().unwrap();
            let contents = read(&target, staging.path()).unwrap();
            assert_eq!(fs::read(&contents.store).unwrap(), [7; 5_000]);
            contents.identity.unwrap().take_place(&places, staging.path()).unwrap();
            assert_eq!(Record::read(&places.record()).unwrap(), Some(record()));
            assert_eq!(fs::read(&places.pki().join("sa.key")).unwrap(), ours);
            assert_eq!(fs::read(&places.replaced_pki().join("ca.key")).unwrap(), others);
            assert_eq!(places.pki().join("admin.crt").exists(), round > 0, "nothing is left that others signed");
            fs::write(&places.pki().join("admin.crt"), b"signed by this one").unwrap();
        }
        assert!(places.data().contains(&places.replaced_pki()), "`delete` removes it");
    }

    /// The keys that had been in the way were put aside before the new ones were written, and were lost when a restore that
    /// had been cut in between was repeated: what it had left took their place.
    #[test]
    fn keys_that_were_put_aside_are_never_lost() {
        let directory = tempfile::tempdir().unwrap();
        let target = backup(directory.path());
        let places = Places::new(&directory.path().join("root")).unwrap();
        write_keys(&places.pki());
        let key = |directory: PathBuf| fs::read(&directory.join("ca.key")).unwrap();
        let (theirs, ours) = (key(places.pki()), key(directory.path().join("pki")));
        let take_place = |before: &dyn Fn(&Path)| {
            let staging = tempfile::tempdir_in(&places.root).unwrap();
            let identity = read(&target, staging.path()).unwrap().identity.unwrap();
            before(staging.path());
            identity.take_place(&places, staging.path())
        };
        // It fails between two keys.
        let failed = take_place(&|staging| fs::create_dir_all(&staging.join("pki/sa.key/full")).unwrap());
        failed.unwrap_err();
        assert_eq!((key(places.pki()), places.replaced_pki().exists()), (theirs.clone(), false));
        // It was killed when it had put the others aside.
        std::fs::rename(places.pki(), places.replaced_pki()).unwrap();
        for _ in 0..2 {
            take_place(&|_| {}).unwrap();
            assert_eq!((key(places.pki()), key(places.replaced_pki())), (ours.clone(), theirs.clone()));
        }
        // A third cluster's.
        fs::remove_dir_all(&places.pki()).unwrap();
        write_keys(&places.pki());
        let third = key(places.pki());
        let refused = take_place(&|_| {}).unwrap_err().to_string();
        assert!(refused.contains("move them out of the way first"), "{refused}");
        assert_eq!((key(places.pki()), key(places.replaced_pki())), (third, theirs));
    }

    #[test]
    fn backups_that_are_cut_or_of_other_versions_are_refused_and_old_ones_taken() {
        let directory = tempfile::tempdir().unwrap();
        let target = backup(directory.path());
        assert!(Draft::begin(target.clone()).unwrap_err().to_string().contains("is there already"));
        let whole = fs::read(&target).unwrap();
        let read_again = |content: &[u8]| {
            let (file, staging) = (directory.path().join("other"), tempfile::tempdir().unwrap());
            fs::write(&file, content).unwrap();
            read(&file, staging.path())
        };
        for length in [0, 100, 600, 2_000, 4_000, whole.len() - 3_000] {
            read_again(&whole[..length]).unwrap_err();
        }
        let garbage = read_again(&[7; 2_000]).unwrap_err().to_string();
        assert_eq!(garbage, "it is neither an archive that `corten backup` wrote nor a store");
        let text = String::from_utf8_lossy(&whole).into_owned();
        let at = text.find("\"version\":1}").unwrap();
        let mut newer = whole;
        newer[at..at + 12].copy_from_slice(b"\"version\":2}");
        assert_eq!(read_again(&newer).unwrap_err().to_string(), "it has version 2, this program knows 1");
        let old = read_again(b"SQLite format 3\0").unwrap();
        assert_eq!((old.store, old.identity.is_none()), (directory.path().join("other"), true));
    }
}
