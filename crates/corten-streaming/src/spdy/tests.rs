use std::{io::ErrorKind, sync::Arc};

use corten_base::{SharedClock, SimClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Connection, Headers, Role, STREAMS_MAX, connect};
use crate::SILENCE_WHEN_FULL;

fn clock() -> Arc<SimClock> {
    SimClock::new(jiff::Timestamp::UNIX_EPOCH)
}

/// Two connected ends; the returned future drives both.
fn ends() -> (Connection, Connection, impl Future<Output = ()>) {
    let (left, right) = tokio::io::duplex(4 << 10);
    let (client, drive_client) = connect(Box::new(left), Role::Client, clock());
    let (server, drive_server) = connect(Box::new(right), Role::Server, clock());
    (client, server, async {
        tokio::join!(drive_client, drive_server);
    })
}

#[tokio::test]
async fn a_stream_carries_more_than_any_buffer_both_ways_and_ends_by_halves() {
    let (client, mut server, driver) = ends();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| i as u8).collect();
    let echo = async {
        let mut stream = server.accept().await.unwrap();
        assert_eq!(stream.headers.get("Port"), "80");
        let mut all = Vec::new();
        // The client has ended its half; ours goes on.
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
        stream.shutdown().await.unwrap();
        server
    };
    let ask = async {
        let mut stream = client.open(Headers::of([("port", "80")])).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert!(all == sent, "{} bytes came back", all.len());
    };
    let work = async {
        let (server, ()) = tokio::join!(echo, ask);
        server.close().await;
        client.close().await;
    };
    tokio::join!(driver, work);
}

#[tokio::test]
async fn a_dropped_writer_ends_its_stream_behind_what_it_wrote() {
    let (client, mut server, driver) = ends();
    let work = async {
        let mut first = client.open(Headers::default()).await.unwrap();
        let mut stream = server.accept().await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        drop(stream);
        let mut text = String::new();
        first.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
        server.close().await;
        client.close().await;
    };
    tokio::join!(driver, work);
}

/// One connection of a port-forward that its pod did not read stopped all others, and the end was not heard.
#[tokio::test]
async fn a_stream_that_is_not_read_stops_neither_the_others_nor_the_end() {
    let (client, mut server, driver) = ends();
    let work = async {
        let mut full = client.open(Headers::default()).await.unwrap();
        let mut unread = server.accept().await.unwrap();
        // More than its window, as clients send that know of none.
        full.write_all(&[7; 200 << 10]).await.unwrap();
        let mut other = client.open(Headers::default()).await.unwrap();
        let mut read = server.accept().await.unwrap();
        other.write_all(b"hello").await.unwrap();
        other.shutdown().await.unwrap();
        let mut text = String::new();
        read.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        client.close().await;
        server.closed().cancelled().await;
        // What had come is there, and then the end.
        let mut rest = Vec::new();
        unread.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 200 << 10);
    };
    tokio::join!(driver, work);
}

/// All that one connection holds is bounded, and it goes on when somebody reads.
#[tokio::test]
async fn a_connection_that_holds_too_much_waits_for_its_readers() {
    let (client, mut server, driver) = ends();
    let total = 4 * crate::CONNECTION_BUFFER_BYTES;
    let work = async {
        let mut stream = client.open(Headers::default()).await.unwrap();
        let mut unread = server.accept().await.unwrap();
        let mut sent = 0;
        {
            let write = async {
                while sent < total {
                    sent += stream.write(&[7; 32 << 10]).await.unwrap();
                }
            };
            let a_while = async {
                for _ in 0..100_000 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = write => panic!("all of it was taken"),
                () = a_while => {}
            }
        }
        assert!((crate::CONNECTION_BUFFER_BYTES..2 * crate::CONNECTION_BUFFER_BYTES).contains(&sent), "{sent} bytes");
        let rest = async {
            while sent < total {
                sent += stream.write(&[7; 32 << 10]).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        };
        let read = async {
            let mut all = Vec::new();
            unread.read_to_end(&mut all).await.unwrap();
            all.len()
        };
        let ((), length) = tokio::join!(rest, read);
        assert_eq!(length, total);
        server.close().await;
        client.close().await;
    };
    tokio::join!(driver, work);
}

#[tokio::test]
async fn the_end_of_the_connection_ends_everything() {
    let (client, mut server, driver) = ends();
    let (send, receive) = tokio::sync::oneshot::channel();
    let work = async {
        let _stream = client.open(Headers::default()).await.unwrap();
        send.send(server.accept().await.unwrap()).unwrap();
        server.closed()
    };
    let closed = tokio::select! {
        biased;
        closed = work => closed,
        () = driver => panic!("the connection ended by itself"),
    };
    // The drivers are gone, and with them the connection.
    closed.cancelled().await;
    let mut stream = receive.await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(stream.write_all(&[0; 8]).await.is_err());
}

/// The reader waited for whoever takes streams: past 16 of them that nobody took, neither data nor the end was heard.
#[tokio::test]
async fn streams_that_nobody_takes_are_refused_and_stop_neither_the_others_nor_the_end() {
    let (client, mut server, driver) = ends();
    let work = async {
        let mut first = client.open(Headers::default()).await.unwrap();
        let mut taken = server.accept().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 1..STREAMS_MAX {
            waiting.push(client.open(Headers::default()).await.unwrap());
        }
        let mut surplus = client.open(Headers::default()).await.unwrap();
        assert_eq!(surplus.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        first.write_all(b"hello").await.unwrap();
        taken.read_exact(&mut [0; 5]).await.unwrap();
        client.close().await;
        server.closed().cancelled().await;
    };
    tokio::join!(driver, work);
}

/// kubectl ends its half of each stream for errors at once: 512 connections were let in where 256 were meant to be.
#[tokio::test]
async fn a_stream_counts_until_both_sides_have_ended_it() {
    let (client, mut server, driver) = ends();
    let work = async {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..STREAMS_MAX {
            let mut stream = client.open(Headers::default()).await.unwrap();
            stream.shutdown().await.unwrap();
            theirs.push(stream);
            ours.push(server.accept().await.unwrap());
        }
        let mut surplus = client.open(Headers::default()).await.unwrap();
        assert_eq!(surplus.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(ours.pop());
        assert_eq!(theirs.pop().unwrap().read(&mut [0; 8]).await.unwrap(), 0);
        let mut next = client.open(Headers::default()).await.unwrap();
        server.accept().await.unwrap().write_all(b"hello").await.unwrap();
        next.read_exact(&mut [0; 5]).await.unwrap();
        server.close().await;
        client.close().await;
    };
    tokio::join!(driver, work);
}

#[tokio::test]
async fn whoever_wants_no_more_streams_refuses_those_that_come() {
    let (client, mut server, driver) = ends();
    let work = async {
        let mut early = client.open(Headers::default()).await.unwrap();
        // Until the server has it in its queue.
        early.write_all(&[0; 64 << 10]).await.unwrap();
        server.refuse_more();
        let mut late = client.open(Headers::default()).await.unwrap();
        for stream in [&mut early, &mut late] {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        server.close().await;
        client.close().await;
    };
    tokio::join!(driver, work);
}

/// A reset was taken for the end of the peer's half: a pod that talks without end kept sending to nobody.
#[tokio::test]
async fn nothing_is_sent_on_a_stream_that_the_peer_has_given_up() {
    let (client, mut server, driver) = ends();
    let work = async {
        let stream = client.open(Headers::default()).await.unwrap();
        let mut given_up = server.accept().await.unwrap();
        given_up.write_all(b"before").await.unwrap();
        stream.refuse();
        given_up.output.given_up().cancelled().await;
        assert_eq!(given_up.write_all(b"after").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(given_up.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        server.close().await;
        client.close().await;
    };
    tokio::join!(driver, work);
}

/// A client that was stopped while it wrote more than anybody read was not missed for four hours.
#[tokio::test]
async fn the_end_of_a_peer_is_heard_while_nobody_reads_what_it_sent() {
    let (left, right) = tokio::io::duplex(4 << 10);
    let clock = clock();
    let (client, drive_client) = connect(Box::new(left), Role::Client, self::clock());
    let (mut server, drive_server) = connect(Box::new(right), Role::Server, Arc::clone(&clock) as SharedClock);
    let fill = async {
        let mut stream = client.open(Headers::default()).await.unwrap();
        let unread = server.accept().await.unwrap();
        stream.write_all(&vec![7; 2 * crate::CONNECTION_BUFFER_BYTES]).await.unwrap();
        unread
    };
    let (mut fill, mut drive_server) = (std::pin::pin!(fill), std::pin::pin!(drive_server));
    let a_while = async {
        for _ in 0..10_000 {
            assert!(futures::poll!(&mut fill).is_pending(), "all of it was taken");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = a_while => {}
        () = drive_client => panic!("the client ended by itself"),
        () = &mut drive_server => panic!("the server ended by itself"),
    }
    // The client is gone, without a word that could be read.
    assert!(futures::poll!(&mut drive_server).is_pending());
    clock.advance(SILENCE_WHEN_FULL);
    drive_server.await;
}
