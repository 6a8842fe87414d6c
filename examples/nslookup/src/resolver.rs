//! A stub resolver: `/etc/hosts`, then the servers of `/etc/resolv.conf`, with its search domains and options.
//!
//! Rules of resolv.conf(5): a name with fewer dots than `ndots` is tried with each search domain first and as it is last,
//! any other name the other way round; a name that ends with a dot is taken as it is.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::dns::{self, Answer, Kind};

const NO_SUCH_NAME: u8 = 3;
/// What UDP can carry to a resolver that did not ask for more (RFC 1035), with room for servers that send more anyway.
const MAX_DATAGRAM_BYTES: usize = 4096;

pub(crate) struct Resolver {
    pub(crate) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: usize,
    hosts: String,
}

impl Resolver {
    pub(crate) fn from_system() -> Self {
        // A missing file is an empty one, as for every C library.
        let configuration = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self::new(&configuration, fs::read_to_string("/etc/hosts").unwrap_or_default())
    }

    fn new(configuration: &str, hosts: String) -> Self {
        let mut resolver = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            hosts,
        };
        for line in configuration.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    resolver.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| resolver.set_option(option)),
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        resolver
    }

    fn set_option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u8>() else { return };
        match name {
            // The limits of resolv.conf(5).
            "ndots" => self.ndots = usize::from(value.min(15)),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = usize::from(value.clamp(1, 5)),
            _ => {}
        }
    }

    /// All addresses of a name, IPv4 first; empty when there are none.
    pub(crate) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        if let Ok(address) = name.parse() {
            return vec![address];
        }
        let listed = self.listed(name);
        if !listed.is_empty() {
            return listed;
        }
        for candidate in self.candidates(name) {
            let kinds = [Kind::V4, Kind::V6];
            let found: Vec<IpAddr> = kinds
                .iter()
                .filter_map(|kind| self.ask(&candidate, *kind))
                .flat_map(|answer| answer.addresses)
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The name of an address, if somebody knows it.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<String> {
        let listed = self.host_lines().find(|(listed, _)| *listed == address).and_then(|(_, mut names)| names.next());
        let asked = || self.ask(&dns::reverse_name(address), Kind::Pointer)?.names.into_iter().next();
        listed.map(str::to_owned).or_else(asked)
    }

    fn host_lines(&self) -> impl Iterator<Item = (IpAddr, impl Iterator<Item = &str>)> {
        self.hosts.lines().filter_map(|line| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            Some((words.next()?.parse().ok()?, words))
        })
    }

    fn listed(&self, name: &str) -> Vec<IpAddr> {
        let wanted = name.trim_end_matches('.');
        let mut found: Vec<IpAddr> = self
            .host_lines()
            .filter_map(|(address, mut names)| names.any(|name| name.eq_ignore_ascii_case(wanted)).then_some(address))
            .collect();
        if found.is_empty() && wanted.eq_ignore_ascii_case("localhost") {
            // RFC 6761: localhost needs no entry.
            found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        found
    }

    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let mut candidates: Vec<String> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.matches('.').count();
        let place = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(place, name.to_owned());
        candidates
    }

    /// The first server's answer that is one; `None` when no server has one.
    fn ask(&self, name: &str, kind: Kind) -> Option<Answer> {
        for attempt in 0..self.attempts {
            for server in &self.servers {
                // A socket asks one question, so the number only has to tell it from other processes' questions.
                let id = (std::process::id() as u16).wrapping_mul(31).wrapping_add(attempt as u16);
                let question = dns::question(id, name, kind)?;
                let reply =
                    self.ask_by_udp(*server, id, &question).or_else(|_| self.ask_by_tcp(*server, id, &question));
                let Ok(answer) = reply else { continue };
                if answer.code == 0 || answer.code == NO_SUCH_NAME {
                    return Some(answer);
                }
            }
        }
        None
    }

    fn ask_by_udp(&self, server: SocketAddr, id: u16, question: &[u8]) -> io::Result<Answer> {
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(self.timeout))?;
        socket.send(question)?;
        let mut reply = [0; MAX_DATAGRAM_BYTES];
        let length = socket.recv(&mut reply)?;
        let answer = dns::answer(id, &reply[..length]).ok_or(io::ErrorKind::InvalidData)?;
        // The whole of a long answer comes over TCP.
        if answer.truncated { Err(io::ErrorKind::InvalidData.into()) } else { Ok(answer) }
    }

    fn ask_by_tcp(&self, server: SocketAddr, id: u16, question: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream.write_all(&[&length.to_be_bytes()[..], question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply)?;
        dns::answer(id, &reply).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const POD: &str =
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";

    #[track_caller]
    fn check(configuration: &str, name: &str, want: &[&str]) {
        assert_eq!(Resolver::new(configuration, String::new()).candidates(name), want);
    }

    #[test]
    fn short_names_search_first_and_long_ones_last() {
        let searched = ["db.default.svc.cluster.local", "db.svc.cluster.local", "db.cluster.local", "db"];
        check(POD, "db", &searched);
        check(POD, "db.default.svc.cluster.local.", &["db.default.svc.cluster.local."]);
        check("search x\n", "a.b", &["a.b", "a.b.x"]);
        check("", "db", &["db"]);
    }

    #[test]
    fn reads_servers_options_and_hosts() {
        let resolver = Resolver::new(
            "nameserver fd00::1\noptions timeout:99 attempts:0 ndots:x\n",
            "10.0.0.1 a B # c\n".to_owned(),
        );
        assert_eq!(resolver.servers, ["[fd00::1]:53".parse().unwrap()]);
        assert_eq!((resolver.timeout, resolver.attempts, resolver.ndots), (Duration::from_secs(30), 1, 1));
        assert_eq!(resolver.addresses("b"), [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(resolver.addresses("localhost").len(), 2);
        assert_eq!(resolver.name_of([10, 0, 0, 1].into()).as_deref(), Some("a"));
    }

    #[test]
    fn asks_the_server_for_each_candidate_until_one_has_addresses() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut resolver = Resolver::new("search one two\noptions ndots:5 timeout:5\n", String::new());
        resolver.servers = vec![server.local_addr().unwrap()];
        let answering = thread::spawn(move || {
            let mut asked = Vec::new();
            for _ in 0..4 {
                let mut question = [0; 512];
                let (length, client) = server.recv_from(&mut question).unwrap();
                let mut reply = question[..length].to_vec();
                let domain = String::from_utf8_lossy(&question[16..19]).into_owned();
                let is_v4 = question[length - 3] == 1;
                asked.push((domain.clone(), is_v4));
                reply[2..4].copy_from_slice(&[0x80, if domain == "one" { 3 } else { 0 }]);
                if domain == "two" && is_v4 {
                    reply[7] = 1;
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 1, 2, 3]);
                }
                server.send_to(&reply, client).unwrap();
            }
            asked
        });
        assert_eq!(resolver.addresses("ab"), [IpAddr::from([10, 1, 2, 3])]);
        let asked = answering.join().unwrap();
        let want = [("one", true), ("one", false), ("two", true), ("two", false)];
        assert_eq!(asked, want.map(|(domain, is_v4)| (domain.to_owned(), is_v4)));
    }
}
