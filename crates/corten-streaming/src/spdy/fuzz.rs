//! Whatever bytes a SPDY peer sends, they are frames or the end of the connection.

use bytes::BytesMut;
use corten_fuzz::Target;

use super::{
    frame::{self, Frame},
    headers::{Compressor, Decompressor, Headers},
};

const TARGETS: &[Target] = &[
    Target { name: "frames", corpus, run: |input| read(input, input.len()) },
    Target { name: "frames that come in pieces", corpus, run: |input| read(input, 7) },
];

/// Each frame alone, and all of them on one connection.
fn corpus() -> Vec<Vec<u8>> {
    let headers = || Headers::of([("streamtype", "stdin"), ("port", "80"), ("requestid", "1")]);
    let frames = [
        Frame::SynStream { id: 1, fin: false, headers: headers() },
        Frame::SynReply { id: 1, fin: false, headers: Headers::default() },
        Frame::Headers { id: 1, fin: true, headers: headers() },
        Frame::Data { id: 1, fin: true, bytes: b"hello"[..].into() },
        Frame::WindowUpdate { id: 1, delta: 65_536 },
        Frame::RstStream { id: 1, code: 5 },
        Frame::Ping(7),
        Frame::GoAway { last: 1, code: 0 },
    ];
    let wire = |frames: &[Frame]| {
        let (mut wire, mut compressor) = (BytesMut::new(), Compressor::new().unwrap());
        frames.iter().for_each(|frame| frame::encode(frame, &mut wire, &mut compressor).unwrap());
        wire.to_vec()
    };
    let alone = frames.iter().map(|frame| wire(std::slice::from_ref(frame)));
    alone.chain([wire(&frames)]).collect()
}

fn read(input: &[u8], piece: usize) {
    let (mut buffer, mut decompressor) = (BytesMut::new(), Decompressor::new());
    for part in input.chunks(piece.max(1)) {
        buffer.extend_from_slice(part);
        loop {
            let before = buffer.len();
            match frame::decode(&mut buffer, &mut decompressor) {
                Ok(Some(_)) => assert!(buffer.len() < before, "a frame takes bytes"),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(buffer.capacity() <= 4 * frame::FRAME_BYTES_MAX, "{} bytes are kept", buffer.capacity());
    }
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}
