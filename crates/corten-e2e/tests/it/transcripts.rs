//! Every verb and every format of the real kubectl, and helm, as transcripts: a command, its exit code, what it prints.
//!
//! What they say is what kubectl prints against upstream v1.35. A new case is a new line in a file of `transcripts/`.

use corten_e2e::{Machine, in_sandbox, play, side_by_side};

#[test]
fn kubectl_prints_what_it_prints_with_upstream() {
    in_sandbox("transcripts::kubectl_prints_what_it_prints_with_upstream", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        side_by_side(
            &kubectl,
            &[
                ("access", |kubectl| play(kubectl, include_str!("transcripts/access.txt"))),
                ("apply", |kubectl| play(kubectl, include_str!("transcripts/apply.txt"))),
                ("custom", |kubectl| play(kubectl, include_str!("transcripts/custom.txt"))),
                ("discovery", |kubectl| play(kubectl, include_str!("transcripts/discovery.txt"))),
                ("edit", |kubectl| play(kubectl, include_str!("transcripts/edit.txt"))),
                ("generators", |kubectl| play(kubectl, include_str!("transcripts/generators.txt"))),
                ("helm", |kubectl| play(kubectl, include_str!("transcripts/helm.txt"))),
                ("output", |kubectl| play(kubectl, include_str!("transcripts/output.txt"))),
                ("patch", |kubectl| play(kubectl, include_str!("transcripts/patch.txt"))),
                ("wait", |kubectl| play(kubectl, include_str!("transcripts/wait.txt"))),
                ("workloads", |kubectl| play(kubectl, include_str!("transcripts/workloads.txt"))),
            ],
        )?;
        // The one node is drained: nothing else runs meanwhile.
        side_by_side(&kubectl, &[("nodes", |kubectl| play(kubectl, include_str!("transcripts/nodes.txt")))])?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}
