//! TLS of the server: a certificate, its key and the client CA, from PEM files.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

/// What ALPN offers, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// What signs clients' certificates. Where it is given, a client without a certificate is
    /// refused in the handshake.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// Reads the files as a server does that starts with them.
    ///
    /// # Errors
    ///
    /// One cannot be read, is no PEM of what it should be, or the key is another certificate's: the
    /// error names the file.
    pub fn check(&self) -> io::Result<()> {
        server_config(self).map(drop)
    }
}

/// Whether the file has certificates in PEM.
///
/// # Errors
///
/// It cannot be read, or has none: the error names it.
pub fn check_certificates(path: &Path) -> io::Result<()> {
    certificates(path).map(drop)
}

/// Whether the file has a private key in PEM.
///
/// # Errors
///
/// It cannot be read, or has none: the error names it.
pub fn check_key(path: &Path) -> io::Result<()> {
    private_key(path).map(drop)
}

/// The certificates that a client has presented and that were verified, its own first. In the
/// extensions of each request of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificates(pub Arc<[CertificateDer<'static>]>);

/// What the files were when they were last read.
pub(super) struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    pub(super) async fn load(files: TlsFiles) -> io::Result<Self> {
        let config = read(files.clone()).await?;
        Ok(Self { files, config: RwLock::new(config) })
    }

    /// Reads the files again. Where one is wrong, what was read before stays.
    pub(super) async fn reload(&self) {
        match read(self.files.clone()).await {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                debug!("the TLS files were read again");
            }
            Err(error) => warn!(%error, "the TLS files are not as they should be: keeping the old"),
        }
    }

    /// For one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

async fn read(files: TlsFiles) -> io::Result<Arc<ServerConfig>> {
    spawn_blocking(move || server_config(&files)).await.map_err(io::Error::other)?
}

fn server_config(files: &TlsFiles) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| named(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| named(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key)?;
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| named(&files.certificate, error))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| named(path, error))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| named(path, error))?.collect();
    let certificates = read.map_err(|error| named(path, error))?;
    if certificates.is_empty() {
        return Err(named(path, "expected certificates in PEM, found none"));
    }
    Ok(certificates)
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
