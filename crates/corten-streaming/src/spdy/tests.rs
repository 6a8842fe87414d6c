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
