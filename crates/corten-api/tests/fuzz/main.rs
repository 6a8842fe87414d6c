//! Whatever bytes come, no decoder of the API's types panics, and what it takes can be written and read again.
//!
//! A new decoder is a line in `targets::TARGETS`, or in `schemas::TARGETS` for what custom resources bring, with examples of
//! what it reads.

mod targets;

mod schemas;

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(&[targets::TARGETS, schemas::TARGETS].concat());
}
