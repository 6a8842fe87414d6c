//! What the shim and a process that is to become a container's program say to each other.
//!
//! A pair of packet sockets, close-on-exec. Shim to process: one "go" with the standard streams. Process to shim: a failure,
//! or nothing and the end of the stream, which `execve` causes: then the program runs.

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
    },
};

use crate::error::Stage;

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// The standard streams a process gets; what is missing becomes /dev/null.
#[derive(Debug, Default)]
pub(crate) struct Go {
    /// Input, output, error.
    pub(crate) streams: [Option<OwnedFd>; 3],
    /// A terminal for all three.
    pub(crate) terminal: Option<OwnedFd>,
}

const TERMINAL_BIT: u8 = 1 << 3;
const MAX_FDS: usize = 4;

/// Makes both ends.
pub(crate) fn pair() -> Result<(Channel, Channel), Errno> {
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((Channel(a), Channel(b)))
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl Channel {
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Shim: lets the process go on.
    pub(crate) fn send_go(&self, go: &Go) -> Result<(), Errno> {
        let mut present = 0_u8;
        let mut fds: Vec<RawFd> = Vec::with_capacity(MAX_FDS);
        for (bit, fd) in go.streams.iter().chain([&go.terminal]).enumerate() {
            if let Some(fd) = fd {
                present |= 1 << bit;
                fds.push(fd.as_raw_fd());
            }
        }
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<()>(self.as_raw_fd(), &[IoSlice::new(&[present])], control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
    }

    /// Process: waits for it.
    pub(crate) fn receive_go(&self) -> Result<Go, Errno> {
        let mut present = [0_u8; 1];
        let mut buffer = [IoSliceMut::new(&mut present)];
        let mut control = nix::cmsg_space!([RawFd; MAX_FDS]);
        let message = recvmsg::<()>(self.as_raw_fd(), &mut buffer, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
        if message.bytes == 0 {
            // The shim went away.
            return Err(Errno::EPIPE);
        }
        let mut fds: Vec<OwnedFd> = Vec::with_capacity(MAX_FDS);
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(received) = control {
                // SAFETY: the kernel has just made these descriptors for us.
                fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let mut fds = fds.into_iter();
        let mut go = Go::default();
        for (bit, stream) in go.streams.iter_mut().enumerate() {
            if present[0] & (1 << bit) != 0 {
                *stream = Some(fds.next().ok_or(Errno::EPROTO)?);
            }
        }
        if present[0] & TERMINAL_BIT != 0 {
            go.terminal = Some(fds.next().ok_or(Errno::EPROTO)?);
        }
        Ok(go)
    }

    /// Process: reports a failure. Uses `write`, which every seccomp profile allows.
    pub(crate) fn send_failure(&self, stage: Stage, errno: Errno) {
        let mut message = [stage as u8, 0, 0, 0, 0];
        message[1..].copy_from_slice(&(errno as i32).to_ne_bytes());
        // Nobody is left to tell when this fails: the exit code remains.
        let _ = nix::unistd::write(&self.0, &message);
    }

    /// Shim: waits until the program runs (`None`) or has failed.
    pub(crate) fn receive_outcome(&self) -> Result<Option<(Stage, Errno)>, Errno> {
        let mut message = [0_u8; 5];
        let length = loop {
            match nix::unistd::read(&self.0, &mut message) {
                Err(Errno::EINTR) => {}
                // A process that was killed with our message unread.
                Err(Errno::ECONNRESET) => return Ok(None),
                other => break other?,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let [stage, errno @ ..] = message;
        let stage = Stage::from_number(stage).ok_or(Errno::EPROTO)?;
        Ok(Some((stage, Errno::from_raw(i32::from_ne_bytes(errno)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_arrive_in_their_places() {
        let (shim, process) = pair().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        shim.send_go(&Go { streams: [None, Some(write), None], terminal: None }).unwrap();
        let go = process.receive_go().unwrap();
        assert!(go.streams[0].is_none() && go.streams[2].is_none() && go.terminal.is_none());
        nix::unistd::write(go.streams[1].as_ref().unwrap(), b"x").unwrap();
        assert_eq!(nix::unistd::read(&read, &mut [0; 4]), Ok(1));
    }

    #[test]
    fn a_failure_or_the_end_is_the_outcome() {
        let (shim, process) = pair().unwrap();
        process.send_failure(Stage::Exec, Errno::ENOENT);
        assert_eq!(shim.receive_outcome(), Ok(Some((Stage::Exec, Errno::ENOENT))));
        drop(process);
        assert_eq!(shim.receive_outcome(), Ok(None));
    }

    #[test]
    fn a_process_notices_that_the_shim_is_gone() {
        let (shim, process) = pair().unwrap();
        drop(shim);
        assert_eq!(process.receive_go().map(drop), Err(Errno::EPIPE));
    }
}
