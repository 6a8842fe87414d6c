//! The server is killed again and again while 64 clients write and 8 watch, over HTTP/2 and TLS: nothing acknowledged is lost,
//! and every watcher that goes on from its last version misses nothing, or is told to list again.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use corten_base::{SharedRng, SimRng, SystemClock, SystemRng, TaskSet, timeout};
use corten_e2e::Cluster;
use parking_lot::Mutex;
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    checker::check,
    client::Client,
    history::{Heard, History, Watcher},
    is_long,
    resources::{RESOURCES, define_widgets},
    watching::{BOOKMARKS, Ended, Form, PLAIN, PROTOBUF, TABLE, WATCH_LIST, Watching, listed},
    writing::Writer,
};

const WRITERS: usize = 64;

/// Two watchers of each resource, in this order.
const WATCHERS: [Form; 8] = [PLAIN, PROTOBUF, BOOKMARKS, TABLE, WATCH_LIST, PLAIN, WATCH_LIST, PLAIN];

/// How long one watch lasts: long enough for the bookmark before its end.
const WATCH_SECONDS: u32 = 4;

/// On how many connections all of them are.
const CONNECTIONS: usize = 8;

/// The object that is made when all else is done.
const LAST: &str = "o-last";

/// The longest that a client waits for a server that was killed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server that there is now: how many there were, and how to reach it.
type Server = watch::Receiver<(usize, Option<Client>)>;

/// What all clients share.
#[derive(Clone)]
struct World {
    server: Server,
    ticks: Arc<AtomicU64>,
    written: watch::Sender<u64>,
    is_over: Arc<AtomicBool>,
    history: Arc<Mutex<History>>,
    /// How often a watch was gone on with, and how often a watcher had to begin again.
    resumed: Arc<AtomicUsize>,
    begun_again: Arc<AtomicUsize>,
}

impl World {
    /// The next server after number `last`.
    async fn next(&self, last: usize) -> (usize, Client) {
        let mut server = self.server.clone();
        let next = server.wait_for(|(number, client)| *number > last && client.is_some());
        let next = timeout(&*SystemClock::shared(), PATIENCE, next)
            .await
            .expect("the server comes back")
            .expect("the test lives");
        (next.0, next.1.clone().expect("it is waited for"))
    }

    async fn write(self, mut writer: Writer) {
        let mut last = 0;
        'servers: while !self.is_over.load(Ordering::SeqCst) {
            let (number, client) = self.next(last).await;
            while !self.is_over.load(Ordering::SeqCst) {
                match writer.step(&client).await {
                    Ok(true) => self.written.send_modify(|written| *written += 1),
                    Ok(false) => {}
                    Err(error) if is_gone(&error) => {
                        last = number;
                        continue 'servers;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        self.history.lock().operations.append(&mut writer.operations);
    }

    async fn watch(self, me: usize) {
        let resource = &RESOURCES[me / 2];
        let mut watching = Watching::new(resource.path, WATCHERS[me], WATCH_SECONDS);
        let mut last = 0;
        'servers: loop {
            let (number, client) = self.next(last).await;
            loop {
                match watching.watch(&client, me, LAST).await {
                    Ok(Ended::Heard) => break 'servers,
                    Ok(Ended::Over) => drop(self.resumed.fetch_add(1, Ordering::SeqCst)),
                    Ok(Ended::TooOld) => drop(self.begun_again.fetch_add(1, Ordering::SeqCst)),
                    Err(error) if is_gone(&error) => {
                        last = number;
                        continue 'servers;
                    }
                    Err(error) => panic!("watcher {me}: {error:?}"),
                }
            }
        }
        let watcher = Watcher { resource: resource.name, heard: watching.heard };
        self.history.lock().watchers.push(watcher);
    }
}

/// Whether the server is gone, by whatever hyper says of a connection.
fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<hyper::Error>())
}

fn seeded_rng() -> (u64, SharedRng) {
    let seed = std::env::var("CORTEN_SEED").ok().map(|seed| seed.parse().expect("CORTEN_SEED is a number"));
    let seed = seed.unwrap_or_else(|| SystemRng::shared().next_u64() >> 32);
    (seed, SimRng::shared(seed))
}

#[test]
fn clients_lose_nothing_when_the_server_is_killed_again_and_again() {
    let (seed, rng) = seeded_rng();
    writeln!(std::io::stderr(), "CORTEN_SEED={seed}").unwrap();
    if let Err(error) = kill_under_load(&rng) {
        panic!("{error:?}");
    }
}

fn kill_under_load(rng: &SharedRng) -> anyhow::Result<()> {
    let (rounds, writes_max) = if is_long() { (12, 6_000) } else { (4, 1_000) };
    let mut cluster = Cluster::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let open = |cluster: &Cluster| {
        let kubeconfig = cluster.root().join("admin.conf");
        runtime.block_on(Client::open(&kubeconfig, CONNECTIONS))
    };
    let mut client = open(&cluster)?;
    runtime.block_on(define_widgets(&client))?;
    let settled = |client: &Client| {
        runtime.block_on(async {
            for resource in &RESOURCES {
                client.until_read(resource.path).await.context("after a restart")?;
            }
            anyhow::Ok(())
        })
    };
    let (serve, server) = watch::channel((1, Some(client.clone())));
    let (written, mut progress) = watch::channel(0);
    let world = World {
        server,
        ticks: Arc::default(),
        written,
        is_over: Arc::default(),
        history: Arc::default(),
        resumed: Arc::default(),
        begun_again: Arc::default(),
    };
    let (writers, watchers) = (TaskSet::new("writers"), TaskSet::new("watchers"));
    for me in 0..WATCHERS.len() {
        watchers.spawn("watcher", world.clone().watch(me));
    }
    for me in 0..WRITERS {
        let rng = SimRng::shared(rng.next_u64());
        let writer = Writer::new(me, &RESOURCES[me % RESOURCES.len()], rng, Arc::clone(&world.ticks));
        writers.spawn("writer", world.clone().write(writer));
    }
    for round in 0..=rounds {
        let target = *progress.borrow() + 200 + rng.below(writes_max);
        let enough = async { progress.wait_for(|written| *written >= target).await.map(drop) };
        runtime.block_on(writers.guard(watchers.guard(enough))).context("writers write")?;
        if round < rounds {
            cluster.crash()?;
            cluster.restart()?;
            client = open(&cluster)?;
            settled(&client)?;
            serve.send_replace((round + 2, Some(client.clone())));
        }
    }
    world.is_over.store(true, Ordering::SeqCst);
    finish(&runtime, &world, &client, (&writers, &watchers))?;
    cluster.stop()
}

fn finish(
    runtime: &Runtime,
    world: &World,
    client: &Client,
    (writers, watchers): (&TaskSet, &TaskSet),
) -> anyhow::Result<()> {
    runtime.block_on(async {
        writers.join().await?;
        for (n, resource) in RESOURCES.iter().enumerate() {
            let mut writer = Writer::new(WRITERS + n, resource, SystemRng::shared(), Arc::clone(&world.ticks));
            anyhow::ensure!(writer.create(client, LAST).await?, "the last {} is there already", resource.name);
            world.history.lock().operations.append(&mut writer.operations);
        }
        watchers.join().await?;
        for resource in &RESOURCES {
            let (version, objects) = listed(&client.get(resource.path).await?.expect(200)?.body)?;
            world.history.lock().last.insert(resource.name, (version, objects));
        }
        anyhow::Ok(())
    })?;
    let history = world.history.lock();
    let count =
        |is: fn(&Heard) -> bool| history.watchers.iter().flat_map(|one| &one.heard).filter(|one| is(one)).count();
    let (changes, marks) =
        (count(|heard| matches!(heard, Heard::Changed { .. })), count(|heard| matches!(heard, Heard::Marked { .. })));
    writeln!(
        std::io::stderr(),
        "{} requests, {} changes and {marks} bookmarks heard; {} watches gone on with, {} begun again",
        history.operations.len(),
        changes,
        world.resumed.load(Ordering::SeqCst),
        world.begun_again.load(Ordering::SeqCst)
    )?;
    check(&history).map_err(anyhow::Error::msg)?;
    anyhow::ensure!(changes > 1_000, "not everything was tried");
    Ok(())
}
