//! Both ends together.

use std::sync::Arc;

use async_trait::async_trait;
use corten_base::{Shutdown, SystemClock, TaskSet, blocking};

use super::{Answer, ControlSocket, Handler, Request, Silent, ask, client::ask_within};

struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Stop => Answer::Failed("not now".to_owned()),
            other => Answer::Done(vec![format!("{other:?}")]),
        }
    }
}

/// With a process that was stopped, `status`, `down` and `up` said nothing for ever.
#[test]
fn somebody_who_does_not_answer_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // Nor is one with work to do, which `image` and `backup` waited for.
    let backup = Request::Backup("/nowhere/backup".into());
    for request in [Request::Status, Request::ListImages, backup] {
        let error = ask_within(&path, request, std::time::Duration::from_millis(20)).unwrap_err();
        assert!(error.is::<Silent>(), "{error:?}");
    }
}

/// `status` in the moment of a `kill -9` told of a connection that was reset.
#[test]
fn who_dies_while_it_is_asked_how_it_is_does_not_run() {
    for (request, want) in [
        (Request::Status, Ok(None)),
        (Request::ListImages, Err("the running process ended before it answered".to_owned())),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let dying = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            // With a request that nobody read, the other end sees a reset.
            drop(stream);
        });
        assert_eq!(ask(&path, request).map_err(|error| error.to_string()), want);
        dying.join().unwrap();
    }
}

/// Work takes its time where the process says meanwhile that it lives.
#[tokio::test]
async fn work_is_waited_for() {
    struct Slow(tokio::sync::Semaphore);

    #[async_trait]
    impl Handler for Slow {
        async fn answer(&self, request: Request) -> Answer {
            match request {
                Request::Status => self.0.add_permits(1),
                // Done when it was asked twice how it is.
                _ => drop(self.0.acquire_many(2).await),
            }
            Answer::Done(Vec::new())
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
    let socket = ControlSocket::bind(&path).unwrap();
    let slow = Arc::new(Slow(tokio::sync::Semaphore::new(0)));
    tasks.spawn("control", socket.run(slow, SystemClock::shared(), shutdown));
    let patience = std::time::Duration::from_millis(100);
    let asking = move || ask_within(&path, Request::RemoveImage("nginx".to_owned()), patience).unwrap();
    assert_eq!(blocking::run(&tasks, "ask", asking).await.unwrap(), Some(Answer::Done(Vec::new())));
    trigger.request();
    tasks.join().await.unwrap();
}

#[tokio::test]
async fn commands_are_answered_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    assert_eq!(ask(&path, Request::Status).unwrap(), None, "nobody listens");
    let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
    let socket = ControlSocket::bind(&path).unwrap();
    tasks.spawn("control", socket.run(Arc::new(Echo), SystemClock::shared(), shutdown));
    let asking = path.clone();
    let answers = blocking::run(&tasks, "ask", move || {
        let answer = ask(&asking, Request::RemoveImage("nginx".to_owned())).unwrap();
        (answer, ask(&asking, Request::Stop).unwrap_err().to_string())
    });
    let done = Answer::Done(vec!["RemoveImage(\"nginx\")".to_owned()]);
    assert_eq!(answers.await.unwrap(), (Some(done), "not now".to_owned()));
    trigger.request();
    tasks.join().await.unwrap();
    assert!(!path.exists());
}
