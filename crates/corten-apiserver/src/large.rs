//! Requests that are much work: they wait for their turn, and then have a thread that may be busy.
//!
//! Who reads, changes, checks or writes megabytes on a thread of the runtime answers nobody else meanwhile; on two cores,
//! two such requests are enough. So the chain decides once, by the length of the body and of the object that is changed,
//! and what follows is done as a whole on a thread beside the runtime: `Turn::drive`. Its answer is encoded there, too.
//! Requests that are not large take no other way than they would without this.
//! What compiles or evaluates expressions is large by what these may cost.
//! What is nested deeply is large, too, however short: such a thread has the stack for it (`corten_apimachinery::stack`).
//!
//! Invariants: at most half as many of these threads are busy as the runtime has of its own, and as many again for the
//! highest administrators and the components of this process; nobody has more than half of them; the objects that all
//! large bodies together may become are bounded, since each costs hundreds of times its bytes.
//! Upstream starts a goroutine for each request, which the scheduler of Go interrupts, and gives each flow of requests
//! places of its own (priority and fairness).

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use corten_apimachinery::{
    codec::{json, yaml},
    stack,
    stored::Stored,
    value::{Str, Value},
};
use corten_base::{TaskPanic, TaskSet, blocking};
use corten_storage::object::cache_key;
use futures::future::{AbortHandle, Aborted, abortable};
use http::Method;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    endpoints::{Endpoint, OBJECTS_MAX},
    filters::is_privileged,
    negotiation::{Encoding, PatchType},
    request::{Origin, Request, RequestBody},
    server::Server,
};

/// From how many bytes on something is large: below, the work on it takes about a millisecond.
pub(crate) const LARGE_BYTES: usize = 64 * 1024;

/// Up to so many objects a body is as good as any other, however short it says them.
const FEW_OBJECTS: usize = 2_000;

/// An object has at least this many bytes in a list: `{},`.
const OBJECT_BYTES_MIN: usize = 3;

/// An object has about this many bytes in the binary encodings, as programs write them. Those that are made to harm have
/// four times as many objects, which is bearable below `FEW_OBJECTS` of these.
const BINARY_OBJECT_BYTES: usize = 8;

/// From how many bytes on an object is large whose validation compiles the expressions in it.
const EXPRESSIONS_BYTES: usize = 4 * 1024;

/// Up to so many aliases in YAML do not make much of little.
const FEW_ALIASES: usize = 8;

/// From how many values on the tree of a component of this process is large: they are some twenty bytes each.
const LARGE_NODES: usize = 3_000;

/// An object can be no larger than what a few operations make of it in the end: more than these need not be told apart.
const DOUBLINGS_MAX: usize = 20;

/// From how many bytes or objects on something is worth to have the memory given back that it needed.
const HUGE_BYTES: usize = 1 << 20;
const HUGE_OBJECTS: usize = 20_000;

/// What is large about a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    /// How many objects it may become.
    pub(crate) objects: usize,
    /// Whether it may become deeper than the stack of any thread bears.
    pub(crate) is_deep: bool,
}

impl Size {
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self { bytes, ..Self::default() }
    }

    fn is_huge(self) -> bool {
        self.bytes > HUGE_BYTES || self.objects > HUGE_OBJECTS
    }
}

/// Who waits for a turn.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    name: Str,
    /// Whether they wait for nobody but their like.
    is_privileged: bool,
}

impl Who {
    pub(crate) fn of(request: &Request) -> Self {
        let is_privileged = matches!(request.origin, Origin::InProcess) || is_privileged(&request.user);
        Self { name: request.user.name.clone(), is_privileged }
    }
}

/// Whose turn it is among the large requests of a server.
#[derive(Debug)]
pub(crate) struct Large {
    /// Where they run. The caller awaits it.
    tasks: TaskSet,
    everybody: Lane,
    privileged: Lane,
    /// A permit for each object that they may have.
    objects: Arc<Semaphore>,
    memory: Arc<Memory>,
}

/// What large requests leave behind: the allocator keeps what they needed until it is told not to.
#[derive(Debug)]
struct Memory {
    turns: AtomicUsize,
    /// Whether one of them was huge since the memory was given back.
    is_owed: AtomicBool,
    give_back: fn(),
}

impl Memory {
    fn begin(&self, size: Size) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if size.is_huge() {
            self.is_owed.store(true, Ordering::Relaxed);
        }
    }

    /// Gives back what all have left behind when the last one has ended: before, somebody would need it again at once.
    fn end(&self, tasks: &TaskSet) {
        let is_last = self.turns.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last && self.is_owed.swap(false, Ordering::Relaxed) && Handle::try_current().is_ok() {
            tasks.spawn_blocking("give back memory", self.give_back);
        }
    }
}

/// Threads, and who waits for them.
#[derive(Debug)]
struct Lane {
    threads: Arc<Semaphore>,
    /// How many one user may have or wait for, so that who sends many holds up nobody else.
    each: usize,
    by_user: Mutex<HashMap<Str, Weak<Semaphore>>>,
}

impl Lane {
    fn new(threads: usize) -> Self {
        Self { threads: Arc::new(Semaphore::new(threads)), each: (threads / 2).max(1), by_user: Mutex::default() }
    }

    fn of_user(&self, name: &Str) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock();
        by_user.retain(|_, queue| queue.strong_count() > 0);
        if let Some(queue) = by_user.get(name).and_then(Weak::upgrade) {
            return queue;
        }
        let queue = Arc::new(Semaphore::new(self.each));
        by_user.insert(name.clone(), Arc::downgrade(&queue));
        queue
    }
}

impl Large {
    /// For a server on the runtime that this is called in; `tasks` is awaited by the caller when the server has ended.
    pub(crate) fn new(tasks: TaskSet) -> Self {
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        let lane = || Lane::new((workers / 2).max(1));
        let objects = Arc::new(Semaphore::new(OBJECTS_MAX));
        let memory = Arc::new(Memory {
            turns: AtomicUsize::new(0),
            is_owed: AtomicBool::new(false),
            give_back: corten_base::memory::give_back,
        });
        Self { tasks, everybody: lane(), privileged: lane(), objects, memory }
    }

    /// How large a write is, whose body is at hand; `None` if it is not much work.
    pub(crate) fn size_of(server: &Server, request: &Request) -> Option<Size> {
        if request.is_read() || request.is_long_running() { None } else { size_if_large(server, request) }
    }

    /// Waits for the turn of something large of `who`. Cancel-safe: the place in the queue is lost.
    pub(crate) async fn turn(&self, who: &Who, size: Size) -> Turn {
        let never_closed = "is never closed";
        let lane = if who.is_privileged { &self.privileged } else { &self.everybody };
        let of_user = lane.of_user(&who.name).acquire_owned().await.expect(never_closed);
        let objects = if who.is_privileged {
            None
        } else {
            let permits = u32::try_from(size.objects.min(OBJECTS_MAX)).unwrap_or(u32::MAX);
            Some(Arc::clone(&self.objects).acquire_many_owned(permits).await.expect(never_closed))
        };
        let thread = Arc::clone(&lane.threads).acquire_owned().await.expect(never_closed);
        self.memory.begin(size);
        let (tasks, memory) = (self.tasks.clone(), Arc::clone(&self.memory));
        Turn(Box::new(Place { tasks, memory, is_deep: size.is_deep, _held: (of_user, objects, thread) }))
    }
}

/// A large request has its turn, until this is dropped. In a box: every answer is moved around with room for one.
#[derive(Debug)]
pub(crate) struct Turn(Box<Place>);

#[derive(Debug)]
struct Place {
    tasks: TaskSet,
    memory: Arc<Memory>,
    is_deep: bool,
    _held: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.memory.end(&self.tasks);
    }
}

/// Ends what nobody waits for any more, where it waits itself.
struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Turn {
    /// Drives `work` on a thread that may be busy, and gives its output and the turn back.
    ///
    /// Errors: it panicked. Cancellation: `work` is dropped where it waits next; until then the turn is not over.
    pub(crate) async fn drive<F>(self, work: F) -> Result<(F::Output, Self), TaskPanic>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (work, handle) = abortable(work);
        let _end = EndOnDrop(handle);
        let runtime = Handle::current();
        let (output, turn) = self.work(move || runtime.block_on(work)).await?;
        match output {
            Ok(output) => Ok((output, turn)),
            Err(Aborted) => unreachable!("only the drop of this future aborts"),
        }
    }

    /// Does `work`, which does not wait, on a thread that may be busy. Gives the result and the turn back.
    ///
    /// Errors: it panicked. Cancellation: it goes on to its end.
    pub(crate) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Self), TaskPanic> {
        let (tasks, is_deep) = (self.0.tasks.clone(), self.0.is_deep);
        blocking::run(&tasks, "large request", move || (stack::deep_if(is_deep, work), self)).await
    }
}

/// What is large about a write; `None` if nothing is.
fn size_if_large(server: &Server, request: &Request) -> Option<Size> {
    let content_type = request.header(http::header::CONTENT_TYPE);
    let of_body = match &request.body {
        RequestBody::Bytes(bytes) => size_if_large_body(bytes, Encoding::of_request(&request.method, content_type)),
        RequestBody::Tree(tree) => size_if_large_tree(tree),
        RequestBody::Empty | RequestBody::Stream(_) => None,
    };
    let doublings = match &request.body {
        RequestBody::Bytes(bytes) if request.method == Method::PATCH => doublings(bytes, content_type),
        _ => 0,
    };
    let routes = server.routes();
    let endpoint = routes.endpoint(&request.info.group, &request.info.version, &request.info.resource);
    let stored = endpoint.and_then(|endpoint| stored(endpoint, request));
    let of_object = stored.as_ref().and_then(|stored| size_if_large_object(&stored.json, doublings));
    let stored = stored.as_ref().map_or(&[][..], |stored| &*stored.json);
    let size = match (of_body, of_object) {
        // The objects of both are there at once.
        (Some(body), Some(object)) => Some(Size {
            bytes: body.bytes.max(object.bytes),
            objects: body.objects + object.objects,
            is_deep: body.is_deep,
        }),
        (body, object) => body.or(object),
    };
    let is_deep = match &request.body {
        RequestBody::Bytes(bytes) if is_json_patch(request, content_type) => may_deepen(bytes, stored, doublings),
        RequestBody::Bytes(bytes) => {
            let encoding = Encoding::of_request(&request.method, content_type);
            is_deep_body(bytes, encoding) || is_deep(stored)
        }
        _ => is_deep(stored),
    };
    let is_costly = endpoint.is_some_and(|endpoint| may_cost_much(endpoint, &request.body, stored));
    if !is_deep && !is_costly {
        return size;
    }
    let size = size.unwrap_or_default();
    Some(Size { is_deep: is_deep || size.is_deep, ..size })
}

/// Whether expressions may make a write of something small much work.
fn may_cost_much(endpoint: &Endpoint, body: &RequestBody, stored: &[u8]) -> bool {
    let said = match body {
        RequestBody::Bytes(bytes) => &bytes[..],
        // Such a tree is large by the number of its values.
        RequestBody::Tree(_) | RequestBody::Empty | RequestBody::Stream(_) => &[],
    };
    endpoint.version.schema.as_ref().is_some_and(|schema| schema.is_costly())
        || (endpoint.resource.strategy.compiles_expressions() && (may_compile_much(said) || may_compile_much(stored)))
}

/// Whether the expressions in `text` may take long to compile: there are many, or patterns in them, of which a few characters
/// can become megabytes. Behind a backslash anything may stand for the letters of a word.
fn may_compile_much(text: &[u8]) -> bool {
    let says = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    text.len() > EXPRESSIONS_BYTES || says(b"\\") || says(b"matches") || says(b"find")
}

fn is_json_patch(request: &Request, content_type: &str) -> bool {
    request.method == Method::PATCH && PatchType::of(content_type) == Some(PatchType::Json)
}

/// Whether a body that is written in `encoding` is too deep for some thread; for `None`, whatever it is read as. The binary
/// encodings are read down to fewer levels than that.
fn is_deep_body(bytes: &[u8], encoding: Option<Encoding>) -> bool {
    match encoding {
        Some(Encoding::Json) => is_deep(bytes),
        None | Some(Encoding::Yaml) => is_deep(bytes) || yaml::may_be_deeper_than(bytes, stack::SHALLOW),
        Some(Encoding::Cbor | Encoding::Protobuf) => false,
    }
}

/// Whether JSON is too deep for some thread.
fn is_deep(json: &[u8]) -> bool {
    json::is_deeper_than(json, stack::SHALLOW)
}

/// Whether a JSON patch may make something too deep of what is stored as `json`: each of its operations can put something that
/// was there, or is in the patch, below something else, and each copy can do so with all that there is.
fn may_deepen(patch: &[u8], json: &[u8], doublings: usize) -> bool {
    let containers = json::containers(patch) + json::containers(json);
    if containers << doublings.min(DOUBLINGS_MAX) <= stack::SHALLOW {
        return false;
    }
    let moves = 1 + patch.windows(2).filter(|word| word == b"op").count();
    let is_plain = !patch.contains(&b'\\');
    let moved = if is_plain { moves * (json::levels(patch) + json::levels(json)) } else { containers };
    containers.min(moved) << doublings.min(DOUBLINGS_MAX) > stack::SHALLOW
}

/// What is large about the tree of a component of this process.
fn size_if_large_tree(tree: &Value) -> Option<Size> {
    let is_deep = tree.is_deeper_than(stack::SHALLOW);
    (is_deep || has_more_nodes(tree, &mut LARGE_NODES.clone())).then_some(Size { is_deep, ..Size::default() })
}

/// What is large about a body that is written in `encoding`; for `None`, whatever is dearest.
fn size_if_large_body(bytes: &[u8], encoding: Option<Encoding>) -> Option<Size> {
    let is_yaml = matches!(encoding, None | Some(Encoding::Yaml));
    let repeats = is_yaml && count(bytes, b'*') > FEW_ALIASES;
    if bytes.len() <= FEW_OBJECTS * OBJECT_BYTES_MIN && !repeats {
        return None;
    }
    let written = match encoding {
        Some(encoding) => objects_in(bytes, encoding),
        None => {
            let all = [Encoding::Json, Encoding::Yaml, Encoding::Cbor, Encoding::Protobuf];
            all.into_iter().map(|encoding| objects_in(bytes, encoding)).max().unwrap_or_default()
        }
    };
    let objects = if repeats { written + yaml::REPEATED_NODES_MAX } else { written };
    let size = Size { bytes: bytes.len(), objects, is_deep: false };
    (size.bytes > LARGE_BYTES || size.objects > FEW_OBJECTS).then_some(size)
}

/// About how many objects a body says at most, those apart that YAML repeats.
fn objects_in(bytes: &[u8], encoding: Encoding) -> usize {
    match encoding {
        Encoding::Json => objects_in_json(bytes),
        Encoding::Yaml => objects_in_yaml(bytes),
        // An empty map, or a null, is a byte.
        Encoding::Cbor => (bytes.len() / BINARY_OBJECT_BYTES).max(count(bytes, 0xa0) + count(bytes, 0xf6)),
        Encoding::Protobuf => bytes.len() / BINARY_OBJECT_BYTES,
    }
}

/// What is large about a change of the object that is stored as `json`, which may be made twice as large so many times.
fn size_if_large_object(json: &[u8], doublings: usize) -> Option<Size> {
    let grown = 1 << doublings.min(DOUBLINGS_MAX);
    let made = json.len().saturating_mul(grown);
    if made <= FEW_OBJECTS * OBJECT_BYTES_MIN {
        return None;
    }
    let objects = objects_in_json(json).saturating_mul(grown).min(OBJECTS_MAX);
    (made > LARGE_BYTES || objects > FEW_OBJECTS).then_some(Size { bytes: json.len(), objects, is_deep: false })
}

/// How often a patch may double what it changes: other operations than copies in a JSON patch add no more than they say.
fn doublings(patch: &[u8], content_type: &str) -> usize {
    if PatchType::of(content_type) != Some(PatchType::Json) {
        return 0;
    }
    // Where characters are written by number, the word may be, too.
    let is_plain = !patch.contains(&b'\\');
    if is_plain { patch.windows(4).filter(|word| word == b"copy").count() } else { count(patch, b'{') }
}

/// How many objects there are at most, nulls included: in a list of structs each becomes one.
fn objects_in_json(bytes: &[u8]) -> usize {
    count(bytes, b'{') + nulls(bytes)
}

/// About how many objects there are at most: each mapping has a brace, or in each entry a colon or question mark; an item
/// that is nothing is a null.
fn objects_in_yaml(bytes: &[u8]) -> usize {
    let first = bytes.trim_ascii_start().first();
    // In JSON, which YAML may be, a quote is before each colon; in blocks, a key may have quotes as well.
    let is_flow = matches!(first, Some(b'{' | b'['));
    let entries = bytes.windows(2).filter(|pair| pair[1] == b':' && !(is_flow && pair[0] == b'"')).count();
    let empty = bytes.split(|&byte| byte == b'\n').filter(|line| line.trim_ascii_end().ends_with(b"-")).count();
    let tagged = count(bytes, b'~') + count(bytes, b'!') + nulls(&bytes.to_ascii_lowercase());
    let objects = count(bytes, b'{') + entries + count(bytes, b'?') + empty + tagged;
    // Between brackets, an item or entry may be a comma and a letter.
    objects.max(count(bytes, b','))
}

fn nulls(bytes: &[u8]) -> usize {
    bytes.windows(4).filter(|word| word == b"null").count()
}

/// The object that a request changes; `None` if it changes none, or one that the cache does not have.
fn stored(endpoint: &Endpoint, request: &Request) -> Option<Arc<Stored>> {
    let info = &request.info;
    if info.name.is_empty() {
        return None;
    }
    let namespace = if endpoint.resource.is_namespaced() { &*info.namespace } else { "" };
    endpoint.store.as_ref()?.cacher().get(&cache_key(namespace, &info.name))
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|&&byte| byte == wanted).count()
}

/// Whether a tree has more than `left` values.
fn has_more_nodes(value: &Value, left: &mut usize) -> bool {
    match left.checked_sub(1) {
        Some(fewer) => *left = fewer,
        None => return true,
    }
    match value {
        Value::Array(items) => items.iter().any(|item| has_more_nodes(item, left)),
        Value::Object(fields) => fields.iter().any(|(_, field)| has_more_nodes(field, left)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
