//! Measures reading and writing JSON without a type, and running past it: CPU per object of the size given by the file.
//!
//! `cargo run --release -p corten-apimachinery --example codec_bench <file.json> [rounds]`. The budget for a pod of 2.3 KB,
//! read, walked and written, is 4.2 microseconds.

#![expect(clippy::print_stdout, reason = "the figures are the purpose")]

use std::{hint::black_box, time::Duration};

use corten_apimachinery::{
    Value,
    codec::{FieldValidation, json},
};

/// The processor time that this process has used.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(_, value)| nodes(value)).sum::<usize>(),
        _ => 1,
    }
}

fn report(what: &str, rounds: u32, mut work: impl FnMut()) {
    let start = cpu();
    for _ in 0..rounds {
        work();
    }
    println!("{what}: {:.2} us", (cpu() - start).as_secs_f64() * 1e6 / f64::from(rounds));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let rounds = arguments.next().map_or(Ok(100_000), |rounds| rounds.parse())?;
    let read = |bytes: &[u8]| json::decode(bytes, None, FieldValidation::Ignore).map(|decoded| decoded.value);
    let tree = read(&std::fs::read(path)?)?;
    let text = json::encode(&tree, None);
    println!("{} bytes, {} nodes", text.len(), nodes(&tree));
    report("read", rounds, || drop(black_box(read(black_box(&text)))));
    report("walk", rounds, || {
        black_box(nodes(black_box(&tree)));
    });
    report("run past", rounds, || drop(black_box(json::view::<serde::de::IgnoredAny>(black_box(&text)))));
    report("write", rounds, || drop(black_box(json::encode(black_box(&tree), None))));
    Ok(())
}
