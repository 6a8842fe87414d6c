use corten_base::SystemClock;
use tokio::io::AsyncReadExt as _;

use super::*;

/// One that was left behind kept port 53, and every later start failed.
#[tokio::test]
async fn a_process_that_does_not_begin_does_not_stay() {
    for did_begin in [false, true] {
        let mut child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
        let beginning = Beginning::new(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        if did_begin {
            beginning.began();
            assert!(child.try_wait().unwrap().is_none());
        } else {
            drop(beginning);
            assert!(!child.wait().await.unwrap().success());
        }
    }
}

#[tokio::test]
async fn only_the_recorded_process_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    fs::create_dir_all(&places.run).unwrap();
    let (clock, settings) = (
        SystemClock::shared(),
        Settings {
            listen: "127.0.0.1:53".parse().unwrap(),
            domain: "cluster.local".to_owned(),
            program: (PathBuf::from("/bin/corten"), 0),
        },
    );
    let mut child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    let started = start_time(pid).unwrap().unwrap();
    let write = |record: &Record| fs::write(&places.dns_record(), &serde_json::to_vec(record).unwrap()).unwrap();
    write(&Record { pid, started: started + 1, settings: settings.clone() });
    assert!(!stop(&places, &clock).await.unwrap(), "another process has the number now");
    write(&Record { pid, started, settings });
    assert!(stop(&places, &clock).await.unwrap());
    child.wait().await.unwrap();
    assert!(!stop(&places, &clock).await.unwrap());
    // Another version's: an error for ever, once.
    fs::write(&places.dns_record(), b"{\"process\": 7}").unwrap();
    assert!(!stop(&places, &clock).await.unwrap());
    assert!(!places.dns_record().exists());
}

/// With the run directory its record was removed, and it kept port 53 through `down`.
#[tokio::test]
async fn a_process_without_a_record_is_found_by_what_it_was_started_with() {
    let directory = tempfile::tempdir().unwrap();
    let (places, clock) = (Places::new(&directory.path().join("root")).unwrap(), SystemClock::shared());
    // A shell that runs a file called "dns", which waits. It says that it runs: a process has no arguments for a moment
    // after it was started.
    fs::write(&directory.path().join("dns"), b"echo; read line").unwrap();
    let start = async |socket: PathBuf| {
        let mut command = Command::new("sh");
        command.args(["dns", "--listen", "127.0.0.1:53", FEED_FLAG]).arg(socket).current_dir(directory.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        process.stdout.as_mut().unwrap().read_exact(&mut [0]).await.unwrap();
        process
    };
    let mut other = start(directory.path().join("other.sock")).await;
    assert!(!stop(&places, &clock).await.unwrap(), "another cluster's");
    let mut ours = start(places.dns_socket()).await;
    assert!(stop(&places, &clock).await.unwrap());
    ours.wait().await.unwrap();
    assert!(other.try_wait().unwrap().is_none());
}
