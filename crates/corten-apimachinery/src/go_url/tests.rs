use super::*;

#[test]
fn a_url_comes_apart() {
    let url = GoUrl::parse("HTTPS://user:pw@host.example:8443/a/b c?c=d&c=e+f&g;h#e%20f").unwrap();
    let want = GoUrl {
        scheme: "https".to_owned(),
        opaque: String::new(),
        user: Some("user:pw".to_owned()),
        host: "host.example:8443".to_owned(),
        escaped_path: "/a/b%20c".to_owned(),
        raw_query: "c=d&c=e+f&g;h".to_owned(),
        fragment: "e f".to_owned(),
    };
    assert_eq!(url, want);
    assert_eq!((url.hostname(), url.port()), ("host.example", "8443"));
    let query: Vec<_> = url.query().collect();
    assert_eq!(query, [("c", "d"), ("c", "e f")].map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn what_stands_behind_a_scheme_or_two_slashes_depends() {
    let check = |text: &str, is_request: bool, want: [&str; 4]| {
        let url = GoUrl::read(text, is_request).unwrap();
        assert_eq!([&*url.scheme, &*url.opaque, &*url.host, &*url.escaped_path], want, "{text}");
    };
    check("", false, [""; 4]);
    check("*", true, ["", "", "", "*"]);
    check("host/path", false, ["", "", "", "host/path"]);
    check("mailto:a@b", true, ["mailto", "a@b", "", ""]);
    check("//h/p", false, ["", "", "h", "/p"]);
    check("//h/p", true, ["", "", "", "//h/p"]);
    check("///p", false, ["", "", "", "///p"]);
    check("file:///p", true, ["file", "", "", "/p"]);
    check("https://[::1]:1/", true, ["https", "", "[::1]:1", "/"]);
    check("https://[fe80::1%25e%6E0]", true, ["https", "", "[fe80::1%en0]", ""]);
    check("https://%C3%BC.example/", true, ["https", "", "\u{fc}.example", "/"]);
}

#[test]
fn what_is_no_url_is_said_in_gos_words() {
    let check = |text: &str, want: &str| {
        let have = GoUrl::parse(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(have, want, "{text}");
    };
    check("a\u{1}b", "net/url: invalid control character in URL");
    check(":a", "missing protocol scheme");
    check("a/b:c", "");
    check("1:b", "first path segment in URL cannot contain colon");
    check("https://h/%zz", "invalid URL escape \"%zz\"");
    check("https://h/%z\u{e9}", "invalid URL escape \"%z\\xc3\"");
    check("https://h/#%", "invalid URL escape \"%\"");
    check("https://h%41/", "invalid URL escape \"%41\"");
    check("https://h%25/", "");
    check("https://h:port/", "invalid port \":port\" after host");
    check("https://a b/", "invalid character \" \" in host name");
    check("https://u\u{e9}@h/", "net/url: invalid userinfo");
    check("https://[::1/", "missing ']' in host");
    check("https://[::1]a/", "invalid port \"a\" after host");
    check("https://a[::1]/", "invalid IP-literal");
    check("https://[1.2.3.4]/", "invalid IP-literal");
    check("https://[::ffff:1.2.3.4]/", "");
    check("https://[a]/", "invalid host: ParseAddr(\"a\"): unable to parse IP");
    check("https://[::1%25]/", "invalid host: ParseAddr(\"::1%\"): unable to parse IP");
}

#[test]
fn a_request_is_for_what_is_absolute() {
    let check = |text: &str, want: Option<&str>| {
        assert_eq!(GoUrl::parse_request(text).err().map(|error| error.to_string()).as_deref(), want, "{text}");
    };
    check("", Some("empty url"));
    check("a", Some("invalid URI for request"));
    check("a:b", None);
    check("/a#%zz", Some("invalid URL escape \"%zz\""));
}
