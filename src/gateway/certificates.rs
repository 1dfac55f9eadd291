//! Certificates for tests.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::server::TlsFiles;

/// A certificate authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    pub certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

impl Identity {
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A server on 127.0.0.1.
    pub fn server(&self) -> Identity {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    /// A client with these common names and URIs.
    pub fn client(&self, common: &[&str], uris: &[&str]) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names = uris.iter().map(uri).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let (der, certificate_pem) = (certificate.der().clone(), certificate.pem());
        Identity { certificate: der, certificate_pem, key }
    }

    /// The files of a server with a certificate of this authority, which clients need too where
    /// `has_clients`.
    pub fn write_server(&self, folder: &Path, has_clients: bool) -> TlsFiles {
        let identity = self.server();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            certificate: write("cert.pem", &identity.certificate_pem),
            key: write("key.pem", &identity.key.serialize_pem()),
            client_ca: has_clients.then(|| write("ca.pem", &self.0.pem())),
        }
    }
}
