//! `rediss://`: encrypted, and only with a server whose certificate is trusted.

use std::path::Path;

use inventory_worker::{adapters::redis::RedisLocks, ports::PortError};
use tempfile::TempDir;
use tokio::process::Command;

use super::servers::{Server, free_port, try_lock, until};

const SCOPE: &str = "event#42";

/// Set when this test runs in a separate process that trusts the test's authority.
const URL: &str = "INVENTORY_TEST_REDIS_TLS_CHILD";

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn an_encrypted_connection_is_made_with_a_server_that_is_trusted_and_no_other() {
    if let Ok(url) = std::env::var(URL) {
        return trusting(&url).await;
    }
    let certificates = certificates().await;
    let (server, url) = encrypted(certificates.path()).await;

    let untrusting = RedisLocks::new(url.parse().unwrap());
    // A handshake on a busy machine may exceed the timeout of a call first.
    until("the certificate is refused", async || {
        let answer = try_lock(&untrusting, SCOPE).await;
        assert_ne!(answer, Ok(true));
        matches!(answer, Err(PortError::Refused(text)) if text.contains("SSL_CERT_FILE"))
    })
    .await;
    assert_eq!(server.ask::<u64>("DBSIZE").await, 0);

    // On Linux through the running process: its file may have been rebuilt meanwhile.
    let running = Path::new("/proc/self/exe");
    let itself =
        if running.exists() { running.to_owned() } else { std::env::current_exe().unwrap() };
    let name = "on_redis::tls::\
                an_encrypted_connection_is_made_with_a_server_that_is_trusted_and_no_other";
    let output = Command::new(itself)
        .args(["--exact", name, "--include-ignored"])
        .env(URL, &url)
        .env("SSL_CERT_FILE", certificates.path().join("ca.pem"))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.ask::<u64>("DBSIZE").await, 1, "the test ran");
}

async fn trusting(url: &str) {
    let locks = RedisLocks::new(url.parse().unwrap());
    assert_eq!(locks.ping().await, Ok(()));
    until("a lock is taken", async || try_lock(&locks, SCOPE).await == Ok(true)).await;
}

/// A server with a plain port for the test, and an encrypted port.
async fn encrypted(folder: &Path) -> (Server, String) {
    let port = free_port();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    (server, format!("rediss://127.0.0.1:{port}"))
}

/// A certificate authority, and a server's certificate from it, created for this run.
async fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(folder.path().join("server.ext"), extensions).unwrap();
    for command in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca \
         -keyout ca.key -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=redis \
         -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile server.ext -out server.pem",
    ] {
        let output = Command::new("openssl")
            .args(command.split_whitespace())
            .current_dir(folder.path())
            .output()
            .await
            .expect("openssl, from Debian's package of that name, is on the path");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}
