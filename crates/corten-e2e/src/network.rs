//! The other places of a sandbox's network.

use std::{fs::File, thread};

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns};

/// A network namespace beside the sandbox's own: see `cargo xtask sandbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The gateway, 10.99.0.1, where the sandbox's resolv.conf points to.
    Outside,
    /// Another host of the segment, 10.99.0.3.
    Neighbour,
}

/// Does something from there, in a thread that ends with it. Sockets made there stay there.
pub fn at<T: Send>(place: Place, act: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let path = match place {
        Place::Outside => "/run/netns/outside",
        Place::Neighbour => "/run/netns/neighbour",
    };
    let namespace = File::open(path).with_context(|| format!("open {path}"))?;
    let there = || {
        setns(&namespace, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter {path}"))?;
        act()
    };
    thread::scope(|scope| scope.spawn(there).join().map_err(|_| anyhow::anyhow!("panicked, see above"))?)
}
