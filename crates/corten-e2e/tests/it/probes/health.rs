//! A gRPC health service, as small as the protocol allows: HTTP/2 frames by hand, one answer for every question.
//!
//! Sources: grpc/health/v1/health.proto; RFC 9113 for the frames, RFC 7541 for the few header fields.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The longest that a client sends before it is granted more; the questions are a few bytes.
const MAX_FRAME_BYTES: usize = 16_384;

/// Serves until the process ends.
pub(super) struct Health {
    serving: Arc<AtomicBool>,
}

impl Health {
    /// Begins to serve; not healthy yet.
    pub(super) fn serve(address: Ipv4Addr, port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((address, port)).context("listen for health probes")?;
        let serving = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&serving);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                // A client that goes away ends its connection with an error, which is nobody's concern.
                std::thread::spawn(move || drop(answer_all(connection, &state)));
            }
        });
        Ok(Self { serving })
    }

    pub(super) fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Ordering::Relaxed);
    }
}

fn answer_all(mut connection: TcpStream, serving: &AtomicBool) -> anyhow::Result<()> {
    let mut preface = [0; 24];
    connection.read_exact(&mut preface)?;
    connection.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        anyhow::ensure!(length <= MAX_FRAME_BYTES, "a frame of {length} bytes");
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        connection.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => connection.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            PING if flags & ACK == 0 => connection.write_all(&frame(PING, ACK, 0, &payload))?,
            DATA | HEADERS if flags & END_STREAM != 0 => {
                connection.write_all(&answer(stream, serving.load(Ordering::Relaxed)))?;
            }
            _ => {}
        }
    }
}

/// Head, message and trailer of `HealthCheckResponse`.
fn answer(stream: u32, serving: bool) -> Vec<u8> {
    // Entry 8 of the static table is `:status: 200`; 31 is `content-type`, here with a literal value.
    let mut head = vec![0x88, 0x0f, 31 - 15, 16];
    head.extend(b"application/grpc");
    // Not compressed, two bytes: field 1, a number. SERVING is 1, NOT_SERVING 2.
    let message = [0, 0, 0, 0, 2, 0x08, if serving { 1 } else { 2 }];
    let mut trailer = vec![0x00, 11];
    trailer.extend(b"grpc-status");
    trailer.extend([1, b'0']);
    [
        frame(HEADERS, END_HEADERS, stream, &head),
        frame(DATA, 0, stream, &message),
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailer),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("answers are short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
