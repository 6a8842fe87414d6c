//! Small changes of examples: what a decoder nearly takes leads further into it than noise.

use corten_base::Rng;

/// The longest input: what there is to find is found by less.
pub(crate) const LEN_MAX: usize = 4 * 1024;

/// What means something to one decoder or another.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"-",
    b"0",
    b"e999",
    b"1.5",
    b"-0",
    b"9223372036854775808",
    b"\\ud800",
    b"\\u0000",
    b"\xff",
    b"\xe2\x80\xa8",
    b"\x00",
    b"\n",
    b"- ",
    b"? ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!binary ",
    b"%",
    b"---\n",
    b"| ",
    b"kind",
    b"metadata",
    b"name",
    b"$patch",
    b"$retainKeys",
    b"$setElementOrder/containers",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80",
    b"\x7b",
    b"\x7c",
    b"\x9f",
    b"\xbf",
    b"\x5f",
    b"\xd9\xd9\xf7",
    b"\xc1",
    b"\xfb",
    b"!=",
    b" notin (",
    b")",
    b"==",
    b"Ki",
    b"m",
    b"E",
    b"/~1",
    b"/-",
    b"f:",
    b"k:{",
    b"v:",
    b"{.",
    b"[*]",
    b"[?(@.",
    b"..",
    b"../",
    b"%2f",
    b"%2e%2e",
    b"%00",
    b"%",
    b"+",
    b"&",
    b"(?i)",
    b"{1,1000}",
    b"\\pL",
    b"(",
    b"*",
    b" ? ",
    b" in ",
    b".all(x, ",
    b"has(",
    b"r'",
    b"b\"",
    b"\xc0\x0c",
    b"\xff\xff",
    b"\x00\x00\x00\x01",
    b"\x80\x03\x00\x01",
    b"x-kubernetes-",
    b"properties",
    b"type",
    b"items",
];

/// An example with a few changes.
pub(crate) fn mutated(rng: &dyn Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let below = |bound: usize| rng.below(bound as u64) as usize;
    let example = |at: usize| corpus[at].as_slice();
    let mut input = example(below(corpus.len())).to_vec();
    for _ in 0..=below(4) {
        let (from, to) = {
            let (a, b) = (below(input.len() + 1), below(input.len() + 1));
            (a.min(b), a.max(b).min(a.min(b) + 64))
        };
        match below(7) {
            0 if !input.is_empty() => {
                let at = below(input.len());
                input[at] ^= 1 << below(8);
            }
            1 if !input.is_empty() => {
                let at = below(input.len());
                input[at] = rng.next_u64() as u8;
            }
            2 => drop(input.drain(from..to)),
            3 => {
                let part = input[from..to].to_vec();
                input.splice(to..to, part);
            }
            4 => {
                let word = WORDS[below(WORDS.len())];
                // Many of them: depth, and lists without end.
                let times = if below(8) == 0 { 1 + below(700) } else { 1 };
                input.splice(from..from, word.repeat(times));
            }
            5 => input.truncate(from),
            _ => {
                let other = example(below(corpus.len()));
                let at = below(other.len() + 1);
                input.splice(from.., other[at..].iter().copied());
            }
        }
        input.truncate(LEN_MAX);
    }
    input
}
