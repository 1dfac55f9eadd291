//! Who calls: by a token, by a certificate, or anybody.

pub mod callers;
mod jwks;
pub mod jwt;
pub mod mtls;

use std::sync::Arc;

use axum::http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::{Caller, server::PeerCertificates},
    ports::Clock,
};
pub use callers::CallerRules;
pub use jwks::JwksPlace;
pub use jwt::{JwtSettings, JwtVerifier};
pub use mtls::MtlsRules;

/// How callers prove who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthSettings {
    /// They do not: every caller is [`Caller::local`].
    #[default]
    None,
    /// By a bearer token.
    Jwt(JwtSettings),
    /// By a client certificate, which TLS has verified.
    Mtls,
}

impl AuthSettings {
    /// The word for it in `INVENTORY_AUTH`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Jwt(_) => "jwt",
            Self::Mtls => "mtls",
        }
    }
}

/// Says who calls.
pub enum Authenticator {
    /// Every caller is [`Caller::local`].
    None,
    /// The subject of a token.
    Jwt(Box<JwtVerifier>),
    /// The subject of a certificate.
    Mtls(MtlsRules),
}

/// A caller that is not known, or not yet. Never holds anything of a token or certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error("authorization: expected one header, Bearer and a token")]
    NoToken,
    /// It is no token.
    #[error("authorization: the token cannot be read: expected a signed JSON Web Token")]
    Unreadable,
    /// Its algorithm is not among those that are accepted.
    #[error("authorization: the token's alg is not accepted")]
    Algorithm,
    /// It is signed with a key that the issuer does not publish, or names none of several.
    #[error("authorization: the token's kid names none of the issuer's keys")]
    UnknownKey,
    /// Its signature is another's.
    #[error("authorization: the token's signature does not match")]
    Signature,
    /// It is from another issuer.
    #[error("authorization: the token's iss is not the expected issuer")]
    Issuer,
    /// It is for another service.
    #[error("authorization: the token's aud does not name this service")]
    Audience,
    /// It has no `exp`, or that has passed.
    #[error("authorization: the token's exp is missing or has passed: get a new token")]
    Expired,
    /// It is not valid yet.
    #[error("authorization: the token's nbf is in the future")]
    NotYet,
    /// Its `sub` is missing, or cannot be a part of a source.
    #[error("authorization: the token's sub is missing or cannot be a part of a source")]
    Subject,
    /// The client has presented no certificate.
    #[error("a client certificate is required")]
    NoCertificate,
    /// It names no subject that could be a part of a source.
    #[error(
        "the client certificate has neither one SPIFFE URI nor one common name that can be a \
             part of a source"
    )]
    CertificateSubject,
    /// The ticket in the query opens no stream.
    #[error("ticket: expected one of POST /stream-tickets, unused and at most 30 s old")]
    Ticket,
    /// The issuer's keys could not be read: the token's may be among them.
    #[error("the issuer's keys cannot be read: try again")]
    KeysUnavailable,
}

impl Authenticator {
    /// What the settings say. Reads the issuer's keys: where a URL does not answer it goes on
    /// without, and asks again.
    ///
    /// # Errors
    ///
    /// Where a file of keys is not as it should be, or no client for their URL can be made.
    pub async fn start(
        settings: AuthSettings,
        callers: CallerRules,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        Ok(match settings {
            AuthSettings::None => Self::None,
            AuthSettings::Jwt(settings) => {
                Self::Jwt(Box::new(JwtVerifier::start(settings, callers, clock).await?))
            }
            AuthSettings::Mtls => Self::Mtls(MtlsRules::new(callers)),
        })
    }

    /// Who calls.
    ///
    /// # Errors
    ///
    /// Where that is not known.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        certificates: Option<&PeerCertificates>,
    ) -> Result<Caller, AuthError> {
        match self {
            Self::None => Ok(Caller::local()),
            Self::Jwt(verifier) => verifier.verify(headers).await,
            Self::Mtls(rules) => rules.caller(certificates),
        }
    }

    /// Keeps what it knows current until `stop` is cancelled.
    pub async fn keep_fresh(&self, stop: CancellationToken) {
        match self {
            Self::Jwt(verifier) => verifier.keep_fresh(stop).await,
            Self::None | Self::Mtls(_) => stop.cancelled().await,
        }
    }
}

#[cfg(test)]
mod tests;
