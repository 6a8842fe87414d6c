//! `Streaming` over scripts: commands say what they were told to say, ports echo.

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::FakeCri;
use crate::{
    CriError, StreamIo, Streaming,
    api::{AttachRequest, ExecRequest, PodSandboxState},
    streaming::Duplex,
};

fn broken(error: std::io::Error) -> CriError {
    CriError::unknown(format!("client's stream broke: {error}"))
}

#[async_trait]
impl Streaming for FakeCri {
    async fn stream_exec(&self, request: ExecRequest, mut io: StreamIo) -> Result<i32, CriError> {
        let label = self.inner.state.lock().container_label(&request.container_id);
        self.enter("stream_exec", label).await?;
        let script = self.exec_script(&request.container_id, &request.cmd)?;
        let mut output = script.stdout;
        if let (true, Some(mut stdin)) = (script.echo, io.stdin.take()) {
            let mut input = Vec::new();
            stdin.read_to_end(&mut input).await.map_err(broken)?;
            output.splice(0..0, input);
        }
        self.inner.clock.sleep(script.takes).await;
        if let Some(mut stdout) = io.stdout {
            stdout.write_all(&output).await.map_err(broken)?;
            stdout.shutdown().await.map_err(broken)?;
        }
        if let Some(mut stderr) = io.stderr {
            stderr.write_all(&script.stderr).await.map_err(broken)?;
            stderr.shutdown().await.map_err(broken)?;
        }
        Ok(script.exit_code)
    }

    async fn stream_attach(&self, request: AttachRequest, io: StreamIo) -> Result<(), CriError> {
        let label = self.inner.state.lock().container_label(&request.container_id);
        self.enter("stream_attach", label).await?;
        let mut ended = {
            let state = self.inner.state.lock();
            let container = state.container(&request.container_id)?;
            if !container.is_running() {
                return Err(CriError::failed_precondition(format!("container {} does not run", request.container_id)));
            }
            container.ended.subscribe()
        };
        // The container echoes.
        let echo = async {
            if let (Some(mut stdin), Some(mut stdout)) = (io.stdin, io.stdout) {
                tokio::io::copy(&mut stdin, &mut stdout).await.map_err(broken)?;
                stdout.shutdown().await.map_err(broken)?;
                return Ok(());
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            result = echo => result,
            _ended_or_removed = ended.wait_for(|ended| *ended) => Ok(()),
        }
    }

    async fn stream_port_forward(
        &self,
        pod_sandbox_id: &str,
        port: u16,
        connection: Box<dyn Duplex>,
    ) -> Result<(), CriError> {
        let label = self.inner.state.lock().sandbox_label(pod_sandbox_id);
        self.enter("stream_port_forward", format!("{label}:{port}")).await?;
        if self.inner.state.lock().sandbox(pod_sandbox_id)?.status.state != PodSandboxState::SandboxReady as i32 {
            return Err(CriError::failed_precondition(format!("sandbox {pod_sandbox_id} is not ready")));
        }
        let (mut from, mut to) = tokio::io::split(connection);
        tokio::io::copy(&mut from, &mut to).await.map_err(broken)?;
        to.shutdown().await.map_err(broken)
    }
}
