//! What reading bytes and text is charged.

use super::{Context, KEPT_BASE64_BYTES_MIN, MADE_BYTES_MAX, TEXT_BYTES_IN_STEP, WORK_MAX, Work};
use crate::{Environment, ErrorKind, Type, Value, value::Bytes};

/// What is made by reading `text` so often.
fn made(text: &str, times: usize) -> usize {
    let mut work = Work::of_evaluation();
    let mut context = Context::new(None, &mut work);
    for _ in 0..times {
        assert_eq!(context.bytes(&Bytes::Encoded(text)).map(|bytes| bytes.len()), Ok(text.len() / 4 * 3));
    }
    context.made_bytes
}

#[test]
fn long_base64_is_read_once_and_short_each_time() {
    let long = "A".repeat(KEPT_BASE64_BYTES_MIN);
    assert!(made(&long, 1) > long.len());
    assert_eq!(made(&long, 1_000), made(&long, 1));
    let short = "A".repeat(KEPT_BASE64_BYTES_MIN - 4);
    assert_eq!(made(&short, 1_000), made(&short, 1) * 1_000);
}

#[test]
fn what_cannot_be_afforded_is_not_read() {
    let mut work = Work::of_evaluation();
    let mut context = Context::new(None, &mut work);
    let long = "A".repeat(MADE_BYTES_MAX);
    let found = context.bytes(&Bytes::Encoded(&long)).map_err(|error| error.kind);
    assert_eq!(found, Err(ErrorKind::CostLimit));
    let mut none = Work { left: 0 };
    let mut context = Context::new(None, &mut none);
    let found = context.bytes(&Bytes::Encoded(&long[..1_024])).map_err(|error| error.kind);
    assert_eq!(found, Err(ErrorKind::TooLarge));
}

/// The length of bytes is told without reading them.
#[test]
fn base64_is_as_long_as_what_it_says() {
    let mut work = Work::of_evaluation();
    let mut context = Context::new(None, &mut work);
    for (text, says) in [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YWJjYQ==", "abca"), ("YWJ=", "ab")]
    {
        let bytes = Bytes::Encoded(text);
        assert_eq!(bytes.len(), says.len(), "{text}");
        assert_eq!(context.bytes(&bytes).as_deref(), Ok(says.as_bytes()), "{text}");
    }
    for (text, at) in [("YW?=", 2), ("YWI", 0), ("YWJjYW", 4)] {
        let wanted = format!("Invalid byte formatted string {text}: illegal base64 data at input byte {at}");
        let found = context.bytes(&Bytes::Encoded(text)).map_err(|error| error.to_string());
        assert_eq!(found, Err(wanted));
    }
}

/// These cost a unit, however long the text is: with one of three megabytes, a rule over a list went on for minutes.
#[test]
fn who_reads_a_text_pays_for_its_length() {
    let environment = Environment::kubernetes().variable("text", Type::String);
    let zeros = "0".repeat(1 << 20);
    for expression in [
        "int(text)",
        "uint(text)",
        "double(text)",
        "duration(text)",
        "timestamp(text)",
        "timestamp(0).getHours(text)",
        "{'a': 1}[text]",
        "{'a': 1}[?text]",
        "text.size()",
        "text.charAt(0)",
        "bytes(text)",
    ] {
        let program = environment.compile(expression).expect("a program");
        let mut work = Work::of_evaluation();
        // Most of them fail; that costs as much.
        let _ = program.eval_within(&[("text", Value::string(&*zeros))], u64::MAX, &mut work);
        let steps = WORK_MAX - work.left;
        assert!(steps >= zeros.len() as u64 / TEXT_BYTES_IN_STEP, "{expression}: {steps}");
    }
}
