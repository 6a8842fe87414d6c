use corten_base::SystemClock;
use corten_storage::kv::{Change, Expected, Write};

use super::*;

#[test]
fn only_what_is_mounted_below_is_ours_and_the_last_goes_first() {
    let table = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                 23 22 0:5 / /var/lib/corten rw - ext4 /dev/sdb rw\n\
                 24 23 0:6 / /var/lib/corten/kubelet/a\\040b rw - tmpfs tmpfs rw\n\
                 25 24 0:7 / /var/lib/corten/kubelet/a\\040b/c rw - tmpfs tmpfs rw\n\
                 26 22 0:8 / /var/lib/corten2/x rw - tmpfs tmpfs rw\n";
    let points = mount_points_below(mounts::parse(table), &[Path::new("/var/lib/corten")]);
    let want = ["/var/lib/corten/kubelet/a b/c", "/var/lib/corten/kubelet/a b"].map(PathBuf::from);
    assert_eq!(points, want);
}

async fn store_pod(places: &Places, clock: &SharedClock, text: &str) {
    let (tasks, (end, shutdown)) = (TaskSet::new("store"), Shutdown::new());
    let config =
        corten_storage_sqlite::Config { ballast_bytes: 0, ..corten_storage_sqlite::Config::new(places.store()) };
    let engine = SqliteEngine::open(config, clock.clone(), &tasks, &shutdown).await.unwrap();
    let change = Change::Put { value: Bytes::copy_from_slice(text.as_bytes()), expires_at: None };
    let write = Write { key: KeySpace::new("pods").full("default/ended"), expected: Expected::Absent, change };
    engine.commit(vec![write]).await.unwrap();
    drop(engine);
    end.request();
    tasks.join().await.unwrap();
}

#[tokio::test]
async fn logs_of_this_cluster_go_and_those_of_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (places, clock) = (Places::new(directory.path()).unwrap(), SystemClock::shared());
    let (logs, links) = (places.pod_logs(), directory.path().join("links"));
    fs::create_dir_all(&places.kubelet().join("pods/uid-1")).unwrap();
    store_pod(&places, &clock, r#"{"metadata":{"name":"ended","uid":"uid-3"}}"#).await;
    for name in ["default_web_uid-1", "default_web_uid-2", "default_ended_uid-3", "notes", "odd_"] {
        fs::create_dir_all(&logs.join(name).join("app")).unwrap();
    }
    fs::create_dir_all(&links).unwrap();
    fs::write(&logs.join("default_web_uid-2/app/0.log"), b"").unwrap();
    for (name, pod) in
        [("ours.log", "default_web_uid-1"), ("theirs.log", "default_web_uid-2"), ("gone.log", "default_gone_uid-4")]
    {
        std::os::unix::fs::symlink(logs.join(pod).join("app/0.log"), links.join(name)).unwrap();
    }
    let elsewhere = directory.path().join("elsewhere/0.log");
    std::os::unix::fs::symlink(elsewhere, links.join("elsewhere.log")).unwrap();
    let (mut found, complaint) = logs_of_pods(&places, &clock).await.unwrap();
    found.sort();
    assert_eq!(found, [logs.join("default_ended_uid-3"), logs.join("default_web_uid-1")]);
    assert_eq!(complaint, None);
    remove_logs(&found, &logs, &links).unwrap();
    let mut left = names_in(&logs).unwrap();
    left.sort();
    assert_eq!(left, ["default_web_uid-2", "notes", "odd_"]);
    let mut left = names_in(&links).unwrap();
    left.sort();
    assert_eq!(left, ["elsewhere.log", "theirs.log"]);
    remove_logs(&[], &logs, &directory.path().join("missing")).unwrap();
}

#[test]
fn the_files_of_others_stay_when_data_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    fs::create_dir_all(&places.pki()).unwrap();
    fs::write(&places.admin_kubeconfig(), b"").unwrap();
    fs::write(&places.root.join("notes"), b"").unwrap();
    remove_data(&places).unwrap();
    assert!(!places.pki().exists() && !places.admin_kubeconfig().exists());
    assert!(places.root.join("notes").exists());
    fs::remove_file(&places.root.join("notes")).unwrap();
    remove_data(&places).unwrap();
    assert!(!places.root.exists());
}
