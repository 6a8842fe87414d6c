//! What can go wrong, in the words and exit codes that users of OCI runtimes know.

use nix::errno::Errno;

/// A failed call to the operating system.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}")]
pub struct SystemError {
    /// What was tried, as a verb phrase with its object.
    pub operation: String,
    /// What the kernel said.
    #[source]
    pub source: Errno,
}

/// Gives a kernel's answer the operation it belongs to.
pub(crate) trait During<T> {
    /// Names what was tried.
    fn during(self, operation: impl Into<String>) -> Result<T, SystemError>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, operation: impl Into<String>) -> Result<T, SystemError> {
        self.map_err(|source| SystemError { operation: operation.into(), source })
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, operation: impl Into<String>) -> Result<T, SystemError> {
        self.map_err(|error| SystemError { operation: operation.into(), source: errno(&error) })
    }
}

/// The kernel's number in an I/O error; EIO for those that never reached the kernel.
pub(crate) fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Where a process that was to become a container's program stopped.
///
/// The numbers travel between processes of the same binary only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Waiting for the word to start.
    Handshake = 1,
    /// Joining the namespaces of a running container.
    Namespaces,
    /// Making the second process of an exec.
    Fork,
    /// Making the terminal the controlling one, or putting it on /dev/console.
    Terminal,
    /// Putting standard input, output and error in place.
    Stdio,
    /// Dropping capabilities from the bounding set.
    BoundingSet,
    /// Setting the supplementary groups.
    Groups,
    /// Changing the group.
    Gid,
    /// Changing the user.
    Uid,
    /// Setting the capability sets.
    Capabilities,
    /// Changing into the working directory.
    WorkingDirectory,
    /// Giving up new privileges.
    NoNewPrivileges,
    /// Setting the AppArmor profile.
    Apparmor,
    /// Loading the seccomp filter.
    Seccomp,
    /// Replacing the process with the program.
    Exec,
}

impl Stage {
    const ALL: [Self; 15] = [
        Self::Handshake,
        Self::Namespaces,
        Self::Fork,
        Self::Terminal,
        Self::Stdio,
        Self::BoundingSet,
        Self::Groups,
        Self::Gid,
        Self::Uid,
        Self::Capabilities,
        Self::WorkingDirectory,
        Self::NoNewPrivileges,
        Self::Apparmor,
        Self::Seccomp,
        Self::Exec,
    ];

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == number)
    }

    fn action(self) -> &'static str {
        match self {
            Self::Handshake => "wait for start",
            Self::Namespaces => "join namespaces",
            Self::Fork => "fork",
            Self::Terminal => "set up terminal",
            Self::Stdio => "set up standard streams",
            Self::BoundingSet => "drop bounding capabilities",
            Self::Groups => "set groups",
            Self::Gid => "set gid",
            Self::Uid => "set uid",
            Self::Capabilities => "set capabilities",
            Self::WorkingDirectory => "chdir",
            Self::NoNewPrivileges => "set no_new_privs",
            Self::Apparmor => "set apparmor profile",
            Self::Seccomp => "load seccomp filter",
            Self::Exec => "exec",
        }
    }
}

/// A program that did not start. Its text is what runc's users know, from "unable to start container process" on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// Where it stopped.
    pub stage: Stage,
    /// Why.
    pub errno: Errno,
    /// The program as the bundle names it.
    pub program: String,
    /// The working directory as the bundle names it.
    pub cwd: String,
}

impl StartFailure {
    /// The exit code that a shell would give and that Kubernetes shows: 127 not found, 126 not executable, 128 anything else.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        exit_code(self.stage, self.errno)
    }
}

/// See [`StartFailure::exit_code`].
pub(crate) fn exit_code(stage: Stage, errno: Errno) -> i32 {
    match (stage, errno) {
        (Stage::Exec, Errno::ENOENT | Errno::ENOTDIR) => 127,
        (Stage::Exec, Errno::EACCES | Errno::ENOEXEC | Errno::EISDIR | Errno::EPERM) => 126,
        _ => 128,
    }
}

impl std::fmt::Display for StartFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stage, errno, program, cwd } = self;
        f.write_str("unable to start container process: ")?;
        match (stage, errno) {
            (Stage::Exec, Errno::ENOENT) if !program.contains('/') => {
                write!(f, "exec: {program:?}: executable file not found in $PATH")
            }
            (Stage::Exec, Errno::ENOENT) => write!(f, "exec: {program:?}: stat {program}: no such file or directory"),
            (Stage::Exec, Errno::ENOEXEC) => write!(f, "exec {program}: exec format error"),
            (Stage::Exec, errno) => write!(f, "exec: {program:?}: {}", text(*errno)),
            (Stage::WorkingDirectory, errno) => {
                write!(f, "chdir to cwd ({cwd:?}) set in config.json failed: {}", text(*errno))
            }
            (stage, errno) => write!(f, "{}: {}", stage.action(), text(*errno)),
        }
    }
}

impl std::error::Error for StartFailure {}

/// The kernel's words in lower case, as the original prints them.
fn text(errno: Errno) -> String {
    let mut text = errno.desc().to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

/// A chain of errors in one line, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    corten_base::ErrorChain(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stage: Stage, errno: Errno, program: &str, code: i32, message: &str) {
        let failure = StartFailure { stage, errno, program: program.to_owned(), cwd: "/data".to_owned() };
        assert_eq!(failure.exit_code(), code);
        assert_eq!(failure.to_string(), format!("unable to start container process: {message}"));
    }

    #[test]
    fn failures_read_as_users_know_them() {
        check(Stage::Exec, Errno::ENOENT, "foo", 127, "exec: \"foo\": executable file not found in $PATH");
        check(Stage::Exec, Errno::ENOENT, "/foo", 127, "exec: \"/foo\": stat /foo: no such file or directory");
        check(Stage::Exec, Errno::EACCES, "/foo", 126, "exec: \"/foo\": permission denied");
        check(Stage::Exec, Errno::ENOEXEC, "/foo", 126, "exec /foo: exec format error");
        let cwd = "chdir to cwd (\"/data\") set in config.json failed: no such file or directory";
        check(Stage::WorkingDirectory, Errno::ENOENT, "foo", 128, cwd);
        check(Stage::Seccomp, Errno::EINVAL, "foo", 128, "load seccomp filter: invalid argument");
    }

    #[test]
    fn stages_survive_the_wire() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_number(stage as u8), Some(stage));
        }
        assert_eq!(Stage::from_number(0), None);
    }
}
