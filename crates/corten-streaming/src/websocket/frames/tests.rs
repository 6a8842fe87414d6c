use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{Frames, copy_frames};

fn frame(payload_len: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match payload_len {
        0..126 => frame.push(mask | payload_len as u8),
        126..65_536 => {
            frame.push(mask | 126);
            frame.extend((payload_len as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((payload_len as u64).to_be_bytes());
        }
    }
    frame.extend(std::iter::repeat_n(9, if masked { 4 } else { 0 }));
    frame.extend(std::iter::repeat_n(7, payload_len));
    frame
}

#[test]
fn frames_are_parted_however_their_bytes_come() {
    let all: Vec<Vec<u8>> = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 0]
        .into_iter()
        .flat_map(|len| [frame(len, false), frame(len, true)])
        .collect();
    let bytes = all.concat();
    let mut ends = Vec::new();
    for frame in &all {
        ends.push(ends.last().unwrap_or(&0) + frame.len());
    }
    for step in [1, 2, 3, 13, 127, 4_096, 65_537, bytes.len()] {
        let mut frames = Frames::default();
        let mut at = 0;
        let mut stops = Vec::new();
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                let taken = frames.advance(rest);
                assert!(taken > 0);
                at += taken;
                rest = &rest[taken..];
                stops.push(at);
            }
        }
        assert_eq!(at, bytes.len(), "steps of {step}");
        assert!(ends.iter().all(|end| stops.contains(end)), "steps of {step}: a write has two frames");
    }
}

/// Keeps what each write has.
#[derive(Default)]
struct Writes(Vec<Vec<u8>>);

impl AsyncWrite for Writes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The answer, the status and the close of a command came in one TLS record, and `stream` of the Python client waited ten
/// seconds for each command.
#[tokio::test]
async fn frames_that_come_together_are_written_one_by_one() {
    let (mut kubelet, mut backend) = tokio::io::duplex(1 << 10);
    let sent = [frame(6, false), frame(30, false), frame(2, false)];
    kubelet.write_all(&sent.concat()).await.unwrap();
    drop(kubelet);
    let mut client = Writes::default();
    copy_frames(&mut backend, &mut client).await.unwrap();
    assert_eq!(client.0, sent);
}
