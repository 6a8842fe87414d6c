//! Both ends together.

use std::sync::Arc;

use async_trait::async_trait;
use corten_base::{Shutdown, SystemClock, TaskSet};

use super::{Answer, ControlSocket, Handler, Request, ask};

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

#[tokio::test]
async fn commands_are_answered_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    assert_eq!(ask(&path, Request::Status).unwrap(), None, "nobody listens");
    let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
    let socket = ControlSocket::bind(&path).unwrap();
    tasks.spawn("control", socket.run(Arc::new(Echo), SystemClock::shared(), shutdown));
    let asking = path.clone();
    let answers = tokio::task::spawn_blocking(move || {
        let answer = ask(&asking, Request::RemoveImage("nginx".to_owned())).unwrap();
        (answer, ask(&asking, Request::Stop).unwrap_err().to_string())
    });
    let done = Answer::Done(vec!["RemoveImage(\"nginx\")".to_owned()]);
    assert_eq!(answers.await.unwrap(), (Some(done), "not now".to_owned()));
    trigger.request();
    tasks.join().await.unwrap();
    assert!(!path.exists());
}
