//! `wget URL` over plain HTTP/1.1, with the options and messages of busybox that scripts in pods rely on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::resolver::Resolver;

/// Busybox's own default is 15 minutes; no test waits so long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 5;
/// Status lines and header lines of an honest server are far shorter.
const MAX_LINE_BYTES: u64 = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
struct Options {
    quiet: bool,
    show_headers: bool,
    spider: bool,
    /// `-` is standard output.
    output: Option<String>,
    timeout: Duration,
    headers: Vec<String>,
    post_data: Option<String>,
    url: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Url {
    host: String,
    port: u16,
    path: String,
}

/// Fetches a URL to a file or standard output; an error for whatever is not a success.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = parse_options(arguments)?;
    let mut url = parse_url(&options.url)?;
    for _ in 0..=MAX_REDIRECTS {
        let Some(location) = fetch(&options, &url)? else { return Ok(()) };
        url = match location.starts_with('/') {
            true => Url { path: location, ..url },
            false => parse_url(&location)?,
        };
    }
    Err("too many redirections".to_owned())
}

fn parse_options(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        quiet: false,
        show_headers: false,
        spider: false,
        output: None,
        timeout: DEFAULT_TIMEOUT,
        headers: Vec::new(),
        post_data: None,
        url: String::new(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, given) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            let value =
                || given.or_else(|| words.next().cloned()).ok_or_else(|| format!("option --{name} needs a value"));
            match name {
                "quiet" => options.quiet = true,
                "server-response" => options.show_headers = true,
                "spider" => options.spider = true,
                "output-document" => options.output = Some(value()?),
                "timeout" => options.timeout = seconds(&value()?)?,
                "header" => options.headers.push(value()?),
                "post-data" => options.post_data = Some(value()?),
                _ => return Err(format!("unrecognized option '--{name}'")),
            }
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (at, letter) in letters.char_indices() {
                let rest = &letters[at + letter.len_utf8()..];
                let mut value = || match rest {
                    "" => words.next().cloned().ok_or_else(|| format!("option -{letter} needs a value")),
                    rest => Ok(rest.to_owned()),
                };
                match letter {
                    'q' => options.quiet = true,
                    'S' => options.show_headers = true,
                    'O' => options.output = Some(value()?),
                    'T' => options.timeout = seconds(&value()?)?,
                    // Directory mode, tries and certificates make no difference here.
                    'c' => {}
                    _ => return Err(format!("invalid option -- '{letter}'")),
                }
                if matches!(letter, 'O' | 'T') {
                    break;
                }
            }
        } else {
            options.url.clone_from(word);
        }
    }
    if options.url.is_empty() { Err("no URL was given".to_owned()) } else { Ok(options) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().filter(|&seconds| seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("invalid number '{text}'"))
}

fn parse_url(text: &str) -> Result<Url, String> {
    let rest = match text.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return Err(format!("not an http url: {text}")),
        None => text,
    };
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(80), str::parse).map_err(|_| format!("bad port spec '{authority}'"))?;
    Ok(Url { host: host.to_owned(), port, path })
}

/// One request; the place to go on at when the server says so.
fn fetch(options: &Options, url: &Url) -> Result<Option<String>, String> {
    let stream = connect(options, url)?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "download timed out".to_owned(),
        _ => format!("error getting response: {error}"),
    };
    send_request(&stream, options, url).map_err(failed)?;
    let mut reader = BufReader::new(stream);
    let status = read_line(&mut reader).map_err(failed)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut reader).map_err(failed)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if options.show_headers {
        eprintln!("  {status}");
        headers.iter().for_each(|(name, value)| eprintln!("  {name}: {value}"));
    }
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    match status.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()) {
        Some(200..=299) => {}
        Some(301 | 302 | 303 | 307 | 308) if header("location").is_some() => {
            return Ok(header("location").map(str::to_owned));
        }
        Some(_) => return Err(format!("server returned error: {status}")),
        None => return Err(format!("bad response: {status}")),
    }
    if options.spider {
        return Ok(None);
    }
    let mut output = open_output(options, url)?;
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = header("content-length").and_then(|length| length.parse().ok());
    copy_body(&mut reader, &mut output, chunked, length).map_err(failed)?;
    output.flush().map_err(failed)?;
    Ok(None)
}

fn connect(options: &Options, url: &Url) -> Result<TcpStream, String> {
    let addresses = Resolver::from_system().addresses(&url.host);
    let mut last = format!("bad address '{}'", url.host);
    for address in addresses {
        let address = SocketAddr::new(address, url.port);
        if !options.quiet {
            eprintln!("Connecting to {}:{} ({address})", url.host, url.port);
        }
        match TcpStream::connect_timeout(&address, options.timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("can't connect to remote host ({}): {}", address.ip(), reason(&error)),
        }
    }
    Err(last)
}

/// The error as C programs print it, without Rust's number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "No route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "Network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "Connection timed out".to_owned(),
        _ => error.to_string(),
    }
}

fn send_request(mut stream: &TcpStream, options: &Options, url: &Url) -> io::Result<()> {
    stream.set_read_timeout(Some(options.timeout))?;
    let method = if options.post_data.is_some() { "POST" } else { "GET" };
    let port = if url.port == 80 { String::new() } else { format!(":{}", url.port) };
    let mut request = format!("{method} {} HTTP/1.1\r\nHost: {}{port}\r\n", url.path, url.host);
    request += "User-Agent: Wget\r\nConnection: close\r\n";
    for header in &options.headers {
        request += &format!("{header}\r\n");
    }
    if let Some(data) = &options.post_data {
        request += &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", data.len());
    }
    request += "\r\n";
    request += options.post_data.as_deref().unwrap_or_default();
    stream.write_all(request.as_bytes())
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn open_output(options: &Options, url: &Url) -> Result<Box<dyn Write>, String> {
    let path = url.path.split('?').next().unwrap_or_default();
    let default = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html");
    match options.output.as_deref().unwrap_or(default) {
        "-" => Ok(Box::new(io::stdout())),
        name => match File::create(name) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(format!("can't open '{name}': {error}")),
        },
    }
}

/// Copies a body in chunks, of a stated length, or to the end of the connection.
fn copy_body(reader: &mut impl BufRead, out: &mut dyn Write, chunked: bool, length: Option<u64>) -> io::Result<()> {
    if !chunked {
        let copied = io::copy(&mut reader.take(length.unwrap_or(u64::MAX)), out)?;
        let complete = length.is_none_or(|length| length == copied);
        return if complete { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    }
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            return Ok(());
        }
        if io::copy(&mut reader.take(size), out)? != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_line(reader)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn reads_options_in_both_forms() {
        let options = parse_options(&words("-qO- -T 5 http://x")).unwrap();
        assert!(options.quiet);
        assert_eq!((options.output.as_deref(), options.timeout), (Some("-"), Duration::from_secs(5)));
        let options = parse_options(&words("--timeout=7 --spider -S x")).unwrap();
        assert!(options.spider && options.show_headers);
        assert_eq!((options.timeout, options.url.as_str()), (Duration::from_secs(7), "x"));
        assert!(parse_options(&words("-Z x")).is_err());
        assert!(parse_options(&words("-q")).is_err());
    }

    #[test]
    fn reads_urls() {
        let check = |text: &str, host: &str, port, path: &str| {
            assert_eq!(parse_url(text).unwrap(), Url { host: host.to_owned(), port, path: path.to_owned() });
        };
        check("http://db:8080/a?b", "db", 8080, "/a?b");
        check("db", "db", 80, "/");
        check("http://[fd00::1]:81?x", "fd00::1", 81, "/?x");
        assert!(parse_url("https://x").is_err());
        assert!(parse_url("http://x:y").is_err());
    }

    #[test]
    fn copies_bodies_of_all_forms_and_notices_cut_ones() {
        let copy = |body: &str, chunked, length| {
            let mut out = Vec::new();
            copy_body(&mut body.as_bytes(), &mut out, chunked, length).ok().map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(copy("abc", false, None).as_deref(), Some("abc"));
        assert_eq!(copy("abcd", false, Some(3)).as_deref(), Some("abc"));
        assert_eq!(copy("ab", false, Some(3)), None);
        assert_eq!(copy("2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n", true, None).as_deref(), Some("abc"));
        assert_eq!(copy("5\r\nab", true, None), None);
    }
}
