//! The plugin `loopback`: brings up `lo` inside the sandbox.

use super::{CniError, CniResult, Interface, IpConfig, Plugin, Request, code};
use crate::netlink::{LinkChange, Rtnl};

const NAME: &str = "lo";

/// See the module.
#[derive(Debug)]
pub struct Loopback;

impl Plugin for Loopback {
    fn add(&self, request: &Request<'_>) -> Result<CniResult, CniError> {
        let netns = request.sandbox()?;
        netns.bring_up_loopback().map_err(CniError::kernel("cannot bring up lo"))?;
        if let Some(previous) = request.previous {
            return Ok(previous.clone());
        }
        let rtnl = Rtnl::open_in(&netns).map_err(CniError::kernel("cannot look into the sandbox"))?;
        let link = rtnl.expect_link(NAME).map_err(CniError::kernel("cannot find lo"))?;
        let addresses =
            rtnl.addresses(Some(link.index)).map_err(CniError::kernel("cannot read the addresses of lo"))?;
        let sandbox = request.netns.map(|p| p.display().to_string()).unwrap_or_default();
        let mac = link.address.map(|a| a.to_string()).unwrap_or_default();
        Ok(CniResult {
            interfaces: vec![Interface { name: NAME.to_owned(), mac, mtu: None, sandbox }],
            ips: addresses.iter().map(|a| IpConfig { interface: Some(0), address: a.net, gateway: None }).collect(),
            ..CniResult::default()
        })
    }

    fn delete(&self, request: &Request<'_>) -> Result<(), CniError> {
        let Some(netns) = request.remaining_sandbox()? else { return Ok(()) };
        let down = || {
            let rtnl = Rtnl::open_in(&netns)?;
            let link = rtnl.expect_link(NAME)?;
            rtnl.change_link(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })
        };
        down().map_err(CniError::kernel("cannot take down lo"))
    }

    fn check(&self, request: &Request<'_>) -> Result<(), CniError> {
        let rtnl = Rtnl::open_in(&request.sandbox()?).map_err(CniError::kernel("cannot look into the sandbox"))?;
        let link = rtnl.expect_link(NAME).map_err(CniError::kernel("cannot find lo"))?;
        if link.up { Ok(()) } else { Err(CniError::new(code::MISMATCH, "lo is down")) }
    }
}
