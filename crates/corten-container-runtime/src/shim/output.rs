//! Streams of a container on their way: what attached clients have not taken yet, what the container has not read yet.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// What an attached client may be behind; one that reads more slowly than this is cut off, so that the container never
/// waits for a client.
const BEHIND_BYTES_MAX: usize = 1 << 20;

/// A descriptor that is written without waiting.
#[derive(Debug)]
pub(super) struct Sink {
    descriptor: OwnedFd,
    pending: Vec<u8>,
}

impl Sink {
    pub(super) fn new(descriptor: OwnedFd) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self { descriptor, pending: Vec::new() })
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what the other side takes at once and keeps the rest. `false`: nobody reads, or too slowly.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.pending.extend_from_slice(bytes);
        self.flush() && self.pending.len() <= BEHIND_BYTES_MAX
    }

    /// Writes what was kept. `false`: nobody reads.
    pub(super) fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.descriptor, &self.pending) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// What a read gave.
pub(super) enum Piece {
    Bytes(usize),
    Nothing,
    End,
}

/// Reads without waiting; the descriptor is non-blocking. A terminal whose programs have gone gives EIO.
pub(super) fn read(descriptor: &OwnedFd, buffer: &mut [u8]) -> Piece {
    loop {
        return match rustix::io::read(descriptor, &mut *buffer) {
            Ok(0) => Piece::End,
            Ok(length) => Piece::Bytes(length),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Piece::Nothing,
            Err(_) => Piece::End,
        };
    }
}
