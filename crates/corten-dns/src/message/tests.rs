use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name as GeneralName, RData, Record,
        rdata::{A, CNAME, SOA},
    },
};
use proptest::prelude::*;

use super::{upstream::Question, *};

fn question(name: &str) -> Question {
    Question {
        name: Name::from_text(name).unwrap(),
        record_type: code::A,
        class: code::IN,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

fn general(name: &str) -> GeneralName {
    GeneralName::from_ascii(name).unwrap()
}

/// A resolver's reply to `question("www.example.com")`, numbered 5, as a general library writes it.
pub(crate) fn reply(change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let query = Message::from_vec(&question("www.example.com").message(5)).unwrap();
    let mut message = Message::response(5, OpCode::Query);
    message.add_query(query.queries[0].clone());
    change(&mut message);
    message.to_vec().unwrap()
}

fn address(ttl: u32, last: u8) -> Record {
    Record::from_rdata(general("www.example.com."), ttl, RData::A(A::new(192, 0, 2, last)))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let data = SOA::new(general("ns.example.com."), general("admin.example.com."), 1, 2, 3, 4, minimum);
    Record::from_rdata(general("example.com."), ttl, RData::SOA(data))
}

fn read(change: impl FnOnce(&mut Message)) -> UpstreamReply {
    UpstreamReply::read(&reply(change), 5, &question("www.example.com")).unwrap()
}

#[test]
fn a_name_without_case_is_the_same_name() {
    assert_eq!(Name::from_text("A.Example."), Name::from_text("a.example"));
    assert_eq!(Name::from_text("a.example").unwrap().to_string(), "a.example.");
    assert_eq!(Name::from_text("a..b"), None);
    assert_eq!(Name::from_text(&"a".repeat(64)), None);
    assert_eq!(Name::from_text(&["a"; 128].join(".")), None);
    assert!(Name::from_text(&["a"; 127].join(".")).is_some());
}

#[test]
fn a_zone_ends_at_a_dot() {
    let zone = Name::from_text("cluster.local").unwrap();
    let front = |name| Name::from_text(name).unwrap().in_front_of(&zone).map(<[u8]>::len);
    assert_eq!([front("a.cluster.local"), front("cluster.local"), front("acluster.local")], [Some(2), Some(0), None]);
}

#[test]
fn a_pointer_that_does_not_go_back_is_malformed() {
    for message in [&b"\xc0\x00"[..], b"\x01a\xc0\x00", b"\xc0\x02\x00", b"\x40", b"\x01", b""] {
        assert!(Name::read(message, 0).is_none(), "{message:?}");
    }
    let (name, end) = Name::read(b"\x01a\x00\x01b\xc0\x00", 3).unwrap();
    assert_eq!((name.to_string().as_str(), end), ("b.a.", 7));
}

#[test]
fn a_reply_lives_as_long_as_its_shortest_record() {
    let seconds = |change: fn(&mut Message)| read(change).seconds_to_live();
    assert_eq!(seconds(|m| drop(m.add_answer(address(300, 1)).add_answer(address(20, 2)).to_vec())), Some(20));
    assert_eq!(seconds(|m| drop(m.add_answer(address(0, 1)).to_vec())), None);
    assert_eq!(seconds(|m| drop(m.add_authority(soa(60, 900)).to_vec())), Some(60));
    assert_eq!(seconds(|m| drop(m.add_authority(soa(900, 30)).to_vec())), Some(30));
    assert_eq!(seconds(|_| {}), None);
    let failed = |m: &mut Message| m.metadata.response_code = ResponseCode::ServFail;
    assert_eq!(read(failed).seconds_to_live(), None);
}

#[test]
fn a_reply_to_something_else_is_none() {
    let message = reply(|m| drop(m.add_answer(address(300, 1)).to_vec()));
    assert!(UpstreamReply::read(&message, 6, &question("www.example.com")).is_none());
    assert!(UpstreamReply::read(&message, 5, &question("www.example.org")).is_none());
    let query = question("www.example.com").message(5);
    assert!(UpstreamReply::read(&query, 5, &question("www.example.com")).is_none());
    for end in 0..message.len() {
        assert!(UpstreamReply::read(&message[..end], 5, &question("www.example.com")).is_none(), "cut at {end}");
    }
}

#[test]
fn a_kept_reply_answers_with_lower_ttls_in_the_client_s_case() {
    let kept = read(|m| {
        m.add_answer(Record::from_rdata(
            general("www.example.com."),
            300,
            RData::CNAME(CNAME(general("w.example.com."))),
        ));
        m.add_answer(Record::from_rdata(general("w.example.com."), 60, RData::A(A::new(192, 0, 2, 1))));
    });
    let mut asked = question("www.example.com").message(77);
    asked[13] = b'W';
    let answer = kept.answer(Vec::new(), &Query::read(&asked).unwrap(), 512, 50);
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.id, 77);
    assert!(answer.metadata.recursion_available && answer.edns.is_some());
    assert_eq!(answer.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [250, 10]);
    assert_eq!(answer.answers[0].name.to_string(), "Www.example.com.");
}

#[test]
fn an_answer_that_does_not_fit_is_cut_at_a_record_and_says_so() {
    let kept = read(|m| {
        for n in 0..100 {
            m.add_answer(address(300, n));
        }
    });
    let mut asked = question("www.example.com").message(1);
    // Without EDNS.
    asked.truncate(asked.len() - 11);
    asked[11] = 0;
    let query = Query::read(&asked).unwrap();
    let answer = kept.answer(Vec::new(), &query, query.udp_limit(), 0);
    assert!(answer.len() <= 512 && answer.len() > 490, "{}", answer.len());
    let answer = Message::from_vec(&answer).unwrap();
    assert!(answer.metadata.truncation && answer.edns.is_none());
    let whole = kept.answer(Vec::new(), &query, MAX_MESSAGE_BYTES, 0);
    assert_eq!(Message::from_vec(&whole).unwrap().answers.len(), 100);
}

#[test]
fn malformed_queries_are_told_so_and_responses_are_ignored() {
    let good = question("a.example").message(3);
    let code_of = |message: &[u8]| match Query::read(message) {
        Ok(_) => None,
        Err(Rejection::Ignore) => Some(u16::MAX),
        Err(Rejection::Reply(reply)) => {
            let reply = Message::from_vec(&reply).unwrap();
            assert_eq!(reply.metadata.id, 3);
            Some(u16::from(reply.metadata.response_code))
        }
    };
    assert_eq!(code_of(&good), None);
    assert_eq!(code_of(&good[..11]), Some(u16::MAX));
    assert_eq!(code_of(&good[..20]), Some(code::FORMAT_ERROR));
    let with = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        code_of(&changed)
    };
    assert_eq!(with(2, 0x80), Some(u16::MAX), "a response");
    assert_eq!(with(2, 0x28), Some(code::NOT_IMPLEMENTED), "an update");
    assert_eq!(with(5, 2), Some(code::FORMAT_ERROR), "two questions");
    assert_eq!(with(5, 0), Some(code::FORMAT_ERROR), "no question");
    assert_eq!(with(good.len() - 5, 1), Some(code::BAD_VERSION), "EDNS version 1");
}

proptest! {
    #[test]
    fn no_message_makes_the_readers_panic(mut message in prop::collection::vec(any::<u8>(), 0..200), honest in any::<bool>()) {
        let question = question("www.example.com");
        if honest {
            // A well-formed start gets the reader further.
            let mut start = question.message(5);
            start[2] |= 0x80;
            start[7] = message.first().copied().unwrap_or(0) & 7;
            message.splice(0..0, start);
        }
        if let Some(reply) = UpstreamReply::read(&message, 5, &question) {
            let asked = question.message(1);
            let query = Query::read(&asked).unwrap();
            let answer = reply.answer(Vec::new(), &query, 512, 3);
            prop_assert!(answer.len() <= 512);
            let mut response = Response::begin(Vec::new(), &query, 512);
            reply.append_to(&mut response, 3);
            prop_assert!(response.finish(0, true).len() <= 512);
        }
        if let Ok(query) = Query::read(&message) {
            let finished = Response::begin(Vec::new(), &query, query.udp_limit()).finish(0, false);
            prop_assert!(finished.len() <= query.udp_limit());
        }
    }
}
