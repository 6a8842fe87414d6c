//! Commands in containers: exec, attach, and run, which collects the output.
//!
//! Upstream: pkg/kubelet/server/server.go, k8s.io/kubelet/pkg/cri/streaming/remotecommand (v1.35).

use std::{sync::Arc, time::Duration};

use corten_base::timeout;
use corten_cri::{CriError, StreamIo, Streaming, StreamingAccess, TerminalSize, api};
use corten_streaming::{
    negotiate,
    remote_command::{self, Session, Size, Streams, Wants},
    status::Outcome,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

use super::{
    LINGER, STREAMS_TIMEOUT, Shared,
    answer::{Answer, refuse, switch, text},
    idle::{Activity, Watched},
    proxy,
    query::Query,
};
use crate::interfaces::{Failure, NO_CONTAINER};

/// What is begun in a container with the client's streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    /// A command of its own.
    Exec,
    /// The streams of what runs there.
    Attach,
}

/// Begins something with the client's streams.
pub(super) async fn begin(
    shared: &Shared,
    verb: Verb,
    [namespace, pod, container]: [&str; 3],
    request: Request<Incoming>,
) -> Response<Answer> {
    let query = Query::of(&request);
    let (wants, container_id) = match prepare(shared, verb, [namespace, pod, container], &query).await {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let Wants { tty, stdin, stdout, stderr } = wants;
    let command = match verb {
        Verb::Exec => {
            let cmd = query.all("command").map(str::to_owned).collect();
            Command::Exec(api::ExecRequest { container_id, cmd, tty, stdin, stdout, stderr })
        }
        Verb::Attach => Command::Attach(api::AttachRequest { container_id, stdin, tty, stdout, stderr }),
    };
    let runtime = &shared.parts.cri.runtime;
    let url = match (&shared.parts.cri.streaming, command) {
        (StreamingAccess::Direct(streaming), command) => {
            return connect(shared, command, wants, Arc::clone(streaming), request);
        }
        (StreamingAccess::Url, Command::Exec(exec)) => runtime.exec(exec).await.map(|answer| answer.url),
        (StreamingAccess::Url, Command::Attach(attach)) => runtime.attach(attach).await.map(|answer| answer.url),
    };
    match url {
        Ok(url) => proxy::to_url(shared, &url, request).await,
        Err(error) => failed(&error),
    }
}

/// Runs a command and answers with what it wrote.
pub(super) async fn run(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    container: &str,
    request: &Request<Incoming>,
) -> Response<Answer> {
    let container_id = match find(shared, namespace, pod, container).await {
        Ok(id) => id,
        Err(failure) => return refused(&failure),
    };
    let query = Query::of(request);
    let cmd = query.find("cmd").unwrap_or_default().split(' ').map(str::to_owned).collect();
    let exec = api::ExecSyncRequest { container_id, cmd, timeout: 0 };
    match shared.parts.cri.runtime.exec_sync(exec).await {
        Ok(answer) if answer.exit_code == 0 => text(StatusCode::OK, [answer.stdout, answer.stderr].concat()),
        Ok(answer) => {
            let message =
                format!("command '{}' exited with {}", query.find("cmd").unwrap_or_default(), answer.exit_code);
            text(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
        Err(error) => failed(&error),
    }
}

enum Command {
    Exec(api::ExecRequest),
    Attach(api::AttachRequest),
}

async fn prepare(
    shared: &Shared,
    verb: Verb,
    [namespace, pod, container]: [&str; 3],
    query: &Query,
) -> Result<(Wants, String), Box<Response<Answer>>> {
    let tty = query.is_one("tty");
    let wants = Wants {
        stdin: query.is_one("input"),
        stdout: query.is_one("output"),
        // A terminal has one stream for both.
        stderr: query.is_one("error") && !tty,
        tty,
    };
    if !(wants.stdin || wants.stdout || wants.stderr) {
        let message = "you must specify at least 1 of stdin, stdout, stderr";
        return Err(Box::new(text(StatusCode::BAD_REQUEST, message)));
    }
    match find(shared, namespace, pod, container).await {
        Ok(id) => Ok((wants, id)),
        Err(mut failure) => {
            if failure.reason == NO_CONTAINER && matches!(verb, Verb::Attach) {
                // Upstream's `GetAttach` has words of its own.
                failure.message = format!("container {container} not found in pod {pod}_{namespace}");
            }
            Err(Box::new(refused(&failure)))
        }
    }
}

async fn find(shared: &Shared, namespace: &str, pod: &str, container: &str) -> Result<String, Failure> {
    if shared.parts.pods.get(namespace, pod).is_none() {
        return Err(Failure::new("NotFound", "pod does not exist"));
    }
    shared.parts.pods.running_container(namespace, pod, container).await
}

/// The answer for what `Pods` does not have.
pub(super) fn refused(failure: &Failure) -> Response<Answer> {
    let code = match failure.reason.as_str() {
        "NotFound" => StatusCode::NOT_FOUND,
        "BadRequest" => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    text(code, failure.message.clone())
}

fn failed(error: &CriError) -> Response<Answer> {
    text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn connect(
    shared: &Shared,
    command: Command,
    wants: Wants,
    streaming: Arc<dyn Streaming>,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    let negotiated = match negotiate::negotiate(request.headers(), negotiate::REMOTE_COMMAND) {
        Ok(negotiated) => negotiated,
        Err(refusal) => return refuse(refusal),
    };
    let headers = negotiated.headers.clone();
    let upgrade = hyper::upgrade::on(&mut request);
    let task = shared.clone();
    shared.tasks.spawn("command", async move {
        let Some((io, activity)) = switched(upgrade, &task).await else { return };
        let clock = &task.parts.clock;
        let (opening, driver) = remote_command::start(Box::new(io), &negotiated, wants, Arc::clone(clock)).await;
        let work = async {
            match timeout(&**clock, STREAMS_TIMEOUT, opening.streams()).await {
                Ok(Ok((session, sizes))) => serve(&*streaming, command, session, sizes).await,
                Ok(Err(error)) => tracing::debug!(err = %error, "Client did not open its streams"),
                Err(_) => tracing::debug!("Client took too long to open its streams"),
            }
        };
        drive(&task, &activity, driver, work).await;
    });
    switch(headers)
}

/// The connection that a client has switched to another protocol, from now on watched for silence. `None`: the client has
/// left.
pub(super) async fn switched(
    upgrade: hyper::upgrade::OnUpgrade,
    shared: &Shared,
) -> Option<(Watched<TokioIo<hyper::upgrade::Upgraded>>, Activity)> {
    match upgrade.await {
        Ok(upgraded) => {
            let activity = Activity::new(Arc::clone(&shared.parts.clock));
            Some((Watched::new(TokioIo::new(upgraded), activity.clone()), activity))
        }
        Err(error) => {
            tracing::debug!(err = %error, "Client left before its connection was switched");
            None
        }
    }
}

/// Does `work` while the connection is driven, and gives the client a moment to close its side. A connection that was
/// silent for too long is hung up.
pub(super) async fn drive(
    shared: &Shared,
    activity: &Activity,
    driver: corten_streaming::Driver,
    work: impl Future<Output = ()>,
) {
    let mut driver = driver;
    tokio::pin!(work);
    let is_done = tokio::select! {
        biased;
        () = &mut work => true,
        () = &mut driver => false,
        () = shared.shutdown.requested() => return,
        () = activity.over() => return tracing::info!("Hung up a stream that nobody used"),
    };
    let clock = &*shared.parts.clock;
    // Whoever is too slow here is cut off: that is the purpose of the deadline.
    let _slow = if is_done {
        timeout(clock, LINGER, driver).await
    } else {
        // The client is gone; the work sees it and ends by itself.
        timeout(clock, Duration::from_secs(1), work).await
    };
}

async fn serve(streaming: &dyn Streaming, command: Command, session: Session, sizes: corten_streaming::Driver) {
    let Session { streams, end } = session;
    let Streams { stdin, stdout, stderr, resize } = streams;
    let (to_runtime, from_client) = mpsc::channel(corten_cri::streaming::RESIZE_BUFFER);
    let io = StreamIo {
        stdin: stdin.map(|stdin| stdin as corten_cri::streaming::Input),
        stdout: stdout.map(|stdout| Box::new(stdout) as corten_cri::streaming::Output),
        stderr: stderr.map(|stderr| Box::new(stderr) as corten_cri::streaming::Output),
        resize: from_client,
    };
    let closed = end.closed();
    let outcome = tokio::select! {
        biased;
        outcome = run_command(streaming, command, io) => outcome,
        // Dropping the call hangs up.
        () = closed.cancelled() => return,
        () = resizing(sizes, resize, to_runtime) => unreachable!("sizes are waited for until the command ends"),
    };
    end.finish(&outcome).await;
}

/// Hands the client's sizes on; does not complete.
async fn resizing(
    sizes: corten_streaming::Driver,
    mut resize: mpsc::Receiver<Size>,
    to_runtime: mpsc::Sender<TerminalSize>,
) {
    let hand_on = async move {
        while let Some(Size { width, height }) = resize.recv().await {
            // A runtime that asks for no sizes: the rest is dropped.
            let _unwanted = to_runtime.send(TerminalSize { width, height }).await;
        }
    };
    tokio::join!(sizes, hand_on);
    std::future::pending().await
}

async fn run_command(streaming: &dyn Streaming, command: Command, io: StreamIo) -> Outcome {
    match command {
        Command::Exec(request) => {
            let shown = format!("[{}]", request.cmd.join(" "));
            match streaming.stream_exec(request, io).await {
                Ok(0) => Outcome::Success,
                Ok(code) => {
                    Outcome::ExitCode { code, message: format!("error executing command {shown}, exit code {code}") }
                }
                Err(error) => Outcome::Error(format!("error executing command in container: {error}")),
            }
        }
        Command::Attach(request) => match streaming.stream_attach(request, io).await {
            Ok(()) => Outcome::Success,
            Err(error) => Outcome::Error(format!("error attaching to container: {error}")),
        },
    }
}
