//! `health`: asks a worker's admin port, for container probes in an image without a context.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use clap::Args;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

use super::{CliContext, ExitCode};
use crate::config::{AdminConfig, Flags};

/// The whole exchange. Kubernetes gives a probe one second unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The answer is a word, a short list of parts, or the metrics; more is not read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Arguments of `health`.
#[derive(Args)]
pub struct HealthArgs {
    /// Ask whether it is ready to work (/readyz), not only alive (/livez)
    #[arg(long)]
    pub ready: bool,
    /// Where the admin port is.
    #[command(flatten)]
    pub settings: Flags<AdminConfig>,
}

/// `Done` where the answer is good, `Failed` where it is not, `Unreachable` without one.
///
/// # Errors
///
/// Where the configuration is wrong, or the output cannot be written.
pub async fn run(args: HealthArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let admin = args.settings.load(&*context.environment)?;
    let address = reachable(admin.address());
    let path = if args.ready { "/readyz" } else { "/livez" };
    let answer = match time::timeout(TIMEOUT, get(address, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            context.errors.line(&format!("http://{address}{path}: {error}"))?;
            return Ok(ExitCode::Unreachable);
        }
        Err(_) => {
            let waited = TIMEOUT.as_secs();
            context.errors.line(&format!("http://{address}{path}: no answer in {waited} s"))?;
            return Ok(ExitCode::Unreachable);
        }
    };
    context.out.line(answer.body.trim_end())?;
    Ok(if answer.status == 200 { ExitCode::Done } else { ExitCode::Failed })
}

/// An address that means every address is reached on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// HTTP/1.0, which needs neither a parser of chunks nor a connection kept.
pub(super) async fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok()).ok_or_else(wrong)?;
    Ok(Answer { status, body: body.to_owned() })
}
