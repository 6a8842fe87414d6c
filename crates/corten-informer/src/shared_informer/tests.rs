//! What handlers hear, and what the store shows while they hear it.

use super::*;
use crate::{Key, testutil::object};

/// Writes down what it hears, and what the lister shows at that time.
struct Log {
    heard: Mutex<Vec<String>>,
    lister: Lister,
}

impl Log {
    fn note(&self, what: &str, object: &Stored) {
        let shown = self.lister.get(&Key::of(object)).map_or(0, |object| object.revision);
        self.heard.lock().push(format!("{what} {}@{} shown@{shown}", object.name, object.revision));
    }
}

impl Handler for Log {
    fn on_add(&self, object: &Arc<Stored>) {
        self.note("add", object);
    }

    fn on_update(&self, old: &Arc<Stored>, new: &Arc<Stored>) {
        self.note(&format!("update from {}", old.revision), new);
    }

    fn on_delete(&self, object: &Arc<Stored>, final_state_unknown: bool) {
        self.note(if final_state_unknown { "lost" } else { "delete" }, object);
    }
}

fn logged(informer: &SharedInformer) -> Arc<Log> {
    let log = Arc::new(Log { heard: Mutex::default(), lister: informer.lister() });
    informer.add_handler(log.clone());
    log
}

#[track_caller]
fn heard(log: &Log, want: &[&str]) {
    assert_eq!(std::mem::take(&mut *log.heard.lock()), want);
}

#[test]
fn the_store_shows_a_change_before_handlers_hear_of_it() {
    let informer = SharedInformer::new("pods");
    let log = logged(&informer);
    assert!(!informer.is_synced());
    informer.replace(vec![object("ns/a", 1).build()], 3);
    assert!(informer.is_synced());
    informer.apply(WatchEvent::Added(object("ns/b", 4).build()));
    informer.apply(WatchEvent::Modified(object("ns/a", 5).build()));
    informer.apply(WatchEvent::Deleted(object("ns/b", 6).build()));
    heard(&log, &["add a@1 shown@1", "add b@4 shown@4", "update from 1 a@5 shown@5", "delete b@6 shown@0"]);
    informer.apply(WatchEvent::Bookmark { revision: 9, initial_events_end: false });
    assert_eq!(informer.revision(), 9);
}

#[test]
fn a_list_after_a_gap_synthesizes_the_deletes_that_were_missed() {
    let informer = SharedInformer::new("pods");
    let log = logged(&informer);
    informer.replace(vec![object("ns/a", 1).build(), object("ns/b", 2).build(), object("ns/c", 3).build()], 3);
    log.heard.lock().clear();
    informer.replace(vec![object("ns/b", 2).build(), object("ns/c", 8).build(), object("ns/d", 7).build()], 9);
    heard(&log, &["lost a@1 shown@0", "update from 3 c@8 shown@8", "add d@7 shown@7"]);
}

#[test]
fn an_object_made_again_under_its_name_is_a_delete_and_an_add() {
    let informer = SharedInformer::new("pods");
    let log = logged(&informer);
    informer.replace(vec![object("ns/a", 1).uid("one").build()], 1);
    informer.apply(WatchEvent::Modified(object("ns/a", 5).uid("two").build()));
    heard(&log, &["add a@1 shown@1", "lost a@1 shown@5", "add a@5 shown@5"]);
}

#[test]
fn a_delete_of_an_unknown_object_is_not_told() {
    let informer = SharedInformer::new("pods");
    let log = logged(&informer);
    informer.apply(WatchEvent::Deleted(object("ns/a", 5).build()));
    heard(&log, &[]);
}

#[test]
fn a_late_handler_hears_of_everything_that_is_there() {
    let informer = SharedInformer::new("pods");
    informer.replace(vec![object("ns/b", 2).build(), object("ns/a", 1).build()], 2);
    let log = logged(&informer);
    heard(&log, &["add a@1 shown@1", "add b@2 shown@2"]);
}
