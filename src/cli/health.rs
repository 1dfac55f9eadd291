//! `health`: calls a worker's admin port, for container probes in an image without a shell.

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

/// How long the exchange may take. The default `timeoutSeconds` of a Kubernetes probe is 1.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The most that is read of an answer, bytes: a word, a short list of parts, or the metrics.
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

/// `Done` for status 200, `Failed` for any other, `Unreachable` without an answer.
///
/// # Errors
///
/// The configuration is wrong, or the output cannot be written.
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

/// The address to connect to: loopback where the admin port listens on all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) body: String,
}

/// HTTP/1.0, which needs neither a parser of chunks nor a connection kept.
pub(super) async fn get(address: SocketAddr, path: &str) -> io::Result<HttpResponse> {
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
    Ok(HttpResponse { status, body: body.to_owned() })
}
