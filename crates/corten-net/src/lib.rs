//! Talking to the kernel's network: interfaces, routes, packet rules, connection tracking, network namespaces, and the
//! CNI plugins built on them.
//!
//! One netlink codec of our own (`netlink::{codec, socket}`) carries everything. The published bindings were tried
//! first: 62,000 generated lines for the subsystems needed here, and none of them types `masq`, `dynset` or `hash`,
//! which service proxying is made of.
//!
//! **Blocking.** Every call here but `cni::invoke` blocks, for microseconds to a few milliseconds: the kernel does the
//! work inside the system call. From async code call through `corten_base::blocking` or from an owned thread. Handles (`Rtnl`,
//! `Nftables`, `Conntrack`) are `Send + Sync` and belong to the network namespace they were opened in, whatever
//! namespace the calling thread is in, so that no caller ever has to change its own thread's namespace.

pub mod cni;
pub mod conntrack;
pub mod netlink;
pub mod netns;
pub mod nftables;
pub mod sysctl;

pub use netns::Netns;
