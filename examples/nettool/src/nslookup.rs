//! `nslookup NAME [SERVER]`, with the output of busybox 1.28.

use std::net::{IpAddr, SocketAddr};

use crate::resolver::Resolver;

/// Looks up a name or an address; an error when it is not known.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (name, server) = match arguments {
        [name] => (name, None),
        [name, server] => (name, Some(server)),
        _ => return Err("usage: nslookup NAME [SERVER]".to_owned()),
    };
    let mut resolver = Resolver::from_system();
    if let Some(server) = server {
        let address = resolver.addresses(server).first().copied();
        let address = address.ok_or_else(|| format!("can't resolve '{server}'"))?;
        resolver.servers = vec![SocketAddr::new(address, 53)];
    }
    let server = resolver.servers[0].ip();
    println!("Server:    {server}\n{}", address_line(&resolver, 1, server));
    let addresses = resolver.addresses(name);
    if addresses.is_empty() {
        return Err(format!("can't resolve '{name}'"));
    }
    println!("Name:      {name}");
    for (number, address) in (1..).zip(addresses) {
        print!("{}", address_line(&resolver, number, address));
    }
    Ok(())
}

fn address_line(resolver: &Resolver, number: usize, address: IpAddr) -> String {
    let name = resolver.name_of(address).map(|name| format!(" {name}")).unwrap_or_default();
    format!("Address {number}: {address}{name}\n")
}
