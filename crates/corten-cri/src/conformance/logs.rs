//! The log files of containers.

use super::{Fixture, pod::IDLE};
use crate::{
    api,
    log_format::{LogLine, LogStream},
};

/// Each line has a time, its stream and `F`.
pub async fn lines_carry_time_stream_and_tag(fixture: &Fixture) {
    let pod = fixture.pod("lines").await;
    let output = pod.run_with("main", "echo one; echo; echo three >&2", |_| ()).await;
    let bytes = std::fs::read(pod.log_file("main/0.log")).expect("read the log");
    let lines: Vec<_> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| LogLine::parse(line).expect("a line of the log format"))
        .collect();
    let mut said: Vec<_> = lines.iter().map(|line| (line.stream.name(), line.partial, line.content)).collect();
    // Two pipes have no order between them.
    said.sort_by_key(|line| line.0 == "stdout");
    let want: [(&str, bool, &[u8]); 3] =
        [("stderr", false, b"three"), ("stdout", false, b"one"), ("stdout", false, b"")];
    assert_eq!(said, want);
    let status = output.status;
    // The runtime's clock reads: allow a second for rounding on either side.
    let near = |line: &LogLine<'_>| {
        let nanos = i64::try_from(line.time.as_nanosecond()).expect("a time of this century");
        (status.created_at - 1_000_000_000..status.finished_at + 1_000_000_000).contains(&nanos)
    };
    assert!(lines.iter().all(near), "{lines:?} of {status:?}");
}

/// A line of any length comes back whole from its pieces.
pub async fn a_long_line_is_split_and_a_last_line_needs_no_newline(fixture: &Fixture) {
    let pod = fixture.pod("long").await;
    let script = "head -c 50000 /dev/zero | tr '\\0' x; echo; printf end";
    pod.run_with("main", script, |_| ()).await;
    let bytes = std::fs::read(pod.log_file("main/0.log")).expect("read the log");
    let (mut lines, mut current, mut pieces) = (Vec::new(), Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = LogLine::parse(line).expect("a line of the log format");
        current.extend_from_slice(line.content);
        pieces += 1;
        if !line.partial {
            lines.push(std::mem::take(&mut current));
        }
    }
    // Whether an unfinished last line is a piece or a whole line is the runtime's choice.
    lines.extend((!current.is_empty()).then_some(current));
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [50_000, 3]);
    assert!(pieces > 3, "a line of 50,000 bytes is written in pieces, not in {pieces}");
}

/// After rotation renamed the file, a reopen makes a new one and nothing is lost.
pub async fn a_reopened_log_goes_on_in_a_new_file(fixture: &Fixture) {
    let pod = fixture.pod("rotate").await;
    let script = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done";
    let container_id = pod.start("main", script).await;
    let (file, rotated) = (pod.log_file("main/0.log"), pod.log_file("main/0.log.1"));
    let has_lines = || async { (!pod.logged("main", LogStream::Stdout).is_empty()).then_some(()) };
    fixture.eventually("the container writes", has_lines).await;
    std::fs::rename(&file, &rotated).expect("rotate");
    let request = api::ReopenContainerLogRequest { container_id: container_id.clone() };
    fixture.runtime.reopen_container_log(request).await.expect("reopen");
    assert!(file.exists(), "the new file is there when the call returns");
    fixture.eventually("the container writes on", has_lines).await;
    fixture.stop(&container_id, 0).await.expect("stop");
    fixture.exited(&container_id).await;

    let mut text = std::fs::read(&rotated).expect("read the rotated file");
    text.extend(std::fs::read(&file).expect("read the new file"));
    let numbers: Vec<usize> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| LogLine::parse(line).expect("a line of the log format"))
        .map(|line| std::str::from_utf8(line.content).expect("text").trim_start_matches("line ").to_owned())
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
}

/// The kubelet shows the logs of containers that it has removed.
pub async fn a_log_outlives_its_container(fixture: &Fixture) {
    let pod = fixture.pod("outlives").await;
    let keeper = pod.start("keeper", IDLE).await;
    let output = pod.run_with("main", "echo kept", |_| ()).await;
    fixture.remove(&output.status.id).await.expect("remove");
    assert_eq!(pod.logged("main", LogStream::Stdout), "kept\n");
    fixture.stop(&keeper, 20).await.expect("stop");
}
