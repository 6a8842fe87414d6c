//! How the kernel finds out that nobody is at the other end of a TCP connection: a peer that vanishes says no word.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;

/// When the kernel asks, and for how long without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first question; whole seconds.
    pub idle: Duration,
    /// From one question to the next; whole seconds.
    pub interval: Duration,
    /// So many questions without an answer end the connection.
    pub probes: u32,
}

impl KeepAlive {
    /// Lets the kernel ask on this connection.
    ///
    /// # Errors
    /// The socket is no TCP connection's.
    pub fn set(&self, connection: &impl AsFd) -> io::Result<()> {
        sockopt::set_tcp_keepidle(connection, self.idle)?;
        sockopt::set_tcp_keepintvl(connection, self.interval)?;
        sockopt::set_tcp_keepcnt(connection, self.probes)?;
        Ok(sockopt::set_socket_keepalive(connection, true)?)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_asks_after_the_other_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!sockopt::socket_keepalive(&stream).unwrap());
        let asks = KeepAlive { idle: Duration::from_secs(7), interval: Duration::from_secs(3), probes: 5 };
        asks.set(&stream).unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), asks.idle);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), asks.interval);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), asks.probes);
    }
}
