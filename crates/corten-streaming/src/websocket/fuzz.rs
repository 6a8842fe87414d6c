//! Whatever bytes a WebSocket peer sends, they are messages or the end of the connection, and frames end where they end.

use corten_base::SimClock;
use corten_fuzz::Target;
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{ByteStream, Encoding, connect, frames, switched};

const TARGETS: &[Target] = &[
    Target { name: "frames that are handed on", corpus, run: hand_on },
    Target { name: "channels of bytes", corpus, run: |input| read_channels(input, Encoding::Binary) },
    Target { name: "channels of base64", corpus, run: |input| read_channels(input, Encoding::Base64) },
    Target { name: "a stream of bytes", corpus, run: read_stream },
];

/// The bits of a frame's first byte.
const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A frame as a client sends it.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let length = match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => vec![0x80 | length],
        _ => [&[0x80 | 126][..], &(payload.len() as u16).to_be_bytes()].concat(),
    };
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [head].into_iter().chain(length).chain(MASK).chain(masked).collect()
}

/// Each frame alone, and all of them on one connection.
fn corpus() -> Vec<Vec<u8>> {
    let long = [&[0][..], &[b'x'; 300]].concat();
    let frames = [
        frame(FIN | BINARY, b"\0hello"),
        frame(FIN | BINARY, &long),
        frame(FIN | BINARY, b"\xff\0"),
        frame(FIN | TEXT, b"0aGVsbG8="),
        frame(FIN | TEXT, b"4eyJXaWR0aCI6MX0="),
        frame(FIN | PING, b"?"),
        // A message in three parts.
        [frame(BINARY, b"\0a"), frame(0, b"b"), frame(FIN, b"c")].concat(),
        frame(FIN | CLOSE, b"\x03\xe8bye"),
    ];
    let all = frames.concat();
    frames.into_iter().chain([all]).collect()
}

fn hand_on(input: &[u8]) {
    let whole = frames::ends(input, input.len());
    for piece in [1, 7] {
        assert_eq!(frames::ends(input, piece), whole, "ends do not depend on how the bytes come");
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

/// Both halves of a connection whose other end sends `input`, and takes whatever comes.
fn peer(input: &[u8]) -> (tokio::io::DuplexStream, impl Future<Output = ()> + use<>) {
    let (ours, theirs) = tokio::io::duplex(4 << 10);
    let input = input.to_vec();
    let talk = async move {
        let (mut from, mut to) = tokio::io::split(theirs);
        let send = async {
            // Who has heard enough leaves.
            let _ = to.write_all(&input).await;
            let _ = to.shutdown().await;
        };
        let take = async { drop(tokio::io::copy(&mut from, &mut tokio::io::sink()).await) };
        tokio::join!(send, take);
    };
    (ours, talk)
}

fn read_channels(input: &[u8], encoding: Encoding) {
    let (ours, talk) = peer(input);
    run(async {
        let clock = SimClock::new(jiff::Timestamp::UNIX_EPOCH);
        // Held to the end: without a writer there is nobody to read for.
        let (_channels, inputs, driver) = connect(Box::new(ours), encoding, true, &[0, 4], clock);
        let read = inputs.into_iter().map(|mut channel| async move {
            let mut bytes = Vec::new();
            let _ = channel.read_to_end(&mut bytes).await;
            bytes.len()
        });
        let ((), (), read) = tokio::join!(driver, talk, join_all(read));
        assert!(read.iter().sum::<usize>() <= input.len(), "no more comes out than went in");
    });
}

fn read_stream(input: &[u8]) {
    let (ours, talk) = peer(input);
    run(async {
        let read = async {
            let mut stream = ByteStream::new(switched(Box::new(ours), Role::Server).await);
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            bytes.len()
        };
        let (read, ()) = tokio::join!(read, talk);
        assert!(read <= input.len(), "no more comes out than went in");
    });
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}
