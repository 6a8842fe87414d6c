use std::sync::Arc;

use corten_base::{SharedClock, SimClock};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{Message, protocol::Role};

use super::{ByteStream, Encoding, connect, send_bytes, send_messages, switched};
use crate::SILENCE_WHEN_FULL;

fn clock() -> Arc<SimClock> {
    SimClock::new(jiff::Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn only_clients_end_channels_one_by_one() {
    // Our server once told the end of its channels on channel 255, and every `kubectl exec` printed
    // "Unknown stream id 255, discarding message" for each: version 5 gives that channel to clients alone.
    let (left, right) = tokio::io::duplex(4 << 10);
    let (channels, mut inputs, driver) = connect(Box::new(left), Encoding::Binary, true, &[0, 4], clock());
    let server = async {
        let mut text = String::new();
        inputs[0].read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "in");
        let mut output = channels.output(1);
        output.write_all(b"out").await.unwrap();
        output.shutdown().await.unwrap();
        drop(channels.output(2));
        channels.close().await;
    };
    let client = async {
        let mut socket = switched(Box::new(right), Role::Client).await;
        for message in [&b"\0in"[..], b"\x09ignored", b"\xff\0"] {
            socket.send(Message::binary(message.to_vec())).await.unwrap();
        }
        let mut got = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message {
                got.push(bytes.to_vec());
            }
        }
        got
    };
    let ((), (), got) = tokio::join!(driver, server, client);
    assert_eq!(got, [b"\x01out".to_vec()]);
}

/// What was written just before the end of a channel stayed in the buffer until something else was sent.
#[tokio::test]
async fn what_comes_before_the_end_of_a_channel_is_sent_at_once() {
    let (left, right) = tokio::io::duplex(4 << 10);
    let (channels, _inputs, driver) = connect(Box::new(left), Encoding::Binary, false, &[0], clock());
    let server = async {
        let mut output = channels.output(0);
        output.write_all(b"third").await.unwrap();
        output.shutdown().await.unwrap();
    };
    let client = async {
        let mut socket = switched(Box::new(right), Role::Client).await;
        socket.next().await.unwrap().unwrap()
    };
    // The words are in the queue together when the driver begins.
    server.await;
    let got = tokio::select! {
        biased;
        got = client => got,
        () = driver => panic!("the connection ended by itself"),
    };
    assert_eq!(got, Message::binary(b"\0third".to_vec()));
}

/// A channel that was not read stopped the others, and the end of the connection was not heard.
#[tokio::test]
async fn a_channel_that_is_not_read_stops_neither_the_others_nor_the_end() {
    let (left, right) = tokio::io::duplex(4 << 10);
    let (channels, mut inputs, driver) = connect(Box::new(left), Encoding::Binary, true, &[0, 4], clock());
    let server = async {
        let mut text = String::new();
        inputs[1].read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "size");
        channels.closed().cancelled().await;
    };
    let client = async {
        let mut socket = switched(Box::new(right), Role::Client).await;
        for _ in 0..10 {
            socket.send(Message::binary(vec![0; 20_000])).await.unwrap();
        }
        socket.send(Message::binary(b"\x04size".to_vec())).await.unwrap();
        socket.send(Message::binary(b"\xff\x04".to_vec())).await.unwrap();
        // It goes without a word.
        drop(socket);
    };
    tokio::join!(driver, server, client);
}

#[tokio::test]
async fn base64_channels_are_text() {
    let (left, right) = tokio::io::duplex(4 << 10);
    let (channels, mut inputs, driver) = connect(Box::new(left), Encoding::Base64, false, &[0], clock());
    let server = async {
        let mut buffer = [0; 2];
        inputs[0].read_exact(&mut buffer).await.unwrap();
        channels.output(1).write_all(&buffer).await.unwrap();
        channels.close().await;
    };
    let client = async {
        let mut socket = switched(Box::new(right), Role::Client).await;
        socket.send(Message::text("0aGk=")).await.unwrap();
        let got = socket.next().await.unwrap().unwrap();
        while socket.next().await.is_some() {}
        got
    };
    let ((), (), got) = tokio::join!(driver, server, client);
    assert_eq!(got, Message::text("1aGk="));
}

#[tokio::test]
async fn bytes_pass_through_a_socket_in_any_sizes() {
    let (left, right) = tokio::io::duplex(4 << 10);
    let sent: Vec<u8> = (0..500_000_u32).map(|i| (i / 3) as u8).collect();
    let write = async {
        let mut stream = ByteStream::new(switched(Box::new(left), Role::Client).await);
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let read = async {
        let mut stream = ByteStream::new(switched(Box::new(right), Role::Server).await);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), got) = tokio::join!(write, read);
    assert!(got == sent);
}

#[tokio::test]
async fn each_message_of_a_server_that_only_speaks_is_its_own() {
    for is_text in [true, false] {
        let (left, right) = tokio::io::duplex(64);
        let long = "x".repeat(1_000);
        let messages = futures::stream::iter(["a\n".to_owned(), long.clone()].map(bytes::Bytes::from));
        let client = async {
            let mut socket = switched(Box::new(right), Role::Client).await;
            socket.send(Message::text("nobody listens")).await.unwrap();
            let mut got = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                match message {
                    Message::Text(text) if is_text => got.push(text.to_string()),
                    Message::Binary(bytes) if !is_text => got.push(String::from_utf8(bytes.to_vec()).unwrap()),
                    Message::Close(_) => break,
                    other => panic!("unexpected message {other:?}"),
                }
            }
            got
        };
        let ((), got) = tokio::join!(send_messages(Box::new(left), is_text, messages), client);
        assert_eq!(got, ["a\n".to_owned(), long], "{is_text}");
    }
}

#[tokio::test]
async fn a_stream_is_sent_as_bytes_or_as_base64() {
    for (is_base64, want) in [
        (false, [Message::binary(&b""[..]), Message::binary(&b"one"[..]), Message::binary(&b"two"[..])]),
        (true, [Message::text(""), Message::text("b25l"), Message::text("dHdv")]),
    ] {
        let (left, right) = tokio::io::duplex(64);
        let bytes = [Ok("one"), Ok("two"), Err(std::io::ErrorKind::BrokenPipe.into()), Ok("three")];
        let bytes = futures::stream::iter(bytes.map(|bytes| bytes.map(bytes::Bytes::from)));
        let client = async {
            let mut socket = switched(Box::new(right), Role::Client).await;
            let mut got = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() {
                    break;
                }
                got.push(message);
            }
            got
        };
        let ((), got) = tokio::join!(send_bytes(Box::new(left), is_base64, bytes), client);
        assert_eq!(got, want, "{is_base64}");
    }
}

/// `kubectl exec -i pod -- sleep 1d < large`, stopped from the keyboard, was not missed for four hours.
#[tokio::test]
async fn the_end_of_a_client_is_heard_while_nobody_reads_what_it_sent() {
    let (left, right) = tokio::io::duplex(4 << 10);
    let clock = clock();
    let shared = Arc::clone(&clock) as SharedClock;
    let (_channels, _inputs, driver) = connect(Box::new(left), Encoding::Binary, true, &[0], shared);
    let mut driver = std::pin::pin!(driver);
    let fill = async {
        let mut socket = switched(Box::new(right), Role::Client).await;
        let write = async {
            loop {
                socket.send(Message::binary(vec![0; 32 << 10])).await.unwrap();
            }
        };
        let mut write = std::pin::pin!(write);
        for _ in 0..100_000 {
            assert!(futures::poll!(&mut write).is_pending());
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = fill => {}
        () = &mut driver => panic!("the connection ended by itself"),
    }
    assert!(futures::poll!(&mut driver).is_pending());
    clock.advance(SILENCE_WHEN_FULL);
    driver.await;
}
