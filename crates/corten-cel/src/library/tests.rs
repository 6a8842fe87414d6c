//! Facts from upstream's tests of each library: k8s.io/apiserver/pkg/cel/library/*_test.go (v1.35).

use super::CATALOG;
use crate::{Environment, Libraries, Value, syntax::Source, types::signature};

/// Mixed lists, as upstream's tests of libraries have them.
#[track_caller]
fn eval(expression: &str) -> Result<bool, String> {
    let environment = Environment::with(Libraries::kubernetes());
    let program = match environment.compile(expression) {
        Ok(program) => program,
        Err(issues) => return Err(Source::new(expression).display(&issues)),
    };
    match program.eval(&[], None) {
        Ok((Value::Bool(truth), _)) => Ok(truth),
        Ok((other, _)) => panic!("{expression}: {other:?} is no truth value"),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn check_true(expressions: &[&str]) {
    for expression in expressions {
        assert_eq!(eval(expression), Ok(true), "{expression}");
    }
}

#[track_caller]
fn check_error(expression: &str, part: &str) {
    match eval(expression) {
        Err(error) => assert!(error.contains(part), "{expression}: {error}"),
        Ok(truth) => panic!("{expression}: {truth}"),
    }
}

#[test]
fn every_signature_can_be_read_and_every_overload_has_an_id_of_its_own() {
    let mut ids = std::collections::BTreeSet::new();
    for library in CATALOG {
        for function in library.functions.iter().copied().flatten() {
            assert!(!function.overloads.is_empty(), "{}", function.name);
            for overload in function.overloads {
                assert!(signature(overload.signature).is_some(), "{}: {}", function.name, overload.signature);
                assert!(ids.insert(overload.id), "{} stands twice", overload.id);
            }
        }
    }
}

#[test]
fn lists_are_sorted_summed_and_searched() {
    check_true(&[
        "[1, 2, 3].isSorted()",
        "![3, 1].isSorted()",
        "['a', 'b', 'c'].isSorted()",
        "[duration('1s'), duration('2s')].isSorted()",
        "[1.0].isSorted()",
        "[1, 3].sum() == 4",
        "[1.0, 3.0].sum() == 4.0",
        "[uint(1), uint(3)].sum() == uint(4)",
        "[duration('1s'), duration('3s')].sum() == duration('4s')",
        "['b', 'a', 'c'].min() == 'a'",
        "['b', 'a', 'c'].max() == 'c'",
        "[false, true].max() == true",
        "[1, 2, 2, 3].indexOf(2) == 1",
        "[1, 2, 2, 3].lastIndexOf(2) == 2",
        "[1, 2, 2, 3].indexOf(4) == -1",
    ]);
    check_error("[1].filter(x, x > 1).min() == 0", "min called on empty list");
    check_error("[1].filter(x, x > 1).max() == 0", "max called on empty list");
    check_error("[{'a': 1}].isSorted()", "found no matching overload for 'isSorted'");
}

#[test]
fn patterns_are_found() {
    check_true(&[
        "'abc 123'.find('[0-9]+') == '123'",
        "'abc'.find('[0-9]+') == ''",
        "'123 abc 456'.findAll('[0-9]+') == ['123', '456']",
        "'123 abc 456'.findAll('[0-9]+', 1) == ['123']",
        "'123 abc 456'.findAll('[0-9]+', 0) == []",
        "'123 abc 456'.findAll('[0-9]+', -1) == ['123', '456']",
        "'abc'.findAll('xyz') == []",
        "'abc'.matches('^a.c$')",
    ]);
    check_true(&[
        // What RE2 and the crate that matches here do not have in common.
        "!'\u{663}'.matches('\\\\d') && '3'.matches('^\\\\d$') && !'\u{e9}'.matches('\\\\w')",
        "'\u{e9}'.matches('^\\\\pL$') && '\u{3b1}'.matches('^\\\\p{Greek}$') && '\u{c9}'.matches('^(?i)\u{e9}$')",
        "'a{'.matches('^a{$') && 'a{1'.matches('^a{1$') && 'a{,2}'.matches('^a{,2}$') && 'aa'.matches('^a{2}$')",
        "'['.matches('^[[a]$') && '&'.matches('^[a&&b]$') && 'b'.matches('^[a&&b]$') && ']'.matches('^[]a]$')",
        "'x-y'.matches('^[a-z-]+$') && '-'.matches('^[-a]$') && '1'.matches('^[^\\\\D]$') && '_'.matches('^[\\\\w-]$')",
        "'a.b'.matches('^\\\\Qa.b\\\\E$') && !'axb'.matches('^\\\\Qa.b\\\\E$') && '<'.matches('^\\\\<$')",
        "'S'.matches('^\\\\123$') && 'a b'.matches('a\\\\sb') && 'ab'.matches('^[[:alpha:]]+$') && 'a b'.find('\\\\bb') == 'b'",
        "'aab'.find('(?P<x>a+?)') == 'a' && 'A'.matches('(?i:a)') && 'ab'.matches('^(?:a)(b)$')",
    ]);
    check_error("'a'.matches('a**')", "invalid nested repetition operator");
    // These were read as the crate reads them, and in patterns of schemas as Go does.
    check_error("'a'.matches('(a)' + '\\\\1')", "invalid escape sequence");
    check_error("'a'.matches('((a{0,99})' + '{0,99})')", "invalid repeat count");
    check_error("'a'.matches('a{1001}')", "invalid repeat count");
    check_error("'a'.matches('(?x)a')", "invalid or unsupported Perl syntax");
    check_error("'a'.matches('(?=a)')", "error parsing regexp");
    check_error("'a'.matches('[a')", "missing closing ]");
    check_error("'a'.matches('(')", "error parsing regexp");
    check_error("'a'.matches('a{1000}{1000}{1000}')", "error parsing regexp");
}

#[test]
fn urls_have_parts() {
    check_true(&[
        "url('https://example.com:80/path?k=v&k=w&l=%20x').getScheme() == 'https'",
        "url('https://example.com:80/path').getHost() == 'example.com:80'",
        "url('https://example.com:80/path').getHostname() == 'example.com'",
        "url('https://example.com:80/path').getPort() == '80'",
        "url('https://[::1]:80/').getHostname() == '::1'",
        "url('https://[::1]/').getHost() == '[::1]'",
        "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'",
        "url('/path').getScheme() == '' && url('/path').getEscapedPath() == '/path'",
        "url('//x.y/path').getHost() == 'x.y' && url('//x.y/path').getEscapedPath() == '/path'",
        "url('https://x.y/?k=v&k=w&l=%20x').getQuery() == {'k': ['v', 'w'], 'l': [' x']}",
        "url('https://a:b@x.y/').getHost() == 'x.y'",
        "isURL('https://example.com:80/')",
        "isURL('/path')",
        "!isURL('../relative-path')",
        "!isURL('https://a:b:c/')",
        "!isURL('')",
        "!isURL('https://x y/')",
        "!isURL(':x')",
        "url('https://a.b/c') == url('https://a.b/c')",
        "type(url('/')) == kubernetes.URL",
    ]);
    check_error("url('../relative') == url('/')", "URL parse error during conversion from string");
}

#[test]
fn addresses_are_strict() {
    check_true(&[
        "ip('192.168.0.1') == ip('192.168.0.1')",
        "ip('2001:DB8::1') == ip('2001:db8::1')",
        "isIP('192.168.0.1') && isIP('::1')",
        "!isIP('192.168.0.1.0') && !isIP('01.2.3.4') && !isIP('fe80::1%en0') && !isIP('::ffff:1.2.3.4')",
        "ip('127.0.0.1').family() == 4 && ip('::1').family() == 6",
        "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')",
        "ip('0.0.0.0').isUnspecified() && ip('::').isUnspecified()",
        "ip('127.0.0.1').isLoopback() && ip('::1').isLoopback()",
        "ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()",
        "ip('ff02::1').isLinkLocalMulticast() && !ip('fd00::1').isLinkLocalMulticast()",
        "ip('169.254.169.254').isLinkLocalUnicast() && ip('fe80::1').isLinkLocalUnicast()",
        "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
        "string(ip('2001:DB8::1')) == '2001:db8::1'",
    ]);
    check_error("ip('x') == ip('::')", "parse error during conversion from string");
    check_error("ip('::ffff:1.2.3.4') == ip('::')", "IPv4-mapped IPv6 address");
    check_error("ip('fe80::1%en0') == ip('::')", "with zone value is not allowed");
}

#[test]
fn networks_contain() {
    check_true(&[
        "cidr('192.168.0.0/24').containsIP('192.168.0.1') && !cidr('192.168.0.0/24').containsIP('192.168.1.1')",
        "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))",
        "!cidr('::/0').containsIP('1.2.3.4')",
        "cidr('192.168.0.0/24').containsCIDR('192.168.0.0/25')",
        "cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/24'))",
        "!cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23')",
        "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')",
        "cidr('192.168.0.1/24') != cidr('192.168.0.0/24')",
        "cidr('192.168.0.0/24').prefixLength() == 24",
        "cidr('192.168.0.1/24').ip() == ip('192.168.0.1')",
        "isCIDR('::/0') && !isCIDR('::/129') && !isCIDR('1.2.3.4') && !isCIDR('1.2.3.4/024') && !isCIDR('1.2.3.4/+4')",
        "string(cidr('192.168.0.0/24')) == '192.168.0.0/24'",
        "cidr('0.0.0.0/0').containsIP('9.9.9.9')",
    ]);
    check_error("cidr('x') == cidr('::/0')", "parse error during conversion from string");
}

#[test]
fn quantities_are_numbers() {
    check_true(&[
        "quantity('12Mi') == quantity('12Mi')",
        "quantity('200M') == quantity('0.2G') && quantity('2000k') == quantity('2M')",
        "isQuantity('20') && isQuantity('20M') && !isQuantity('20Mo') && !isQuantity('10   Mi')",
        "quantity('50M').isLessThan(quantity('50Mi')) && quantity('50Mi').isGreaterThan(quantity('50M'))",
        "quantity('200M').compareTo(quantity('0.2G')) == 0 && quantity('50M').compareTo(quantity('50Mi')) == -1",
        "quantity('50k').add(quantity('20')) == quantity('50.02k') && quantity('50k').sub(20) == quantity('49980')",
        "quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')",
        "quantity('50k').asInteger() == 50000 && quantity('50').isInteger()",
        "!quantity('9999999999999999999999999999999999999G').isInteger()",
        "!quantity('50.5').isInteger()",
        "quantity('50.703k').asApproximateFloat() == 50703.0",
        "quantity('-1').sign() == -1 && quantity('0').sign() == 0",
    ]);
    check_error("quantity('10 Mi') == quantity('1')", "quantities must match the regular expression");
    check_error(
        "quantity('9999999999999999999999999999999999999G').asInteger() == 0",
        "cannot convert value to integer",
    );
}

#[test]
fn formats_say_what_is_wrong() {
    check_true(&[
        "!format.dns1123Label().validate('my-label-name').hasValue()",
        "!format.dns1123Subdomain().validate('apiextensions.k8s.io').hasValue()",
        "!format.qualifiedName().validate('apiextensions.k8s.io/v1beta1').hasValue()",
        "!format.dns1123LabelPrefix().validate('my-label-prefix-').hasValue()",
        "!format.labelValue().validate('my-cool-label-Value').hasValue()",
        "!format.uri().validate('http://example.com').hasValue()",
        "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
        "!format.byte().validate('aGVsbG8=').hasValue()",
        "!format.date().validate('2021-01-01').hasValue()",
        "!format.datetime().validate('2021-01-01T00:00:00Z').hasValue()",
        "format.named('dns1123Label').value() == format.dns1123Label()",
        "format.named('unknownFormat') == optional.none()",
        "format.dns1123Label().validate('contains a space').value()[0].startsWith('a lowercase RFC 1123 label must')",
        "format.uuid().validate('x') == optional.of(['does not match the UUID format'])",
        "format.byte().validate('aGVsbG8') == optional.of(['invalid base64'])",
        "format.date().validate('2021-02-30') == optional.of(['invalid date'])",
        "format.datetime().validate('2021-01-01') == optional.of(['invalid datetime'])",
        "format.uri().validate('relative').hasValue()",
    ]);
}

#[test]
fn versions_have_an_order() {
    check_true(&[
        "isSemver('1.2.3-beta.1+build.1') && !isSemver('v1.0') && !isSemver('01.2.3') && !isSemver('1.2.3-')",
        "isSemver('v1.0', true) && isSemver('01.2', true) && !isSemver('1.0-x', true) && !isSemver('x', true)",
        "semver('v01.01', true) == semver('1.1.0')",
        "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
        "semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1')) && semver('1.2.3-2').isLessThan(semver('1.2.3-11'))",
        "semver('1.2.3-1').isLessThan(semver('1.2.3-a')) && semver('1.2.3-a').isLessThan(semver('1.2.3-a.1'))",
        "semver('1.2.3+a').compareTo(semver('1.2.3+b')) == 0 && semver('1.2.3').compareTo(semver('2.0.0')) == -1",
    ]);
    check_error("semver('v1.0') == semver('1.0.0')", "No Major.Minor.Patch elements found");
}

#[test]
fn texts_are_bounded() {
    // Each step multiplies the text by its own length, at a cost that does not see it.
    let doubled = "'0123456789'.replace('', '0123456789').replace('', '0123456789'.replace('', '0123456789'))";
    let expression = format!("{doubled}.replace('', {doubled}).replace('', {doubled}) == ''");
    check_error(&expression, "a text is too long");
}
