use std::{
    sync::{Arc, mpsc},
    task::Poll,
};

use futures::{FutureExt as _, future};
use tokio::sync::Notify;

use super::*;

/// Writes what becomes of it; takes once it is told to.
struct Told {
    log: mpsc::Sender<&'static str>,
    go_on: Arc<Notify>,
    refuses: bool,
}

#[async_trait]
impl Claim for Told {
    async fn take(&mut self, object: &mut Value) -> Result<(), Status> {
        self.go_on.notified().await;
        if self.refuses {
            return Err(Status::internal("none is left"));
        }
        object.set(&["has"], "it");
        self.log.send("taken").unwrap();
        Ok(())
    }

    fn give_back(self: Box<Self>) -> Option<BoxFuture<'static, ()>> {
        self.log.send("let go").unwrap();
        Some(async move { self.log.send("back").unwrap() }.boxed())
    }
}

struct Scene {
    reservation: Reservation,
    log: mpsc::Receiver<&'static str>,
    go_on: Arc<Notify>,
    tasks: TaskSet,
}

fn scene(refuses: bool) -> Scene {
    let ((sent, log), go_on, tasks) = (mpsc::channel(), Arc::new(Notify::new()), TaskSet::new("test"));
    let claim = Told { log: sent, go_on: Arc::clone(&go_on), refuses };
    Scene { reservation: Reservation::new(claim, tasks.clone()), log, go_on, tasks }
}

impl Scene {
    async fn log(self) -> Vec<&'static str> {
        self.tasks.join().await.unwrap();
        self.log.iter().collect()
    }
}

#[tokio::test]
async fn what_is_not_kept_goes_back() {
    let mut dropped = scene(false);
    drop(std::mem::take(&mut dropped.reservation));
    // What is at hand is let go at once.
    assert_eq!(dropped.log.try_recv(), Ok("let go"));
    assert_eq!(dropped.log().await, ["back"]);
    let mut kept = scene(false);
    std::mem::take(&mut kept.reservation).keep();
    assert_eq!(kept.log().await, [""; 0]);
}

#[tokio::test]
async fn what_is_taken_is_written_into_the_object() {
    let mut scene = scene(false);
    scene.go_on.notify_one();
    let mut object = Value::object_of([("a", Value::from("b"))]);
    let taken = std::mem::take(&mut scene.reservation).take(&mut object).await.unwrap();
    assert_eq!(object, Value::object_of([("a", Value::from("b")), ("has", "it".into())]));
    taken.give_back().await;
    assert_eq!(scene.log().await, ["taken", "let go", "back"]);
}

#[tokio::test]
async fn what_cannot_be_had_leaves_the_object_and_nothing_taken() {
    let mut scene = scene(true);
    scene.go_on.notify_one();
    let mut object = Value::from("whole");
    let refused = std::mem::take(&mut scene.reservation).take(&mut object).await.unwrap_err();
    assert_eq!(refused.message, "Internal error occurred: none is left");
    assert_eq!((object, scene.log().await), (Value::from("whole"), vec!["let go", "back"]));
}

#[tokio::test]
async fn what_is_taken_for_a_client_that_has_gone_goes_back() {
    let mut scene = scene(false);
    let mut object = Value::Null;
    let mut taking = Box::pin(std::mem::take(&mut scene.reservation).take(&mut object));
    assert!(matches!(futures::poll!(&mut taking), Poll::Pending));
    drop(taking);
    scene.go_on.notify_one();
    assert_eq!(scene.log().await, ["taken", "let go", "back"]);
}

/// A panic of the engine dropped what settles, and with it the reservation: what may be stored was given back.
#[tokio::test]
async fn a_write_that_never_ended_may_have_happened() {
    let mut scene = scene(false);
    let reservation = std::mem::take(&mut scene.reservation);
    let settle: Settle = Box::new(move |ended| match ended {
        Ended::Done | Ended::Unknown => {
            reservation.keep();
            future::ready(()).boxed()
        }
        Ended::NotDone => reservation.give_back().boxed(),
    });
    let settling = Settling::new(settle, "services/default/web");
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _settling = settling;
        panic!("in the engine");
    }))
    .unwrap_err();
    assert_eq!(scene.log().await, [""; 0]);
    let (seen, ends) = mpsc::channel();
    let settle: Settle = Box::new(move |ended| {
        seen.send(ended).unwrap();
        future::ready(()).boxed()
    });
    Settling::new(settle, "x").end(Ended::Done).await;
    assert_eq!(ends.iter().collect::<Vec<_>>(), [Ended::Done]);
}

/// An address was given back after a failed write that the engine then found on its medium: two services had it.
#[test]
fn an_outcome_that_is_unknown_is_none() {
    let failed = |outcome_unknown| {
        let source = Arc::new(std::io::Error::other("disk full"));
        Ended::of(&Err(KvError::Storage { operation: "commit", outcome_unknown, source }))
    };
    assert_eq!((failed(true), failed(false)), (Ended::Unknown, Ended::NotDone));
    let source = Arc::new(std::io::Error::other("full"));
    assert_eq!(Ended::of(&Err(KvError::NoSpace { source })), Ended::NotDone);
    assert_eq!(Ended::of(&Err(KvError::Closed)), Ended::Unknown);
    assert_eq!(Ended::of(&Ok(Outcome::Done { revision: 1 })), Ended::Done);
}
