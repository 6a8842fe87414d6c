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

/// Sends a flood; true if the server ended the connection before its end.
async fn is_ended(served: &Served, frames: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut stream = served.connect(b"h2").await;
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let send = async {
        for n in 0..FRAMES {
            if writing.write_all(&frames(n)).await.is_err() || writing.flush().await.is_err() {
                return;
            }
        }
    };
    let receive = async {
        let mut buffer = [0; 16 << 10];
        while matches!(reading.read(&mut buffer).await, Ok(length) if length > 0) {}
    };
    tokio::select! {
        () = receive => true,
        () = send => {
            // What has been sent is read in the end; then the server has made up its mind.
            let ping = writing.write_all(&frame(6, 0, 0, b"are you ")).await.and(writing.flush().await);
            ping.is_err()
        }
    }
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
                let part = [0x00, 0x01, b'x', 0x7f, 0x81, 0x07].into_iter().chain([b'v'; 264]).collect::<Vec<u8>>();
                if n == 0 { frame(headers, end_stream, 1, &head()) } else { frame(9, 0, 1, &part) }
            }),
        ),
        (
            "pieces of heads that are empty",
            Box::new(|n| if n == 0 { frame(headers, end_stream, 1, &head()) } else { frame(9, 0, 1, &[]) }),
        ),
    ];
    for (what, flood) in floods {
        let (ended, cost) = Footprint::of_future(is_ended(&served, flood)).await;
        eprintln!("{what}: {cost:?}");
        assert!(ended, "{what}: the server took all of it");
        assert!(cost.peak_bytes < 64 << 20 && cost.elapsed < ELAPSED_MAX, "{what}: {cost:?}");
        served.lives().await;
    }
    served.stop().await;
}
