//! Frames of SPDY/3.1 as they are on the wire.
//!
//! Source: SPDY protocol draft 3.1, section 2.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{
    SpdyError,
    headers::{Compressor, Decompressor, Headers},
};

const VERSION: u16 = 3;
const HEAD_BYTES: usize = 8;

/// The longest frame that is read: upstream's clients send at most as much as they have read at once.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;

pub(super) const FLAG_FIN: u8 = 1;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    SynStream {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    SynReply {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    RstStream {
        id: u32,
        code: u32,
    },
    Settings,
    Ping(u32),
    GoAway {
        last: u32,
        code: u32,
    },
    Headers {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    WindowUpdate {
        id: u32,
        delta: u32,
    },
    Data {
        id: u32,
        fin: bool,
        bytes: Bytes,
    },
    /// A control frame of a type that this version does not know: to be ignored.
    Other,
}

/// Takes one frame from the front of `buffer`; `None` if it is not complete yet.
///
/// Errors: the peer breaks the protocol; the connection is beyond repair.
pub(super) fn decode(buffer: &mut BytesMut, headers: &mut Decompressor) -> Result<Option<Frame>, SpdyError> {
    let Some(head) = buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let flags = head[4];
    let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(SpdyError::TooLarge);
    }
    if buffer.len() < HEAD_BYTES + length {
        buffer.reserve(HEAD_BYTES + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD_BYTES);
    let mut body = buffer.split_to(length).freeze();
    let fin = flags & FLAG_FIN != 0;
    if first >> 31 == 0 {
        return Ok(Some(Frame::Data { id: first, fin, bytes: body }));
    }
    if (first >> 16) as u16 & 0x7fff != VERSION {
        return Err(SpdyError::Malformed("version"));
    }
    let number = |body: &mut Bytes| body.try_get_u32().map_err(|_| SpdyError::Malformed("control frame"));
    let id = |body: &mut Bytes| number(body).map(|id| id & 0x7fff_ffff);
    let frame = match first & 0xffff {
        1 => {
            let id = id(&mut body)?;
            // The associated stream, priority and slot are for pushed resources.
            body.try_get_u32().and_then(|_| body.try_get_u16()).map_err(|_| SpdyError::Malformed("SYN_STREAM"))?;
            Frame::SynStream { id, fin, headers: headers.decode(&body)? }
        }
        2 => Frame::SynReply { id: id(&mut body)?, fin, headers: headers.decode(&body)? },
        3 => Frame::RstStream { id: id(&mut body)?, code: number(&mut body)? },
        4 => Frame::Settings,
        6 => Frame::Ping(number(&mut body)?),
        7 => Frame::GoAway { last: id(&mut body)?, code: number(&mut body)? },
        8 => Frame::Headers { id: id(&mut body)?, fin, headers: headers.decode(&body)? },
        9 => Frame::WindowUpdate { id: id(&mut body)?, delta: number(&mut body)? & 0x7fff_ffff },
        _ => Frame::Other,
    };
    Ok(Some(frame))
}

/// Appends a frame.
pub(super) fn encode(frame: &Frame, out: &mut BytesMut, compressor: &mut Compressor) -> Result<(), SpdyError> {
    let mut control = |kind: u16, fin: bool, parts: &[&[u8]]| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        out.put_u16(0x8000 | VERSION);
        out.put_u16(kind);
        out.put_u32(u32::from(fin) << 24 | length as u32);
        for part in parts {
            out.put_slice(part);
        }
    };
    match frame {
        Frame::SynStream { id, fin, headers } => {
            let block = compressor.encode(headers)?;
            control(1, *fin, &[&id.to_be_bytes(), &[0; 6], &block]);
        }
        Frame::SynReply { id, fin, headers } => {
            let block = compressor.encode(headers)?;
            control(2, *fin, &[&id.to_be_bytes(), &block]);
        }
        Frame::RstStream { id, code } => control(3, false, &[&id.to_be_bytes(), &code.to_be_bytes()]),
        Frame::Settings => control(4, false, &[&0_u32.to_be_bytes()]),
        Frame::Ping(id) => control(6, false, &[&id.to_be_bytes()]),
        Frame::GoAway { last, code } => control(7, false, &[&last.to_be_bytes(), &code.to_be_bytes()]),
        Frame::Headers { id, fin, headers } => {
            let block = compressor.encode(headers)?;
            control(8, *fin, &[&id.to_be_bytes(), &block]);
        }
        Frame::WindowUpdate { id, delta } => control(9, false, &[&id.to_be_bytes(), &delta.to_be_bytes()]),
        Frame::Data { id, fin, bytes } => {
            out.put_u32(*id);
            out.put_u32(u32::from(*fin) << 24 | bytes.len() as u32);
            out.put_slice(bytes);
        }
        Frame::Other => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_however_they_are_cut() {
        let headers = Headers::of([("streamType", "error")]);
        let frames = [
            Frame::SynStream { id: 1, fin: false, headers: headers.clone() },
            Frame::SynReply { id: 1, fin: true, headers: Headers::default() },
            Frame::Data { id: 1, fin: false, bytes: Bytes::from_static(b"hello") },
            Frame::Data { id: 3, fin: true, bytes: Bytes::new() },
            Frame::RstStream { id: 3, code: 5 },
            Frame::Ping(7),
            Frame::Headers { id: 1, fin: false, headers },
            Frame::WindowUpdate { id: 0, delta: 65_536 },
            Frame::GoAway { last: 3, code: 0 },
        ];
        let (mut wire, mut compressor) = (BytesMut::new(), Compressor::new().unwrap());
        for frame in &frames {
            encode(frame, &mut wire, &mut compressor).unwrap();
        }
        let (mut buffer, mut decompressor, mut read) = (BytesMut::new(), Decompressor::new(), Vec::new());
        for byte in wire {
            buffer.put_u8(byte);
            read.extend(decode(&mut buffer, &mut decompressor).unwrap());
        }
        assert_eq!(read, frames);
    }

    #[track_caller]
    fn check(wire: &[u8], want: SpdyError) {
        let got = decode(&mut BytesMut::from(wire), &mut Decompressor::new());
        assert_eq!(got, Err(want), "{wire:?}");
    }

    #[test]
    fn broken_frames_end_the_connection() {
        check(&[0x80, 2, 0, 6, 0, 0, 0, 0], SpdyError::Malformed("version"));
        check(&[0x80, 3, 0, 6, 0, 0, 0, 2, 0, 0], SpdyError::Malformed("control frame"));
        check(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff], SpdyError::TooLarge);
        check(&[0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 1, 1, 1], SpdyError::Compression);
    }
}
