//! `ExecSync`: one command, its output, its exit code.

use std::time::Duration;

use super::{Fixture, pod::IDLE};
use crate::{Code, api};

/// Both streams apart, and the exit code as it was.
pub async fn a_command_gives_its_output_and_exit_code(fixture: &Fixture) {
    let pod = fixture.pod("exec").await;
    let id = pod.start("main", IDLE).await;
    let answer = fixture.exec(&id, "echo out; echo err >&2; exit 5").await.expect("exec");
    assert_eq!((&answer.stdout[..], &answer.stderr[..], answer.exit_code), (&b"out\n"[..], &b"err\n"[..], 5));
    let answer = fixture.exec(&id, "cat; echo done").await.expect("exec");
    assert_eq!(&answer.stdout[..], b"done\n", "stdin is empty");
    let answer = fixture.exec(&id, "head -c 100000 /dev/zero").await.expect("exec");
    assert_eq!(answer.stdout.len(), 100_000);
}

/// `DeadlineExceeded`, soon after the timeout; the container lives on.
pub async fn a_command_that_takes_too_long_is_ended(fixture: &Fixture) {
    let pod = fixture.pod("slow").await;
    let id = pod.start("main", IDLE).await;
    let before = fixture.clock.monotonic();
    let cmd = ["sleep", "2345"].map(str::to_owned).into();
    let request = api::ExecSyncRequest { container_id: id.clone(), cmd, timeout: 1 };
    let error = fixture.runtime.exec_sync(request).await.expect_err("a timeout");
    assert_eq!(error.code, Code::DeadlineExceeded, "{error}");
    assert!(fixture.clock.monotonic() - before < Duration::from_secs(20));
    fixture
        .eventually("the command is gone", || async {
            let answer = fixture.exec(&id, "ps | grep -c '[s]leep 2345'").await.expect("exec");
            (answer.stdout.trim_ascii() == b"0").then_some(())
        })
        .await;
}

/// As if the container had started it.
pub async fn a_command_runs_with_the_containers_environment_and_directory(fixture: &Fixture) {
    let pod = fixture.pod("inherits").await;
    let id = pod
        .start_with("main", IDLE, |config| {
            config.envs = vec![api::KeyValue { key: "COLOR".to_owned(), value: "green".to_owned() }];
            config.working_dir = "/tmp".to_owned();
        })
        .await;
    assert_eq!(fixture.ask(&id, "echo $COLOR; pwd").await, "green\n/tmp\n");
}

/// An error or an exit code that is none of the command's.
pub async fn a_command_that_does_not_exist_is_an_error(fixture: &Fixture) {
    let pod = fixture.pod("missing").await;
    let id = pod.start("main", IDLE).await;
    let cmd = vec!["/no/such/program".to_owned()];
    let request = api::ExecSyncRequest { container_id: id, cmd, timeout: 20 };
    match fixture.runtime.exec_sync(request).await {
        Ok(answer) => assert!([126, 127].contains(&answer.exit_code), "{}", answer.exit_code),
        Err(error) => assert!(!error.message.is_empty()),
    }
}

/// Neither before its start nor after its end.
pub async fn nothing_runs_in_a_container_that_does_not_run(fixture: &Fixture) {
    let pod = fixture.pod("still").await;
    let id = pod.create("main", IDLE).await;
    fixture.exec(&id, "true").await.expect_err("created");
    fixture.start(&id).await.expect("start");
    fixture.exec(&id, "true").await.expect("running");
    fixture.stop(&id, 20).await.expect("stop");
    fixture.exec(&id, "true").await.expect_err("exited");
}

/// There is nothing to run.
pub async fn an_empty_command_is_refused(fixture: &Fixture) {
    let pod = fixture.pod("empty").await;
    let container_id = pod.start("main", IDLE).await;
    let request = api::ExecSyncRequest { container_id, cmd: Vec::new(), timeout: 20 };
    fixture.runtime.exec_sync(request).await.expect_err("nothing to run");
}
