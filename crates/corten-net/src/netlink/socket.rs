//! A netlink socket: requests with their acknowledgements, listings, and batches that stand or fall together.
//!
//! The kernel handles a request inside `send`, so answers are waiting when it returns; nothing here waits for anybody
//! but the kernel. Every request has its own sequence number and answers to earlier ones are dropped, so a failed call
//! cannot confuse the next one.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};

use super::{
    codec::{Attributes, HEADER_BYTES, Message, Writer, flags, messages, u16_at, u32_at},
    error::Error,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Flags of an acknowledgement: the request's payload is left out; attributes follow.
const ACK_CAPPED: u16 = 0x100;
const ACK_ATTRIBUTES: u16 = 0x200;
const ACK_MESSAGE: u16 = 1;
const ACK_OFFSET: u16 = 2;
const NETLINK_CAP_ACK: libc::c_int = 10;
const NETLINK_EXT_ACK: libc::c_int = 11;
const NETLINK_GET_STRICT_CHECK: libc::c_int = 12;
/// 1 MiB: the kernel's listings come in pieces of at most 32 KiB, and one piece is outstanding at a time.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// 64 KiB hold the largest piece of a listing that the kernel makes (32 KiB) with room to spare.
const DATAGRAM_BYTES: usize = 64 << 10;
/// A listing that was interrupted by a change is asked for again this often before the interruption is an error.
const DUMP_ATTEMPTS: usize = 10;

/// Which part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, neighbours.
    Route,
    /// nftables and connection tracking.
    Netfilter,
}

/// An open netlink socket, bound to the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    send_buffer_bytes: usize,
    receive_buffer_bytes: usize,
    datagram: Vec<u8>,
}

/// The kernel's verdict on one message.
#[derive(Debug)]
pub struct Refusal {
    /// Sequence number of the message.
    pub sequence: u32,
    /// Error number, positive.
    pub errno: i32,
    /// The kernel's own words.
    pub message: Option<String>,
    /// Offset of the offending attribute in the message.
    pub attribute_offset: Option<u32>,
}

/// What came back from a batch.
#[derive(Debug, Default)]
pub struct BatchAnswer {
    /// Messages that were refused; the batch took effect only if there is none.
    pub refusals: Vec<Refusal>,
    /// Objects that the kernel echoed because the request asked for it.
    pub echoes: Vec<Message>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let open = |e: nix::Error| Error::Open { source: e.into() };
        let protocol = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).map_err(open)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(open)?;
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHECK] {
            enable(&fd, option).map_err(|source| Error::Open { source })?;
        }
        let mut socket =
            Self { fd, sequence: 0, send_buffer_bytes: 0, receive_buffer_bytes: 0, datagram: vec![0; DATAGRAM_BYTES] };
        socket.reserve_receive(RECEIVE_BUFFER_BYTES).map_err(|source| Error::Open { source })?;
        Ok(socket)
    }

    /// Sends one request and returns the answer: the objects asked for, or nothing but the acknowledgement.
    ///
    /// Errors: [`Error::Refused`] with an empty operation, to be filled in by the caller.
    pub fn request(&mut self, request: Writer) -> Result<Vec<Message>, Error> {
        let mut buffer = request.finish()?;
        let is_dump = u16_at(&buffer, 6) & flags::DUMP == flags::DUMP && buffer_asks(&buffer);
        let wanted = if is_dump { flags::DUMP } else { flags::ACK };
        let header_flags = (u16_at(&buffer, 6) | wanted).to_ne_bytes();
        buffer[6..8].copy_from_slice(&header_flags);
        for _ in 0..DUMP_ATTEMPTS {
            let sequence = self.next_sequence();
            buffer[8..12].copy_from_slice(&sequence.to_ne_bytes());
            self.send(&buffer)?;
            let (answer, interrupted) = self.receive_answer(sequence)?;
            if !interrupted {
                return Ok(answer);
            }
        }
        Err(refused(libc::EINTR, Some("the objects kept changing while they were listed".to_owned()), None))
    }

    /// The next `count` sequence numbers are the caller's, for the messages of a batch. Returns the first.
    pub fn reserve_sequences(&mut self, count: u32) -> u32 {
        // Zero is what notifications carry, so a range never contains it.
        if self.sequence.checked_add(count).is_none() {
            self.sequence = 0;
        }
        let first = self.sequence + 1;
        self.sequence += count;
        first
    }

    /// Sends a batch whose messages carry sequence numbers `first..=last`; the message `last` asks for an
    /// acknowledgement.
    ///
    /// `echo_bytes` is an upper bound for what the kernel will echo. Errors are about the transfer; refusals of single
    /// messages are in the answer.
    pub fn batch(&mut self, batch: &[u8], first: u32, last: u32, echo_bytes: usize) -> Result<BatchAnswer, Error> {
        let transfer = |action| move |source| Error::Transfer { action, source };
        // The kernel accounts about twice the payload.
        self.reserve_send(batch.len().saturating_mul(2).max(RECEIVE_BUFFER_BYTES)).map_err(transfer("send"))?;
        self.reserve_receive(echo_bytes.saturating_mul(4).max(RECEIVE_BUFFER_BYTES)).map_err(transfer("receive"))?;
        self.send(batch)?;
        let mut answer = BatchAnswer::default();
        let mut overrun = None;
        loop {
            let received = match self.receive(MsgFlags::MSG_DONTWAIT) {
                Ok(received) => received,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    // More refusals than fit. The ones that did fit are still in the queue and say enough.
                    overrun = Some(e);
                    continue;
                }
                // The kernel answers before `send` returns: an empty queue means that the rest of the answer was
                // dropped.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return match (answer.refusals.is_empty(), overrun) {
                        (false, _) => Ok(answer),
                        (true, lost) => Err(Error::Transfer { action: "receive", source: lost.unwrap_or(e) }),
                    };
                }
                Err(e) => return Err(transfer("receive")(e)),
            };
            for message in received {
                if !(first..=last).contains(&message.sequence) {
                    continue;
                }
                if message.kind != NLMSG_ERROR {
                    answer.echoes.push(message);
                    continue;
                }
                let refusal = read_acknowledgement(&message)?;
                let is_end = message.sequence == last;
                answer.refusals.extend(refusal);
                if is_end {
                    return Ok(answer);
                }
            }
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.reserve_sequences(1)
    }

    fn send(&self, buffer: &[u8]) -> Result<(), Error> {
        let sent = send(self.fd.as_raw_fd(), buffer, MsgFlags::empty())
            .map_err(|e| Error::Transfer { action: "send", source: e.into() })?;
        assert_eq!(sent, buffer.len(), "a datagram is sent whole or not at all");
        Ok(())
    }

    fn receive(&mut self, receive_flags: MsgFlags) -> Result<Vec<Message>, io::Error> {
        let size = loop {
            // MSG_TRUNC: report the real size, so that a piece that does not fit is noticed.
            match recv(self.fd.as_raw_fd(), &mut self.datagram, receive_flags | MsgFlags::MSG_TRUNC) {
                Ok(size) => break size,
                Err(nix::Error::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        };
        let datagram = self.datagram.get(..size).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("datagram of {size} bytes does not fit"))
        })?;
        messages(datagram).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// Collects the answer to the request with this sequence number, and whether the objects changed meanwhile.
    fn receive_answer(&mut self, sequence: u32) -> Result<(Vec<Message>, bool), Error> {
        let mut answer = Vec::new();
        let mut interrupted = false;
        loop {
            let received =
                self.receive(MsgFlags::empty()).map_err(|source| Error::Transfer { action: "receive", source })?;
            for message in received {
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & flags::DUMP_INTERRUPTED != 0;
                match message.kind {
                    NLMSG_DONE => {
                        let errno = message.payload.get(..4).map_or(0, |b| u32_at(b, 0).cast_signed());
                        return if errno < 0 { Err(refused(-errno, None, None)) } else { Ok((answer, interrupted)) };
                    }
                    NLMSG_ERROR => {
                        return match read_acknowledgement(&message)? {
                            Some(r) => Err(refused(r.errno, r.message, r.attribute_offset)),
                            None => Ok((answer, interrupted)),
                        };
                    }
                    _ => answer.push(message),
                }
            }
        }
    }

    fn reserve_send(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > self.send_buffer_bytes {
            // The forced form ignores the machine's limit and needs CAP_NET_ADMIN, as everything else here does.
            setsockopt(&self.fd, sockopt::SndBufForce, &bytes)?;
            self.send_buffer_bytes = bytes;
        }
        Ok(())
    }

    fn reserve_receive(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > self.receive_buffer_bytes {
            if setsockopt(&self.fd, sockopt::RcvBufForce, &bytes).is_err() {
                // Without CAP_NET_ADMIN (reading only) the limited form has to do.
                setsockopt(&self.fd, sockopt::RcvBuf, &bytes)?;
            }
            self.receive_buffer_bytes = bytes;
        }
        Ok(())
    }
}

/// Whether a message with both bits of `DUMP` set is a listing and not a "new" request with `REPLACE | EXCL`, which
/// nobody sends.
fn buffer_asks(buffer: &[u8]) -> bool {
    u16_at(buffer, 6) & (flags::CREATE | flags::APPEND) == 0
}

fn refused(errno: i32, message: Option<String>, attribute_offset: Option<u32>) -> Error {
    Error::Refused { operation: String::new(), message, attribute_offset, source: io::Error::from_raw_os_error(errno) }
}

/// Reads an error message: nothing if it is an acknowledgement.
fn read_acknowledgement(message: &Message) -> Result<Option<Refusal>, Error> {
    let payload = &message.payload;
    let code = payload.get(..4).ok_or(Error::Malformed("short acknowledgement"))?;
    let errno = -u32_at(code, 0).cast_signed();
    if errno == 0 {
        return Ok(None);
    }
    let mut refusal = Refusal { sequence: message.sequence, errno, message: None, attribute_offset: None };
    if message.flags & ACK_ATTRIBUTES != 0 {
        let request = payload.get(4..4 + HEADER_BYTES).ok_or(Error::Malformed("short acknowledgement"))?;
        // Unless capped, the whole request stands between the code and the attributes.
        let skip = if message.flags & ACK_CAPPED != 0 { HEADER_BYTES } else { u32_at(request, 0) as usize };
        let attributes = Attributes::parse(payload.get(4 + skip..).unwrap_or_default())?;
        refusal.message = attributes.string(ACK_MESSAGE);
        refusal.attribute_offset = attributes.u32(ACK_OFFSET);
    }
    Ok(Some(refusal))
}

fn enable(fd: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: `setsockopt` reads `size_of::<c_int>()` bytes from the pointer, which points to a live c_int; the
    // descriptor is open for the borrow's duration.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
