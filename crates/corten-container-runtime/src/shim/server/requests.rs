//! What the shim is asked: containers are made and started, commands run in them, clients attached.

use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio as ProcessStdio},
};

use corten_base::{ErrorChain, fs};
use corten_oci::{
    Container, CreateOptions, ExecError, ExecOptions, StartError, Stdio, Terminal, TerminalSize, spec::Process,
};
use nix::sched::CloneFlags;
use rustix::pipe::PipeFlags;

use super::{Client, Entry, Exec, Failure, Server, complain, ends::Ending, trouble::Trouble};
use crate::shim::{
    PAUSE,
    log::Log,
    output::Sink,
    protocol::{self, Answer, ContainerState, CreateRequest, FailureKind, Request, VERSION, Volume},
};

/// What users are told about a container that did not start: the words that containerd and runc made known, which
/// people and their tools look for.
fn start_message(error: &StartError) -> String {
    let StartError::Failed(failure) = error else { return ErrorChain(error).to_string() };
    let (text, process) = (failure.to_string(), "unable to start container process: ");
    let cause = text.strip_prefix(process).unwrap_or(&text);
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         {process}error during container init: {cause}"
    )
}

impl Server {
    pub(super) fn serve(
        &mut self,
        number: u64,
        request: Request,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Option<(Answer, Option<OwnedFd>)>, Failure> {
        let done = Ok(Some((Answer::Done, None)));
        match request {
            Request::Create(request) => {
                let pid = self.create(request)?;
                Ok(Some((Answer::Created { pid }, None)))
            }
            Request::Start { id } => {
                self.start(&id)?;
                done
            }
            Request::Kill { id, signal, all } => {
                let container = self.entry(&id)?.container.as_ref();
                if let Some(container) = container {
                    container.kill(signal, all).map_err(|error| Failure::other(&error))?;
                }
                done
            }
            Request::Delete { id } => {
                self.delete(&id)?;
                done
            }
            Request::Exec { id, process, streams, terminal } => {
                let streams = protocol::streams(streams, descriptors);
                let started = self.exec(number, &id, &process, streams, terminal)?;
                Ok(Some(started))
            }
            Request::Signal { signal } => {
                for exec in self.execs.values().filter(|exec| exec.connection == number) {
                    exec.process.handle.signal(signal).map_err(|error| Failure::other(&error))?;
                }
                Ok(None)
            }
            Request::Resize { id, rows, columns } => {
                if let Some(terminal) = &self.entry(&id)?.terminal {
                    let size = TerminalSize { rows, columns };
                    terminal.resize(size).map_err(|error| Failure::other(&error))?;
                }
                done
            }
            Request::Attach { id, streams } => {
                let [stdin, stdout, stderr] = protocol::streams(streams, descriptors);
                let entry = self.entry(&id)?;
                if entry.state.exit.is_some() || entry.state.started_at.is_none() {
                    return Err(Failure::not_running(entry.state.exit.is_some()));
                }
                let sink = |stream: Option<OwnedFd>| stream.map(Sink::new).transpose();
                let failed = |_| Failure(FailureKind::Invalid, "a stream that cannot be written".to_owned());
                let outputs = [sink(stdout).map_err(failed)?, sink(stderr).map_err(failed)?];
                let stdin = stdin.filter(|_| entry.input.is_some());
                entry.clients.insert(number, Client { stdin, outputs });
                done
            }
            Request::ReopenLog { id } => {
                self.entry(&id)?.log.reopen().map_err(|error| Failure::other(&error))?;
                done
            }
            Request::Events => {
                self.listeners.push(number);
                done
            }
            Request::PidNamespace => {
                let pid = self.pid_namespace().map_err(|error| Failure::other(&error))?;
                Ok(Some((Answer::Pid { pid }, None)))
            }
            Request::Shutdown => {
                let ids: Vec<String> = self.entries.keys().cloned().collect();
                // All are ended, whatever becomes of one of them.
                let ended: Vec<Result<(), Failure>> = ids.iter().map(|id| self.delete(id)).collect();
                ended.into_iter().collect::<Result<(), Failure>>()?;
                if let Some(mut pause) = self.pause.take() {
                    pause.kill().and_then(|()| pause.wait()).map_err(|error| Failure::other(&error))?;
                }
                self.is_over = true;
                done
            }
        }
    }

    /// Runs this program as the first process of a new PID namespace.
    fn pid_namespace(&mut self) -> std::io::Result<i32> {
        if self.pause.is_none() {
            let own = File::open("/proc/self/ns/pid")?;
            nix::sched::unshare(CloneFlags::CLONE_NEWPID)?;
            // The words that chose the shim come before the pod's directory, the last one.
            let arguments: Vec<_> = std::env::args_os().skip(1).collect();
            let started = Command::new("/proc/self/exe")
                .args(&arguments[..arguments.len().saturating_sub(1)])
                .arg(PAUSE)
                .stdin(ProcessStdio::null())
                .stdout(ProcessStdio::null())
                .spawn();
            // Back, or every later child would go there too.
            nix::sched::setns(&own, CloneFlags::CLONE_NEWPID)?;
            self.pause = Some(started?);
        }
        let pause = self.pause.as_ref().expect("made above");
        Ok(i32::try_from(pause.id()).expect("process numbers fit"))
    }

    fn create(&mut self, request: CreateRequest) -> Result<i32, Failure> {
        if self.entries.contains_key(&request.id) {
            return Err(Failure(FailureKind::Invalid, format!("container {:?} exists", request.id)));
        }
        let text = fs::read(&request.volumes).map_err(|error| Failure::other(&error))?;
        let volumes: Vec<Volume> = serde_json::from_slice(&text).map_err(|error| Failure::other(&error))?;
        let log = Log::open(request.log).map_err(|error| Failure::other(&error))?;
        let mut input = None;
        let mut outputs = [None, None];
        let stdio = if request.terminal {
            Stdio::Terminal(TerminalSize { rows: 24, columns: 80 })
        } else {
            let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| Failure::other(&error));
            let ours = |fd: OwnedFd| {
                rustix::io::ioctl_fionbio(&fd, true).map_err(|error| Failure::other(&error))?;
                Ok(fd)
            };
            let mut stdin = None;
            if request.stdin {
                let (read, write) = pipe()?;
                (stdin, input) = (Some(read), Some(Sink::new(write).map_err(|error| Failure::other(&error))?));
            }
            let (out, err) = (pipe()?, pipe()?);
            outputs = [Some(ours(out.0)?), Some(ours(err.0)?)];
            Stdio::Streams { stdin, stdout: Some(out.1), stderr: Some(err.1) }
        };
        let mut container = Container::create(CreateOptions {
            id: request.id.clone(),
            state_root: self.directory.join("oci"),
            bundle: request.bundle,
            stdio,
            volumes: volumes.into_iter().map(Into::into).collect(),
        })
        .map_err(|error| Failure::other(&error))?;
        let terminal = container.take_terminal();
        if let Some(terminal) = &terminal {
            let copy = || terminal.fd().try_clone().map_err(|error| Failure::other(&error));
            let output = copy()?;
            rustix::io::ioctl_fionbio(&output, true).map_err(|error| Failure::other(&error))?;
            outputs[0] = Some(output);
            if request.stdin {
                input = Some(Sink::new(copy()?).map_err(|error| Failure::other(&error))?);
            }
        }
        let pid = container.pid();
        let entry = Entry {
            container: Some(container),
            ending: Ending::default(),
            directory: request.directory,
            state: ContainerState { version: VERSION, pid, started_at: None, exit: None },
            log,
            log_trouble: Trouble::default(),
            outputs,
            input,
            terminal,
            stdin_once: request.stdin_once,
            clients: BTreeMap::new(),
        };
        entry.record();
        self.entries.insert(request.id, entry);
        Ok(pid)
    }

    fn start(&mut self, id: &str) -> Result<(), Failure> {
        let now = self.now();
        let entry = self.entry(id)?;
        if entry.state.started_at.is_some() || entry.state.exit.is_some() {
            return Err(Failure(FailureKind::Precondition, format!("container {id:?} was started before")));
        }
        let Some(container) = &mut entry.container else { return Err(Failure::not_found(id)) };
        match container.start() {
            // A hook is not part of any container that this runtime makes.
            Ok(()) | Err(StartError::Hook(_)) => {
                entry.state.started_at = Some(now);
                entry.record();
                Ok(())
            }
            Err(error) => {
                let message = start_message(&error);
                entry.ending.start_error = Some(message.clone());
                if let Err(error) = self.end(id) {
                    complain(&format!("end container {id}"), &error);
                }
                Err(Failure(FailureKind::Other, message))
            }
        }
    }

    fn exec(
        &mut self,
        number: u64,
        id: &str,
        process: &Path,
        streams: [Option<OwnedFd>; 3],
        terminal: Option<(u16, u16)>,
    ) -> Result<(Answer, Option<OwnedFd>), Failure> {
        let text = fs::read(process).map_err(|error| Failure::other(&error))?;
        let process: Process = serde_json::from_slice(&text).map_err(|error| Failure::other(&error))?;
        let not_running = || Failure::not_running(true);
        let container = self.entry(id)?.container.as_mut().ok_or_else(not_running)?;
        let [stdin, stdout, stderr] = streams;
        let stdio = match terminal {
            Some((rows, columns)) => Stdio::Terminal(TerminalSize { rows, columns }),
            None => Stdio::Streams { stdin, stdout, stderr },
        };
        let mut process = container.exec(ExecOptions { process, stdio }).map_err(|error| match error {
            ExecError::NotRunning(_) => not_running(),
            other => Failure::other(&other),
        })?;
        let terminal = process.terminal.take().map(Terminal::into_fd);
        let pid = process.handle.pid();
        self.next += 1;
        self.execs.insert(self.next, Exec { process, connection: number });
        Ok((Answer::Started { pid }, terminal))
    }
}

#[cfg(test)]
mod tests {
    use corten_oci::{Stage, StartFailure};
    use nix::errno::Errno;

    use super::*;

    #[track_caller]
    fn check(program: &str, cause: &str) {
        let failure =
            StartFailure { stage: Stage::Exec, errno: Errno::ENOENT, program: program.to_owned(), cwd: "/".to_owned() };
        let want = format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
             unable to start container process: error during container init: {cause}"
        );
        assert_eq!(start_message(&StartError::Failed(failure)), want);
    }

    #[test]
    fn a_program_that_is_not_there_is_told_in_known_words() {
        check("/no/such/command", "exec: \"/no/such/command\": stat /no/such/command: no such file or directory");
        check("nosuch", "exec: \"nosuch\": executable file not found in $PATH");
    }
}
