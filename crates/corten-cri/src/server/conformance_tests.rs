//! A served runtime keeps every promise that it keeps in process: the adapters lose nothing on the way.

use std::{sync::Arc, time::Duration};

use corten_base::{Shutdown, TaskSet};

use super::CriServer;
use crate::{client::CriClient, conformance::Fixture, cri_conformance, fake::conformance_tests};

/// The fake behind a socket, in front of which its client stands. Streams have no form on this wire but URLs.
fn fixture() -> Fixture {
    let inner = conformance_tests::fixture();
    let path = inner.dir.join("cri.sock");
    let (runtime, images, clock) = (Arc::clone(&inner.runtime), Arc::clone(&inner.images), inner.clock.clone());
    let server = CriServer::bind(&path, runtime, images, clock, Duration::from_secs(10)).unwrap();
    let (trigger, shutdown) = Shutdown::new();
    let tasks = TaskSet::new("test");
    tasks.spawn("server", async move { server.run(shutdown).await.unwrap() });
    let client = CriClient::connect(&path).unwrap();
    Fixture {
        runtime: Arc::new(client.clone()),
        images: Arc::new(client),
        keep: Some(Box::new((trigger, tasks, inner.keep))),
        ..inner
    }
}

cri_conformance!(fixture());
