//! Turns, and a server whose large requests take as long as the test wants.

use std::{sync::mpsc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{Features, codec, resource::UserInfo, status::Status, type_table::TypeTable};
use corten_base::{Clock as _, SimClock, SimRng};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use http::{HeaderMap, Method, StatusCode};

use super::*;
use crate::{
    authentication,
    authorization::{Attributes, Authorizer, Decision},
    endpoints::{NonResource, RoutesBuilder},
    filters::Limits,
    request::{Query, RequestInfo},
    response::Reply,
    server::Parts,
};

/// How long a large request waits at most for those that should be answered before it: only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

fn who(name: &str, is_privileged: bool) -> Who {
    Who { name: name.into(), is_privileged }
}

/// A user who may do nothing sent one after the other, and everybody else's waited behind them for most of a minute.
#[test]
fn each_user_has_one_large_body_in_the_queue() {
    let large = Large::new(TaskSet::new("test"));
    let (robot, person) = (who("robot", false), who("person", false));
    let first = large.turn(&robot, Size::default()).now_or_never().expect("nobody is before it");
    let mut more: Vec<_> = (0..3).map(|_| Box::pin(large.turn(&robot, Size::default()))).collect();
    more.iter_mut().for_each(|turn| assert!(turn.now_or_never().is_none()));
    let mut other = Box::pin(large.turn(&person, Size::default()));
    assert!((&mut other).now_or_never().is_none());
    let admin = large.turn(&who("admin", true), Size::default()).now_or_never().expect("it waits for its like alone");
    drop(first);
    more.iter_mut().for_each(|turn| assert!(turn.now_or_never().is_none(), "the other is before it"));
    let other = other.now_or_never().expect("only one was before it");
    drop((other, more, admin));
    large.turn(&person, Size::default()).now_or_never().expect("nobody is left");
    assert_eq!(large.everybody.by_user.lock().len(), 1);
}

#[test]
fn all_bodies_together_have_a_bound_of_objects() {
    let large = Large { everybody: Lane::new(8), ..Large::new(TaskSet::new("test")) };
    let half = Size { objects: OBJECTS_MAX / 2 + 1, ..Size::default() };
    let (a, b) = (who("a", false), who("b", false));
    let first = large.turn(&a, half).now_or_never().expect("nobody is before it");
    let mut second = Box::pin(large.turn(&b, half));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    second.now_or_never().expect("all are there again");
}

#[test]
fn a_body_is_large_by_its_bytes_or_its_objects() {
    #[track_caller]
    fn check(body: &str, content_type: &str, want: Option<usize>) {
        let want = want.map(|objects| Size { bytes: body.len(), objects, is_deep: false });
        let encoding = Encoding::of_body(content_type).ok();
        assert_eq!(size_if_large_body(body.as_bytes(), encoding), want, "{} as {content_type}", body.len());
    }
    let (json, yaml, protobuf) = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf");
    check(&"{}".repeat(FEW_OBJECTS), json, None);
    check(&"{},".repeat(FEW_OBJECTS), json, None);
    check(&"{},".repeat(FEW_OBJECTS + 1), json, Some(FEW_OBJECTS + 1));
    check(&"{},".repeat(FEW_OBJECTS + 1), yaml, Some(FEW_OBJECTS + 1));
    check(&"- a:\n".repeat(FEW_OBJECTS), yaml, None);
    check(&"- a:\n".repeat(FEW_OBJECTS + 1), yaml, Some(FEW_OBJECTS + 1));
    check(&"- ? a\n".repeat(FEW_OBJECTS + 1), yaml, Some(FEW_OBJECTS + 1));
    check(&"  name: some-name\n".repeat(FEW_OBJECTS), yaml, None);
    check(&r#"{"name": "some-name"},"#.repeat(FEW_OBJECTS), yaml, None);
    // A few hundred bytes may repeat one of them very often.
    check(&format!("a: &a [{{}}]\nb: [{}]", "*a,".repeat(FEW_ALIASES)), yaml, None);
    check(
        &format!("a: &a [{{}}]\nb: [{}]", "*a,".repeat(FEW_ALIASES + 1)),
        yaml,
        Some(codec::yaml::REPEATED_NODES_MAX + FEW_ALIASES + 1),
    );
    // Each null in a list of structs is one of them, and was not counted.
    check(&"null,".repeat(FEW_OBJECTS), json, None);
    check(&"null,".repeat(FEW_OBJECTS + 1), json, Some(FEW_OBJECTS + 1));
    check(&"- NULL\n".repeat(FEW_OBJECTS + 1), yaml, Some(FEW_OBJECTS + 1));
    check(&"-   \n".repeat(FEW_OBJECTS + 1), yaml, Some(FEW_OBJECTS + 1));
    check(&"~,".repeat(2 * FEW_OBJECTS), yaml, Some(2 * FEW_OBJECTS));
    let nulls = [0xf6; 3 * FEW_OBJECTS + 1];
    let size = Size { bytes: nulls.len(), objects: nulls.len(), is_deep: false };
    assert_eq!(size_if_large_body(&nulls, Some(Encoding::Cbor)), Some(size));
    // Blocks whose keys have quotes were taken for JSON, and had no objects.
    check(&"- \"a\": 1\n".repeat(FEW_OBJECTS + 1), yaml, Some(FEW_OBJECTS + 1));
    check(&format!("[{}]", r#""a": 1,"#.repeat(FEW_OBJECTS + 1)), yaml, Some(FEW_OBJECTS + 1));
    check(&"x".repeat(16_000), protobuf, None);
    check(&"x".repeat(16_008), protobuf, Some(2_001));
    check(&" ".repeat(LARGE_BYTES), json, None);
    check(&" ".repeat(LARGE_BYTES + 1), json, Some(0));
}

/// A word in a parameter decided how a body was counted, and not how it was read: 60,000 objects in CBOR, said to be
/// `application/cbor;x=json`, were none, and were made on a thread of the runtime.
#[test]
fn a_body_is_counted_as_what_it_is_read_as() {
    #[track_caller]
    fn check(method: Method, content_type: &str, body: &[u8], want: usize) {
        let size = size_if_large_body(body, Encoding::of_request(&method, content_type));
        assert_eq!(size.map(|size| size.objects), Some(want), "{method} {content_type}");
    }
    let maps = vec![0xa0; 60_000];
    for content_type in ["application/cbor", "application/cbor;x=json", " application/cbor ; yaml=json"] {
        check(Method::POST, content_type, &maps, 60_000);
    }
    let binary = vec![b'x'; 60_000];
    for parameters in ["", ";x=json", "; charset=yaml", ";cbor"] {
        check(Method::PUT, &format!("application/vnd.kubernetes.protobuf{parameters}"), &binary, 7_500);
    }
    let braces = "{},".repeat(3_000);
    for content_type in ["", "application/json;x=cbor", "application/json;x=yaml"] {
        check(Method::POST, content_type, braces.as_bytes(), 3_000);
    }
    let items = "- a:\n".repeat(3_000);
    check(Method::PATCH, "application/apply-patch+yaml;x=json", items.as_bytes(), 3_000);
    check(Method::POST, " application/yaml;x=json", items.as_bytes(), 3_000);
    check(Method::PATCH, "application/merge-patch+json;yaml", braces.as_bytes(), 3_000);
    // What nobody reads is what costs most.
    check(Method::PATCH, "application/json", &maps, 60_000);
    check(Method::POST, "text/plain", items.as_bytes(), 3_000);
}

#[test]
fn a_patch_may_make_deep_what_is_not() {
    #[track_caller]
    fn check(patch: &str, stored: &str, want: bool) {
        let doublings = doublings(patch.as_bytes(), "application/json-patch+json");
        assert_eq!(may_deepen(patch.as_bytes(), stored.as_bytes(), doublings), want, "{patch}");
    }
    let patch = |operation: &str, count: usize| format!("[{}]", vec![operation; count].join(","));
    let nested = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let wide = "{},".repeat(1_000);
    let set = r#"{"op": "replace", "path": "/a", "value": 1}"#;
    check(&patch(set, 10), &nested(10), false);
    check(&patch(set, 50), &wide, false);
    check(&patch(set, 1), &nested(stack::SHALLOW), true);
    // One below the other.
    let moves = r#"{"op": "move", "from": "/a", "path": "/b/a"}"#;
    check(&patch(moves, 2), &wide, false);
    check(&patch(moves, 100), &wide, true);
    check(&patch(moves, 100), &nested(4), false);
    let copy = r#"{"op": "copy", "from": "", "path": "/a"}"#;
    check(&patch(copy, 2), &nested(4), false);
    check(&patch(copy, 10), &nested(4), true);
    check(&patch(r#"{"\u006fp": "copy"}"#, 10), &nested(4), true);
    check(&patch(r#"{"op": "add", "path": "/a", "value": [[[[]]]]}"#, 60), "{}", true);
}

#[test]
fn what_is_deep_is_large() {
    let nested = |levels: usize| (0..levels).fold(Value::Null, |inner, _| Value::array([inner]));
    assert_eq!(size_if_large_tree(&nested(stack::SHALLOW)), None);
    let deep = Size { is_deep: true, ..Size::default() };
    assert_eq!(size_if_large_tree(&nested(stack::SHALLOW + 1)), Some(deep));
    assert_eq!(size_if_large_tree(&nested(10_000)), Some(deep));
}

/// The objects that are not in the body counted for nothing: any number of labels of one huge object were set at once.
#[test]
fn a_change_is_large_by_the_object_that_it_changes() {
    #[track_caller]
    fn check(stored: &str, patch: &str, want: Option<usize>) {
        let want = want.map(|objects| Size { bytes: stored.len(), objects, is_deep: false });
        // As the media type is read, which was once looked at by its first letters.
        for content_type in ["application/json-patch+json", "application/json-patch+json;x=y"] {
            let doublings = doublings(patch.as_bytes(), content_type);
            assert_eq!(size_if_large_object(stored.as_bytes(), doublings), want, "{patch}");
        }
    }
    assert_eq!(doublings(b"copy", "application/merge-patch+json"), 0);
    let (add, copy) = (r#"[{"op": "add", "value": {}}]"#, r#"[{"op": "copy"}, {"op": "copy"}]"#);
    let objects = |count: usize| "{},".repeat(count);
    check(&objects(FEW_OBJECTS), "", None);
    check(&objects(FEW_OBJECTS + 1), "", Some(FEW_OBJECTS + 1));
    check(&objects(FEW_OBJECTS), add, None);
    check(&objects(FEW_OBJECTS / 4), copy, None);
    check(&objects(FEW_OBJECTS / 4 + 1), copy, Some(FEW_OBJECTS + 4));
    check(&objects(FEW_OBJECTS), r#"[{"op": "c\u006fpy"}]"#, Some(2 * FEW_OBJECTS));
    check("{}", &copy.repeat(100), Some(OBJECTS_MAX));
    check(&" ".repeat(LARGE_BYTES), "", None);
    check(&" ".repeat(LARGE_BYTES + 1), "", Some(0));
}

#[test]
fn a_tree_is_large_by_its_values() {
    let tree = |items: usize| Value::object_of([("a", Value::array((0..items).map(|_| Value::Null)))]);
    assert!(!has_more_nodes(&tree(LARGE_NODES - 2), &mut LARGE_NODES.clone()));
    assert!(has_more_nodes(&tree(LARGE_NODES - 1), &mut LARGE_NODES.clone()));
}

/// Some bodies of 3 MB left the process with half a gigabyte that nobody used.
#[tokio::test]
async fn memory_is_given_back_once_when_the_last_large_request_has_ended() {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    let tasks = TaskSet::new("test");
    let mut large = Large { privileged: Lane::new(8), ..Large::new(tasks.clone()) };
    Arc::get_mut(&mut large.memory).unwrap().give_back = || {
        GIVEN.fetch_add(1, Ordering::Relaxed);
    };
    let end = async |sizes: &[Size]| {
        let who = who("admin", true);
        let mut turns = Vec::new();
        for &size in sizes {
            turns.push(large.turn(&who, size).await);
        }
        drop(turns);
        // Nothing is left to be done in the set once it is empty.
        tasks.join().await.unwrap();
        GIVEN.swap(0, Ordering::Relaxed)
    };
    let huge = Size::of_bytes(HUGE_BYTES + 1);
    assert_eq!(end(&[Size::of_bytes(HUGE_BYTES), Size { objects: HUGE_OBJECTS, ..Size::default() }]).await, 0);
    assert_eq!(end(&[huge, Size::default(), huge]).await, 1);
    assert_eq!(end(&[Size { objects: HUGE_OBJECTS + 1, ..Size::default() }]).await, 1);
    assert_eq!(end(&[Size::default()]).await, 0);
}

#[tokio::test]
async fn what_nobody_waits_for_ends_where_it_waits() {
    let tasks = TaskSet::new("test");
    let large = Large::new(tasks.clone());
    let turn = large.turn(&who("robot", false), Size::default()).await;
    let (begin, begun) = tokio::sync::oneshot::channel();
    let mut driven = Box::pin(turn.drive(async move {
        begin.send(()).unwrap();
        std::future::pending::<()>().await;
    }));
    assert!((&mut driven).now_or_never().is_none());
    begun.await.unwrap();
    drop(driven);
    large.turn(&who("robot", false), Size::default()).await;
    tasks.join().await.unwrap();
}

#[tokio::test]
async fn a_panic_is_told() {
    let large = Large::new(TaskSet::new("test"));
    let turn = large.turn(&who("robot", false), Size::default()).await;
    let panic = turn.drive(async { panic!("no") }).await.map(|((), _)| ()).unwrap_err();
    assert_eq!(panic.message, "no");
    large.turn(&who("robot", false), Size::default()).now_or_never().expect("the turn of what panicked is over");
}

#[derive(Debug)]
struct AllowsAll;

#[async_trait]
impl Authorizer for AllowsAll {
    async fn authorize(&self, _attributes: Attributes<'_>) -> Decision {
        Decision::Allow { reason: None }
    }
}

/// Answers small requests at once, and large ones when it is told that it may: its thread is busy until then.
#[derive(Debug)]
struct Busy(Mutex<mpsc::Receiver<()>>);

#[async_trait]
impl NonResource for Busy {
    async fn handle(&self, _server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        if let RequestBody::Bytes(_) = request.body {
            let told = self.0.lock().recv_timeout(PATIENCE);
            told.map_err(|_| Status::internal("a small request waits behind this one"))?;
        }
        Ok(Reply::text(StatusCode::OK, "done"))
    }
}

/// Bodies of megabytes, of which each takes a second, kept both threads of a small machine busy: everything else, reads of
/// one object too, waited for fifteen seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_requests_are_answered_before_large_ones_that_came_first() {
    const PATH: &str = "/busy";
    let (clock, tasks) = (SimClock::new("2026-01-01T00:00:00Z".parse().unwrap()), TaskSet::new("test"));
    let server = Server::new(Parts {
        table: Box::leak(Box::<TypeTable>::default()),
        features: Arc::new(Features::new([("CBORServingAndStorage", false)])),
        clock: Arc::clone(&clock) as _,
        rng: SimRng::shared(1),
        authenticator: Arc::new(authentication::Union::default()),
        authorizer: Arc::new(AllowsAll),
        limits: Limits::default(),
        tasks: tasks.clone(),
    });
    let (tell, told) = mpsc::channel();
    let mut routes = RoutesBuilder::default();
    routes.path(PATH, Arc::new(Busy(Mutex::new(told))));
    server.set_routes(routes.build());
    let ask = |method: Method, body: RequestBody, user: usize| {
        let query = Query::parse("");
        let request = Request {
            info: RequestInfo::parse(&method, PATH, &query),
            method,
            path: PATH.to_owned(),
            query,
            headers: HeaderMap::new(),
            body,
            origin: Origin::InProcess,
            upgrade: None,
            received: clock.now(),
            user: UserInfo { name: format!("user-{user}").into(), ..UserInfo::default() },
        };
        let (server, (done, answer)) = (Arc::clone(&server), tokio::sync::oneshot::channel());
        tasks.spawn("request", async move {
            let _gone = done.send(server.handle(Box::new(request)).await.response.code());
        });
        answer
    };
    let large: FuturesUnordered<_> =
        (0..6).map(|user| ask(Method::POST, RequestBody::Bytes(vec![b' '; LARGE_BYTES + 1].into()), user)).collect();
    for _ in 0..50 {
        assert_eq!(ask(Method::GET, RequestBody::Empty, 0).await, Ok(StatusCode::OK));
    }
    // Nobody has told them yet: none of the large ones can have been answered.
    (0..6).for_each(|_| tell.send(()).unwrap());
    let codes: Vec<_> = large.collect().await;
    assert_eq!(codes, [const { Ok(StatusCode::OK) }; 6]);
    tasks.join().await.unwrap();
}

/// A hundred patterns in a body of 4 KiB took seconds on a thread of the runtime.
#[test]
fn expressions_with_patterns_are_costly_however_short_they_are() {
    for (text, want) in [
        (r#"{"expression": "self.a == 1"}"#.to_owned(), false),
        (r#"{"expression": "\"\".matches(\".{0,1000}\")"}"#.to_owned(), true),
        ("expression: ''.matches('.{0,1000}')".to_owned(), true),
        ("expression: ''.findAll('.{0,1000}') == []".to_owned(), true),
        (r#"{"expression": "''.m\u0061tches('.{0,1000}')"}"#.to_owned(), true),
        (format!(r#"{{"expression": "{}"}}"#, "1 + ".repeat(1_100)), true),
    ] {
        assert_eq!(may_compile_much(text.as_bytes()), want, "{text}");
    }
}
