//! Whatever message comes, from a client or a server, it is read or refused, and what is answered can be read.

use corten_dns::message::{Name, Query, Rejection, UpstreamReply, upstream::Question};
use corten_fuzz::Target;

const TARGETS: &[Target] = &[
    Target { name: "query", corpus: queries, run: read_query },
    Target { name: "reply", corpus: replies, run: read_reply },
    Target { name: "name", corpus: queries, run: read_name },
];

const QUESTION: &[u8] = b"\x03web\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01";

fn queries() -> Vec<Vec<u8>> {
    let plain = [b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", QUESTION].concat();
    let extended = [
        &b"\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01"[..],
        QUESTION,
        b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08abcdefgh",
    ];
    vec![plain, extended.concat()]
}

fn replies() -> Vec<Vec<u8>> {
    let head = |counts: &[u8]| [b"\x12\x34\x81\x80\x00\x01", counts].concat();
    let address = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x00\x00\x01";
    let alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x1e\x00\x06\x03www\xc0\x10";
    let soa =
        b"\xc0\x10\x00\x06\x00\x01\x00\x00\x00\x1e\x00\x18\xc0\x10\xc0\x10\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\
        \x00\x03\x00\x00\x00\x04\x00\x00\x00\x05";
    vec![
        [&head(b"\x00\x01\x00\x00\x00\x00")[..], QUESTION, address].concat(),
        [&head(b"\x00\x02\x00\x00\x00\x00")[..], QUESTION, alias, address].concat(),
        [&head(b"\x00\x00\x00\x01\x00\x00")[..], QUESTION, soa].concat(),
    ]
}

fn read_query(input: &[u8]) {
    match Query::read(input) {
        Ok(query) => {
            assert!(query.udp_limit() >= 512);
            let asked = Question::of(&query).message(7);
            Query::read(&asked).expect("what is asked further on is a query");
        }
        Err(Rejection::Reply(reply)) => assert!(reply.len() >= 12 && reply[2] & 0x80 != 0, "{reply:?} is a reply"),
        Err(Rejection::Ignore) => {}
    }
}

fn read_reply(input: &[u8]) {
    let query = queries().remove(1);
    let query = Query::read(&query).expect("an example is a query");
    let Some(reply) = UpstreamReply::read(input, 0x1234, &Question::of(&query)) else { return };
    let _ = (reply.seconds_to_live(), reply.is_negative(), reply.is_conclusive(), reply.response_code());
    for limit in [512, 1_232, 65_535] {
        let answer = reply.answer(Vec::new(), &query, limit, 1);
        assert!(answer.len() <= limit, "{} bytes where {limit} are allowed", answer.len());
    }
}

fn read_name(input: &[u8]) {
    for at in [0, 12, input.len()] {
        if let Some((name, end)) = Name::read(input, at) {
            assert!(end <= input.len() && name.wire().len() <= 255);
            let again = Name::read(name.wire(), 0).map(|(again, _)| again.wire().to_vec());
            assert_eq!(again.as_deref(), Some(name.wire()), "a name is read as itself");
        }
    }
    if let Some(name) = std::str::from_utf8(input).ok().and_then(Name::from_text) {
        let again = Name::read(name.wire(), 0).map(|(again, _)| again.wire().to_vec());
        assert_eq!(again.as_deref(), Some(name.wire()));
    }
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}
