//! Client libraries of other languages against a cluster: what a program written for Kubernetes does, this has to take.
//!
//! The scripts are ours and assert for themselves; the libraries are the published ones (`cargo xtask tools`).

mod javascript;
mod python;
mod rust;
mod scripts;

use corten_e2e::{Machine, in_sandbox, side_by_side};

#[test]
fn client_libraries_find_what_they_know() {
    in_sandbox("clients::client_libraries_find_what_they_know", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[("python", python::checks), ("javascript", javascript::checks), ("rust", rust::checks)],
        )?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}
