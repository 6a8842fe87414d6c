//! How containers and commands end: all of their processes are reaped, and everybody is told.

use std::{os::fd::BorrowedFd, time::Duration};

use corten_cri::log_format::LogStream;
use corten_oci::{DeleteError, ExitStatus, ProcessHandle};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{Entry, Failure, Server, Token, complain};
use crate::shim::protocol::{Answer, Exit};

/// The exit code of a container whose program did not start. Upstream: containerd's `errorStartExitCode`.
const NOT_STARTED: i32 = 128;

/// How long a process may take to die of SIGKILL before the shim goes on with other work.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// A container that is on its way to its end. As long as one of its processes outlives SIGKILL (it hangs in the kernel) the
/// container has not ended: another one in its place would run beside it.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The process that does not die.
    stuck: Option<i32>,
    /// How init ended, if that was earlier.
    status: Option<ExitStatus>,
    pub(super) start_error: Option<String>,
}

impl Server {
    /// A process that a container's end waits for has ended.
    pub(super) fn ended(&mut self, id: &str) {
        // Another process may take its time: its own end is heard, too.
        if let Err(error) = self.try_end(id)
            && !matches!(error, DeleteError::Unkillable(_))
        {
            complain(&format!("end container {id}"), &error);
        }
    }

    /// Ends a container, and waits for it. Meanwhile others are reaped: the kernel ends the init of a PID namespace only
    /// after all that live in it, and those may be other containers.
    ///
    /// Errors: a process outlives SIGKILL by `KILL_PATIENCE`.
    pub(super) fn end(&mut self, id: &str) -> Result<(), DeleteError> {
        let deadline = self.clock.monotonic() + KILL_PATIENCE;
        loop {
            match self.try_end(id) {
                Err(DeleteError::Unkillable(_)) if self.reap_others(deadline) => {}
                ended => return ended,
            }
        }
    }

    /// Waits for the end of any process, and takes it in. `false`: none has ended until `deadline`.
    fn reap_others(&mut self, deadline: Duration) -> bool {
        let mut set: Vec<(Token, BorrowedFd<'_>)> = Vec::new();
        for (number, exec) in &self.execs {
            set.push((Token::Exec(*number), exec.process.handle.pidfd()));
        }
        for (id, entry) in &self.entries {
            set.extend(entry.awaited().map(|process| (Token::Init(id.clone()), process.pidfd())));
        }
        let left = deadline.saturating_sub(self.clock.monotonic());
        let mut fds: Vec<PollFd<'_>> = set.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return false,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                complain("wait for processes", &errno);
                return false;
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let tokens: Vec<Token> = set.into_iter().map(|(token, _)| token).collect();
        for (token, _) in tokens.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            match token {
                Token::Exec(number) => self.exec_ended(number),
                Token::Init(id) => self.ended(&id),
                _ => unreachable!("only processes are in the set"),
            }
        }
        true
    }

    /// Takes the exit status of a container, removes what it leaves in the kernel, and tells everybody. Does not wait.
    ///
    /// Errors: a process has not died yet. Then the container runs on, for all that anybody is told, and this is to be called
    /// again when that process has ended.
    fn try_end(&mut self, id: &str) -> Result<(), DeleteError> {
        let finished_at = self.now();
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        let Some(container) = &mut entry.container else { return Ok(()) };
        let oom_kills = container.cgroup().oom_kills();
        let mut oom_killed = oom_kills.unwrap_or_else(|error| {
            complain(&format!("count out-of-memory kills of container {id}"), &error);
            0
        }) > 0;
        let pid = container.pid();
        // One that has been reaped here is not returned by the deletion; one that runs must not be waited for.
        if let Some(init) = container.init() {
            let ended = init.has_ended().and_then(|ended| if ended { init.wait() } else { Ok(None) });
            let status = ended.unwrap_or_else(|error| {
                complain(&format!("reap container {id}"), &error);
                None
            });
            entry.ending.status = entry.ending.status.or(status);
        }
        let deleted = container.delete_within(true, Duration::ZERO);
        if let Err(DeleteError::Unkillable(stuck)) = &deleted {
            entry.ending.stuck = Some(*stuck);
            return deleted.map(drop);
        }
        entry.container = None;
        let Ending { mut status, start_error, .. } = std::mem::take(&mut entry.ending);
        match deleted {
            Ok(ends) => {
                for (ended, exit) in ends {
                    if ended == pid {
                        status = status.or(Some(exit));
                    } else {
                        self.exec_reaped(ended, exit);
                    }
                }
            }
            Err(error) => complain(&format!("delete container {id}"), &error),
        }
        // The last words, now that nobody is left to add to them.
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            self.last_output(id, stream);
        }
        let time = self.clock.now();
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        let written = entry.log.finish(time);
        entry.logged(id, written, self.clock.monotonic());
        let code = match (&start_error, status) {
            // Whatever init ended with: its program never ran.
            (Some(_), _) => NOT_STARTED,
            (None, Some(status)) => status.code(),
            (None, None) => 255,
        };
        // The kernel counts kills of the group; a container that went on and ended well was not killed.
        oom_killed &= code == 137;
        entry.input = None;
        entry.terminal = None;
        entry.state.exit = Some(Exit { code, finished_at, oom_killed, start_error });
        entry.record();
        let clients: Vec<u64> = entry.clients.keys().copied().collect();
        for client in clients {
            self.hang_up(client);
        }
        for listener in self.listeners.clone() {
            self.answer(listener, &Answer::Ended { id: id.to_owned() }, None);
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, id: &str) -> Result<(), Failure> {
        if self.entry(id)?.container.is_some() {
            self.end(id).map_err(|error| Failure::other(&error))?;
        }
        self.entries.remove(id);
        Ok(())
    }

    pub(super) fn exec_ended(&mut self, number: u64) {
        let Some(exec) = self.execs.remove(&number) else { return };
        let status = exec.process.handle.wait().unwrap_or_else(|error| {
            complain("reap exec", &error);
            None
        });
        let code = status.map_or(255, ExitStatus::code);
        self.answer(exec.connection, &Answer::Exited { code }, None);
    }

    /// An exec that was reaped together with its container.
    fn exec_reaped(&mut self, pid: i32, exit: ExitStatus) {
        let found = self.execs.iter().find(|(_, exec)| exec.process.handle.pid() == pid).map(|(number, _)| *number);
        if let Some(exec) = found.and_then(|number| self.execs.remove(&number)) {
            self.answer(exec.connection, &Answer::Exited { code: exit.code() }, None);
        }
    }
}

impl Entry {
    /// The process whose end is the next step to the container's.
    pub(super) fn awaited(&self) -> Option<&ProcessHandle> {
        let container = self.container.as_ref().filter(|_| self.state.exit.is_none())?;
        match self.ending.stuck {
            Some(pid) => container.process(pid),
            None => container.init(),
        }
    }
}
