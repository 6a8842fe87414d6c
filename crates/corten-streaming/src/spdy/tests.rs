use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Connection, Headers, Role, connect};

/// Two connected ends; the returned future drives both.
fn ends() -> (Connection, Connection, impl Future<Output = ()>) {
    let (left, right) = tokio::io::duplex(4 << 10);
    let (client, drive_client) = connect(Box::new(left), Role::Client);
    let (server, drive_server) = connect(Box::new(right), Role::Server);
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
        closed = work => closed,
        () = driver => panic!("the connection ended by itself"),
    };
    // The drivers are gone, and with them the connection.
    closed.cancelled().await;
    let mut stream = receive.await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(stream.write_all(&[0; 8]).await.is_err());
}
