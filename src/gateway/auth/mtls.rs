//! Callers by their certificates. TLS has verified them before a request is read.

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use super::{AuthError, CallerRules};
use crate::gateway::{Caller, server::PeerCertificates};

const SPIFFE: &str = "spiffe://";

/// What the subjects of certificates may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MtlsRules(CallerRules);

impl MtlsRules {
    /// Callers have scopes and sources by these rules alone.
    #[must_use]
    pub fn new(callers: CallerRules) -> Self {
        Self(callers)
    }

    pub(super) fn caller(
        &self,
        certificates: Option<&PeerCertificates>,
    ) -> Result<Caller, AuthError> {
        let own = certificates.and_then(|chain| chain.0.first()).ok_or(AuthError::NoCertificate)?;
        let caller = subject(own).map(|subject| self.0.caller(subject));
        let caller = caller.filter(|caller| caller.default_source().is_ok());
        caller.ok_or(AuthError::CertificateSubject)
    }
}

/// The SPIFFE URI, of which a certificate has one at most
/// (<https://spiffe.io/docs/latest/spiffe-specs/x509-svid/>), or else the common name. `None` where
/// there are several of either: nobody can say who it is then.
fn subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let mut spiffe = names.filter_map(|name| match name {
        GeneralName::URI(uri) if is_spiffe(uri) => Some(*uri),
        _ => None,
    });
    match (spiffe.next(), spiffe.next()) {
        (Some(uri), None) => return Some(uri.to_owned()),
        (Some(_), Some(_)) => return None,
        (None, _) => {}
    }
    let mut common = certificate.subject().iter_common_name();
    let (Some(name), None) = (common.next(), common.next()) else { return None };
    // A common name is no URI: it must not pass for another's.
    name.as_str().ok().filter(|name| !is_spiffe(name)).map(str::to_owned)
}

fn is_spiffe(text: &str) -> bool {
    text.get(..SPIFFE.len()).is_some_and(|start| start.eq_ignore_ascii_case(SPIFFE))
}
