//! A control plane that a user without root runs, and root's commands about it: the user may have put anything there.

use std::{
    os::unix::{
        fs::{PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Machine, eventually, in_sandbox};

/// Nobody's number, on every system.
const USER: u32 = 65_534;
const ROOT: &str = "/run/theirs";

/// When a process was started: field 22 of proc(5), which begins to count before the name in parentheses.
fn start_time(pid: u32) -> anyhow::Result<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("the name ends")?;
    Ok(fields.split(' ').nth(19).context("it has a start")?.to_owned())
}

/// Root's `down` ended whatever process the user had written into the lock file, its `delete` wrote where the user's links led,
/// and its `up` left things in the user's directory.
#[test]
fn root_does_to_a_users_control_plane_what_the_user_may() {
    in_sandbox("users::root_does_to_a_users_control_plane_what_the_user_may", || {
        let machine = Machine::here()?;
        std::fs::create_dir(ROOT)?;
        chown(ROOT, Some(USER), Some(USER))?;
        // Where the user can reach it.
        let binary = "/run/corten-binary";
        std::fs::copy(std::env::var_os("CORTEN_BIN").context("CORTEN_BIN is not set")?, binary)?;
        let said = std::fs::File::create("/run/server.out")?;
        let mut server = Command::new(binary)
            .args(["server", "--root", ROOT, "--listen", "127.0.0.1:7443"])
            .uid(USER)
            .gid(USER)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        eventually("the control plane runs", || {
            let status = machine.try_corten(&["status", "--root", ROOT])?;
            ensure!(status.success, "{status:?}: {}", std::fs::read_to_string("/run/server.out")?);
            Ok(())
        })?;
        let refused = machine.try_corten(&["up", "--detach", "--root", ROOT])?;
        ensure!(!refused.success && refused.err.contains("belongs to user 65534"), "{refused:?}");
        ensure!(!Path::new(ROOT).join("log").exists(), "`up` made something");

        let mut victim = Command::new("sleep").arg("600").spawn()?;
        let words = format!("{}\n{}\nserve\n", victim.id(), start_time(victim.id())?);
        std::fs::write(Path::new(ROOT).join("corten.pid"), words)?;
        machine.corten(&["down", "--root", ROOT])?;
        ensure!(victim.try_wait()?.is_none(), "another process was ended");
        ensure!(server.wait()?.success(), "{}", std::fs::read_to_string("/run/server.out")?);
        victim.kill()?;
        victim.wait()?;

        let (theirs, link) = (Path::new("/run/precious"), Path::new(ROOT).join("run"));
        std::fs::create_dir(theirs)?;
        std::fs::set_permissions(theirs, std::fs::Permissions::from_mode(0o755))?;
        symlink(theirs, &link)?;
        lchown(&link, Some(USER), Some(USER))?;
        let failed = machine.try_corten(&["delete", "--root", ROOT])?;
        ensure!(!failed.success, "{failed:?}");
        ensure!(theirs.metadata()?.permissions().mode() & 0o777 == 0o755, "its mode was changed");
        ensure!(std::fs::read_dir(theirs)?.count() == 0, "something was written there");
        std::fs::remove_file(&link)?;
        machine.corten(&["delete", "--root", ROOT])?;
        ensure!(std::fs::read_dir(ROOT)?.count() == 0, "something is left");
        Ok(())
    });
}
