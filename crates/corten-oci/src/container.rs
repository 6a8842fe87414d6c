//! One container: from a bundle to its removal.
//!
//! create (init is held before `execve`) -> start -> exec, signals, limits -> delete. Everything blocks and must be called by a
//! process with one thread. The caller reaps: its children are init and the execs; what else is forked here is reaped here.

mod error;
mod mount_points;
mod set_up;

use std::{
    fmt,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use corten_base::fs::{self, FsError};
use libcontainer::oci_spec::runtime::{LinuxResources, Process};

pub use self::error::{CreateError, DeleteError, ExecError, StartError};
use self::{
    mount_points::make_mount_points,
    set_up::{furnish, open_stdio},
};
use crate::{
    bundle::{Bundle, BundleError},
    cgroup::{Cgroup, CgroupError, CgroupStats, Hierarchies, Layout},
    channel::{self, Channel, Go},
    creator, device_rules,
    error::During as _,
    exec, hooks,
    last_stage::LastStage,
    process::{ExitStatus, ProcessHandle, wait_for_end},
    record::Record,
    seccomp::Filter,
    stdio::Stdio,
    terminal::Terminal,
    volume_mount::{self, VolumeMount},
};

/// A process that gets SIGKILL is gone within moments; longer means that it hangs in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Names of files in a container's state directory.
const BUNDLE_DIRECTORY: &str = "bundle";
const RUNTIME_DIRECTORY: &str = "runtime";
const PID_FILE: &str = "init.pid";

/// What to create.
#[derive(Debug)]
pub struct CreateOptions {
    /// Its name: letters, digits, `_`, `+`, `-`, `.`.
    pub id: String,
    /// The directory of all containers' state, made for its owner alone; on a tmpfs, because it means nothing after a reboot.
    pub state_root: PathBuf,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// What init reads from and writes to.
    pub stdio: Stdio,
    /// What to mount before the start, in order.
    pub volumes: Vec<VolumeMount>,
}

/// What to execute.
#[derive(Debug)]
pub struct ExecOptions {
    /// Everything about it; nothing is taken from init.
    pub process: Process,
    /// What it reads from and writes to.
    pub stdio: Stdio,
}

/// A process that runs beside init. The caller reaps it.
#[derive(Debug)]
pub struct ExecProcess {
    /// The process.
    pub handle: ProcessHandle,
    /// Its terminal, if it asked for one.
    pub terminal: Option<Terminal>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Init is held before `execve`.
    Created,
    /// Init runs.
    Running,
    /// All its processes are frozen.
    Paused,
    /// Init has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What is known about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// Init's number; meaningless once it is stopped.
    pub pid: i32,
    /// Its bundle.
    pub bundle: PathBuf,
}

/// Init and the streams it shall get, until it has been started.
#[derive(Debug)]
struct Held {
    channel: Channel,
    go: Go,
    stage: Rc<LastStage>,
}

/// A container.
#[derive(Debug)]
pub struct Container {
    record: Record,
    directory: PathBuf,
    cgroup: Cgroup,
    /// `None` if it was gone already when the container was loaded.
    init: Option<ProcessHandle>,
    held: Option<Held>,
    terminal: Option<Terminal>,
    /// Second handles on execs: while one is a zombie, an init that was killed cannot end.
    execs: Vec<ProcessHandle>,
    /// What init and the execs have left behind, of which a deletion waits for the end.
    descendants: Vec<ProcessHandle>,
    /// What a deletion that failed has reaped, for the one that will not.
    ends: Vec<(i32, ExitStatus)>,
    /// For init and every exec.
    filter: Option<Filter>,
}

impl Container {
    /// Builds the container of a bundle up to the point where only its program has to be executed.
    pub fn create(options: CreateOptions) -> Result<Self, CreateError> {
        check_id(&options.id)?;
        let bundle = Bundle::load(&options.bundle)?;
        let hierarchies = Hierarchies::detect()?;
        let cgroup = Cgroup::new(hierarchies.clone(), bundle.cgroups_path());
        let filter = bundle.seccomp().map(Filter::compile).transpose()?;
        let stage = Rc::new(LastStage::prepare(bundle.process(), filter.clone(), bundle.rootfs())?);

        // The environment of processes is in there.
        fs::create_private_dir(&options.state_root)?;
        let directory = options.state_root.join(&options.id);
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(CreateError::Exists(options.id));
            }
            Err(source) => {
                return Err(FsError { operation: "create directory", path: directory, source }.into());
            }
        }
        let mut unfinished = Unfinished { directory: Some(directory.clone()), cgroup: cgroup.clone(), init: None };

        make_mount_points(&bundle, &options.volumes)?;
        let derived = directory.join(BUNDLE_DIRECTORY);
        fs::create_dir_all(&derived)?;
        let config = serde_json::to_vec(&bundle.for_libcontainer(&hierarchies))
            .map_err(|source| BundleError::Parse { path: derived.clone(), source })?;
        fs::write_private(&derived.join("config.json"), &config)?;
        let runtime = directory.join(RUNTIME_DIRECTORY);
        fs::create_dir_all(&runtime)?;

        let (ours, theirs) = channel::pair().during("make channel for init")?;
        let pid = creator::create(creator::Request {
            id: &options.id,
            bundle: &derived,
            root: &runtime,
            pid_file: directory.join(PID_FILE),
            stage: Rc::clone(&stage),
            channel: theirs,
        })
        .map_err(|failure| match failure {
            creator::Failure::System(error) => CreateError::System(error),
            creator::Failure::Runtime(text) => CreateError::Runtime(text),
        })?;
        let init = ProcessHandle::open(pid)?;
        unfinished.init = Some(init.duplicate()?);

        furnish(pid, bundle.process())?;
        if cgroup.layout() == Layout::Unified {
            let resources = bundle.spec().linux().as_ref().and_then(|linux| linux.resources().as_ref());
            let rules = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
            device_rules::attach(&cgroup.unified_directory()?, rules)?;
        }
        volume_mount::mount_all(pid, &options.volumes)?;
        let (go, terminal) = open_stdio(pid, options.stdio, bundle.process())?;

        let record = Record::new(&options.id, bundle.directory(), bundle.cgroups_path(), bundle.seccomp(), pid)?;
        record.write(&directory)?;
        unfinished.directory = None;
        unfinished.init = None;
        Ok(Self {
            record,
            directory,
            cgroup,
            init: Some(init),
            held: Some(Held { channel: ours, go, stage }),
            terminal,
            execs: Vec::new(),
            descendants: Vec::new(),
            ends: Vec::new(),
            filter,
        })
    }

    /// Takes up a container that another process created.
    ///
    /// It can be inspected, signalled, changed and deleted, and processes can be executed in it; only its creator can start it.
    pub fn load(state_root: &Path, id: &str) -> Result<Self, CreateError> {
        check_id(id)?;
        let directory = state_root.join(id);
        let record = Record::read(&directory, id)?;
        let cgroup = Cgroup::new(Hierarchies::detect()?, &record.cgroups_path);
        // The handle first, the check second: then the handle cannot mean a later process.
        let handle = ProcessHandle::open(record.pid).ok();
        let init = if record.is_alive()? { handle } else { None };
        let filter = record.seccomp.as_ref().map(Filter::compile).transpose()?;
        Ok(Self {
            record,
            directory,
            cgroup,
            init,
            held: None,
            terminal: None,
            execs: Vec::new(),
            descendants: Vec::new(),
            ends: Vec::new(),
            filter,
        })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Init's number, in this process's PID namespace.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.record.pid
    }

    /// Init; `None` if it was gone already when the container was loaded.
    #[must_use]
    pub fn init(&self) -> Option<&ProcessHandle> {
        self.init.as_ref()
    }

    /// The shim's side of init's terminal; it is given away once.
    pub fn take_terminal(&mut self) -> Option<Terminal> {
        self.terminal.take()
    }

    /// Its control groups: limits, numbers, out-of-memory kills.
    #[must_use]
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Where it is in its life.
    pub fn status(&self) -> Result<Status, CgroupError> {
        let Some(init) = &self.init else { return Ok(Status::Stopped) };
        if init.has_ended()? {
            Ok(Status::Stopped)
        } else if self.cgroup.is_frozen()? {
            Ok(Status::Paused)
        } else if self.record.started {
            Ok(Status::Running)
        } else {
            Ok(Status::Created)
        }
    }

    /// What is known about it.
    pub fn state(&self) -> Result<State, CgroupError> {
        Ok(State {
            id: self.record.id.clone(),
            status: self.status()?,
            pid: self.record.pid,
            bundle: self.record.bundle.clone(),
        })
    }

    /// Lets init execute its program; returns when it runs.
    ///
    /// On [`StartError::Failed`] init ends with the failure's exit code and waits to be reaped, as any init does.
    pub fn start(&mut self) -> Result<(), StartError> {
        let Some(held) = self.held.take() else {
            return Err(StartError::NotHeld(if self.record.started { Status::Running } else { Status::Stopped }));
        };
        // The streams first: they wait in the socket until libcontainer's code in init has heard its own signal.
        held.channel.send_go(&held.go).during("send streams to init")?;
        drop(held.go);
        let state = self.runtime_state();
        libcontainer::notify_socket::NotifySocket::new(state.join(libcontainer::notify_socket::NOTIFY_FILE))
            .notify_container_start()
            .map_err(|error| StartError::Notify(crate::error::chain(&error)))?;
        let outcome = held.channel.receive_outcome().during("wait for init")?;
        self.record.started = true;
        self.record.write(&self.directory)?;
        if let Some((stage, errno)) = outcome {
            return Err(StartError::Failed(held.stage.failure(stage, errno)));
        }
        hooks::run(hooks::Kind::PostStart, &state)?;
        Ok(())
    }

    fn runtime_state(&self) -> PathBuf {
        self.directory.join(RUNTIME_DIRECTORY).join(&self.record.id)
    }

    /// Sends a signal to init, or to all processes of the container. What has ended is no error.
    pub fn kill(&self, signal: i32, all: bool) -> Result<(), CgroupError> {
        if all {
            // Init is among them.
            self.cgroup.signal_all(signal)?;
        } else if let Some(init) = &self.init {
            init.signal(signal)?;
        }
        Ok(())
    }

    /// Stops all processes where they are.
    pub fn pause(&self) -> Result<(), CgroupError> {
        self.cgroup.freeze()
    }

    /// Lets them go on.
    pub fn resume(&self) -> Result<(), CgroupError> {
        self.cgroup.thaw()
    }

    /// Changes limits in place; what `resources` leaves out stays.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.cgroup.update(resources)
    }

    /// Numbers of the moment.
    pub fn stats(&self) -> Result<CgroupStats, CgroupError> {
        self.cgroup.stats()
    }

    /// Executes a further process in the container; returns when its program runs.
    pub fn exec(&mut self, options: ExecOptions) -> Result<ExecProcess, ExecError> {
        let status = self.status()?;
        let Some(init) = self.init.as_ref().filter(|_| status == Status::Running) else {
            return Err(ExecError::NotRunning(status));
        };
        let init_pid = init.pid();
        let root = PathBuf::from(format!("/proc/{init_pid}/root"));
        let stage = Rc::new(LastStage::prepare(&options.process, self.filter.clone(), &root)?);
        let waiting = exec::fork_into(init_pid, init.pidfd(), &stage).map_err(|failure| match failure {
            exec::Failure::System(error) => ExecError::System(error),
            exec::Failure::Stage(at, errno) => ExecError::Failed(stage.failure(at, errno)),
        })?;
        match self.let_go(init_pid, &waiting, options, &stage) {
            Ok((process, known)) => {
                // One that has ended but waits to be reaped must stay known: it would hold up init's end.
                self.execs.retain(|exec| !exec.is_reaped());
                self.execs.push(known);
                Ok(process)
            }
            Err(error) => {
                exec::abandon(waiting.pid);
                Err(error)
            }
        }
    }

    /// Furnishes the waiting process from outside and gives it the word. Returns a second handle as well: made before, since
    /// nothing may fail once the program runs.
    fn let_go(
        &self,
        init: libc::pid_t,
        waiting: &exec::Waiting,
        options: ExecOptions,
        stage: &LastStage,
    ) -> Result<(ExecProcess, ProcessHandle), ExecError> {
        let handle = ProcessHandle::open(waiting.pid)?;
        let known = handle.duplicate()?;
        self.cgroup.join(waiting.pid, init)?;
        furnish(waiting.pid, &options.process)?;
        let (go, terminal) = open_stdio(init, options.stdio, &options.process)?;
        waiting.channel.send_go(&go).during("send streams to exec")?;
        drop(go);
        match waiting.channel.receive_outcome().during("wait for exec")? {
            None => Ok((ExecProcess { handle, terminal }, known)),
            Some((at, errno)) => Err(ExecError::Failed(stage.failure(at, errno))),
        }
    }

    /// Removes the container with all that belongs to it. `force` kills one that still runs; one that was never started is
    /// always killed.
    ///
    /// Returns the exit status of each process that was reaped here: those the caller had not reaped yet.
    pub fn delete(mut self, force: bool) -> Result<Vec<(i32, ExitStatus)>, DeleteError> {
        self.delete_within(force, KILL_PATIENCE)
    }

    /// Like `delete`, for a caller that keeps the container when that fails, and tries again: a process may outlive SIGKILL
    /// by more than `patience` (it hangs in the kernel). After success nothing is left to call anything on.
    pub fn delete_within(&mut self, force: bool, patience: Duration) -> Result<Vec<(i32, ExitStatus)>, DeleteError> {
        let status = self.status()?;
        if !force && matches!(status, Status::Running | Status::Paused) {
            return Err(DeleteError::Running(status));
        }
        // Init would wait for its start no longer, but nobody is to run the program now.
        self.held = None;
        if let Some(init) = &self.init {
            init.signal(libc::SIGKILL)?;
        }
        self.cgroup.kill_all()?;
        // Execs before init: the kernel ends the init of a PID namespace after all others have been reaped.
        for process in self.execs.iter().chain(&self.init) {
            if !wait_for_end(process.pidfd(), patience)? {
                return Err(DeleteError::Unkillable(process.pid()));
            }
            self.ends.extend(process.wait()?.map(|exit| (process.pid(), exit)));
        }
        // What they left behind: not our children, unless nobody else is there to be their parent.
        self.descendants = self.cgroup.kill_all()?;
        for process in &self.descendants {
            if !wait_for_end(process.pidfd(), patience)? {
                return Err(DeleteError::Unkillable(process.pid()));
            }
        }
        self.cgroup.remove_directories()?;
        let hooked = hooks::run(hooks::Kind::PostStop, &self.runtime_state());
        remove_directory(&self.directory)?;
        hooked?;
        Ok(std::mem::take(&mut self.ends))
    }

    /// One of the processes that `delete` waits for, by its number.
    #[must_use]
    pub fn process(&self, pid: i32) -> Option<&ProcessHandle> {
        self.execs.iter().chain(&self.init).chain(&self.descendants).find(|process| process.pid() == pid)
    }
}

/// Takes away what is left of a container whose shim died in the middle of creating or deleting it, so that it cannot be
/// loaded: its processes, control groups and state.
///
/// `cgroups_path` is that of its bundle. Nothing to take away is no error.
pub fn sweep(state_root: &Path, id: &str, cgroups_path: &Path) -> Result<(), DeleteError> {
    if check_id(id).is_err() {
        return Ok(());
    }
    Cgroup::new(Hierarchies::detect()?, cgroups_path).remove()?;
    remove_directory(&state_root.join(id))?;
    Ok(())
}

/// Takes away what a creation that fails has made so far.
struct Unfinished {
    /// `None` once the creation has succeeded.
    directory: Option<PathBuf>,
    cgroup: Cgroup,
    init: Option<ProcessHandle>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(directory) = self.directory.take() else { return };
        // The creation's own error is the one to report; what cannot be removed now will be found by the caller's next sweep.
        if let Some(init) = self.init.take() {
            let _ = init.signal(libc::SIGKILL);
            let _ = init.wait();
        }
        let _ = self.cgroup.remove();
        let _ = remove_directory(&directory);
    }
}

fn remove_directory(directory: &Path) -> Result<(), FsError> {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FsError { operation: "remove", path: directory.to_owned(), source }),
    }
}

fn check_id(id: &str) -> Result<(), CreateError> {
    let is_name = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte));
    if is_name && !id.is_empty() && id != "." && id != ".." {
        Ok(())
    } else {
        Err(CreateError::InvalidId(id.to_owned()))
    }
}
