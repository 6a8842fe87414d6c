//! HTTP/2: streams that are reset as soon as they are opened, heads without end, and other floods of frames.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many frames a flood has, unless the server ends the connection.
const FRAMES: u32 = 20_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET https://localhost/version`, from the static table as far as it goes.
fn head() -> Vec<u8> {
    [&b"\x82\x87\x04\x08/version\x01\x09localhost"[..]].concat()
}

/// ENHANCE_YOUR_CALM: what the server says of a flood.
const CALM: u32 = 11;

/// What the server had to say before it ended the connection.
#[derive(Debug, Default)]
struct Said {
    /// How many heads of answers came.
    answers: usize,
    /// How many streams it reset.
    resets: usize,
    /// The code that it gave for its end; `None` if it took everything.
    code: Option<u32>,
    /// Whether it answered the ping behind everything.
    has_taken_all: bool,
}

impl Said {
    fn of(mut frames: &[u8]) -> Self {
        let mut said = Self::default();
        while let Some((head, rest)) = frames.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            match head[3] {
                1 => said.answers += 1,
                3 => said.resets += 1,
                6 => said.has_taken_all |= head[4] & 1 == 1,
                7 => said.code = payload[4..8].try_into().ok().map(u32::from_be_bytes),
                _ => {}
            }
            frames = rest;
        }
        said
    }
}

/// Sends frames and a ping, and hears what the server says until that is enough or the connection ends.
async fn flood(served: &Served, frames: impl Fn(u32) -> Vec<u8>, count: u32, is_enough: fn(&Said) -> bool) -> Said {
    let mut stream = served.connect(b"h2").await;
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let send = async {
        for n in 0..count {
            if writing.write_all(&frames(n)).await.is_err() || writing.flush().await.is_err() {
                return;
            }
        }
        // Who has ended the connection does not hear it.
        let _ = writing.write_all(&frame(6, 0, 0, b"all sent")).await.and(writing.flush().await);
    };
    let receive = async {
        let (mut received, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
        loop {
            match reading.read(&mut buffer).await {
                Ok(length) if length > 0 => received.extend_from_slice(&buffer[..length]),
                // The end may come the hard way; what came before it counts.
                _ => return Said::of(&received),
            }
            let said = Said::of(&received);
            if is_enough(&said) {
                return said;
            }
        }
    };
    tokio::join!(send, receive).1
}

/// A head whose path has so many bytes, in as many frames as it needs.
fn head_with_path(stream: u32, bytes: usize) -> Vec<u8> {
    let mut head = b"\x82\x87\x01\x09localhost\x04\x7f".to_vec();
    let mut rest = bytes - 127;
    while rest >= 0x80 {
        head.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    head.push(rest as u8);
    head.extend(std::iter::repeat_n(b'/', bytes));
    let pieces: Vec<_> = head.chunks(16 << 10).collect();
    let last = pieces.len() - 1;
    let framed = pieces.iter().enumerate().flat_map(|(n, piece)| {
        let (kind, end_stream) = if n == 0 { (1, 1) } else { (9, 0) };
        frame(kind, end_stream | if n == last { 4 } else { 0 }, stream, piece)
    });
    framed.collect()
}

/// No URI of the library holds more than 64 KiB; upstream takes a head of 1 MiB.
#[tokio::test]
async fn a_path_that_is_too_long_ends_its_stream_and_no_other() {
    let served = Served::start().await;
    let usual = |stream: u32| frame(1, 5, stream, &head());
    let frames = |n: u32| match n {
        0 => usual(1),
        1 => head_with_path(3, 100_000),
        2 => head_with_path(5, 500_000),
        _ => usual(7),
    };
    let (said, cost) = Footprint::of_future(flood(&served, frames, 4, |said| said.answers == 2)).await;
    assert_eq!((said.answers, said.resets, said.code), (2, 2, None), "{said:?}");
    assert!(cost.peak_bytes < 64 << 20 && cost.elapsed < ELAPSED_MAX, "{cost:?}");
    served.stop().await;
}

#[tokio::test]
async fn floods_of_frames_end_their_connection() {
    let served = Served::start().await;
    let headers = 1;
    let (end_headers, end_stream) = (4, 1);
    let opened = |n: u32| frame(headers, end_headers | end_stream, 2 * n + 1, &head());
    let reset = |n: u32| frame(3, 0, 2 * n + 1, &8_u32.to_be_bytes());
    type Flood<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;
    let floods: Vec<(&str, Flood<'_>)> = vec![
        ("streams that are reset", Box::new(|n| [opened(n), reset(n)].concat())),
        (
            "a head without end",
            Box::new(|n| {
                let part = [0x00, 0x01, b'x', 0x7f, 0x89, 0x01].into_iter().chain([b'v'; 264]).collect::<Vec<u8>>();
                if n == 0 { frame(headers, end_stream, 1, &head()) } else { frame(9, 0, 1, &part) }
            }),
        ),
        (
            "pieces of heads that are empty",
            Box::new(|n| if n == 0 { frame(headers, end_stream, 1, &head()) } else { frame(9, 0, 1, &[]) }),
        ),
    ];
    let one = flood(&served, opened, 1, |said| said.answers > 0).await;
    assert_eq!((one.answers, one.code), (1, None), "a stream by itself is answered: {one:?}");
    for (what, frames) in floods {
        let (said, cost) = Footprint::of_future(flood(&served, frames, FRAMES, |said| said.has_taken_all)).await;
        assert!(said.code.is_some() && !said.has_taken_all, "{what}: {said:?}");
        assert!(said.code == Some(CALM) || !what.contains("reset"), "{what}: {said:?}");
        assert!(cost.peak_bytes < 64 << 20 && cost.elapsed < ELAPSED_MAX, "{what}: {cost:?}");
        served.lives().await;
    }
    served.stop().await;
}
