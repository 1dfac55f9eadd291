//! Callers by their tokens: JSON Web Tokens (RFC 7519), signed by one issuer.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, header};
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    AuthError, CallerRules,
    jwks::{JwksPlace, KeyStore, REFRESH_EVERY, REFRESH_PAUSE},
};
use crate::{
    gateway::{Caller, Scopes},
    ports::Clock,
};

/// The algorithms that may be accepted: signatures with a public key, never a shared secret.
pub const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// How far the issuer's clock may differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// The algorithm of that name, where it may be accepted.
#[must_use]
pub fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.contains(&name).then(|| name.parse().ok()).flatten()
}

/// Which tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// Their `iss`.
    pub issuer: String,
    /// One of their `aud`.
    pub audience: String,
    /// The issuer's keys.
    pub jwks: JwksPlace,
    /// Their `alg`: one of these, at least one, each of [`ALGORITHMS`].
    pub algorithms: Vec<Algorithm>,
}

/// Checks tokens of one issuer.
pub struct JwtVerifier {
    /// One for each algorithm that is accepted: the library takes several of one kind of key alone.
    validations: Vec<Validation>,
    keys: Arc<KeyStore>,
    callers: CallerRules,
    clock: Arc<dyn Clock>,
}

/// What a token says. `iss` and `aud` are checked by the library.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    scope: Option<ScopeClaim>,
    scp: Option<ScopeClaim>,
}

/// `inventory.read inventory.command` (RFC 9068), or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeClaim {
    Text(String),
    List(Vec<String>),
}

impl ScopeClaim {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::List(names) => names.join(" "),
        }
    }
}

impl JwtVerifier {
    /// Reads the issuer's keys. Where their URL does not answer, it goes on without.
    ///
    /// # Errors
    ///
    /// Where a file of keys is not as it should be, or no client for their URL can be made.
    pub async fn start(
        settings: JwtSettings,
        callers: CallerRules,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let algorithms = settings.algorithms.iter();
        let validations = algorithms.map(|one| validation(*one, &settings)).collect();
        let keys = KeyStore::start(settings.jwks).await?;
        Ok(Self { validations, keys, callers, clock })
    }

    /// The caller that the token names.
    pub(super) async fn verify(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let token = bearer(headers)?;
        let header = decode_header(token).map_err(|error| meaning(error.kind()))?;
        let mut validations = self.validations.iter();
        let validation = validations.find(|one| one.algorithms.contains(&header.alg));
        let validation = validation.ok_or(AuthError::Algorithm)?;
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let claims = decode::<Claims>(token, &key, validation)
            .map_err(|error| meaning(error.kind()))?
            .claims;
        self.check_time(&claims)?;
        self.caller(claims)
    }

    fn check_time(&self, claims: &Claims) -> Result<(), AuthError> {
        let now = self.clock.now().as_duration().as_secs_f64();
        let leeway = LEEWAY.as_secs_f64();
        if claims.exp.is_none_or(|exp| exp + leeway <= now) {
            return Err(AuthError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf - leeway > now) {
            return Err(AuthError::NotYet);
        }
        Ok(())
    }

    fn caller(&self, claims: Claims) -> Result<Caller, AuthError> {
        let subject = claims.sub.filter(|sub| !sub.is_empty()).ok_or(AuthError::Subject)?;
        let names = [claims.scope, claims.scp].into_iter().flatten().map(ScopeClaim::text);
        let scopes = Scopes::parse(&names.collect::<Vec<_>>().join(" "));
        let caller = self.callers.with_scopes(subject, scopes);
        match caller.default_source() {
            Ok(_) => Ok(caller),
            Err(_) => Err(AuthError::Subject),
        }
    }

    /// Reads the issuer's keys again every ten minutes, sooner after a failure.
    pub(super) async fn keep_fresh(&self, stop: CancellationToken) {
        loop {
            let pause = if self.keys.is_failing() { REFRESH_PAUSE } else { REFRESH_EVERY };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(pause) => self.keys.refresh_in_turn().await,
            }
        }
    }
}

/// What the library checks: signature, issuer and audience.
fn validation(algorithm: Algorithm, settings: &JwtSettings) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    // Time is passed in, and checked apart.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(AuthError::NoToken);
    };
    let (scheme, token) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(AuthError::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::NoToken);
    }
    Ok(token.trim())
}

/// What the library's error tells a caller.
fn meaning(kind: &ErrorKind) -> AuthError {
    match kind {
        ErrorKind::InvalidSignature => AuthError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => AuthError::Algorithm,
        ErrorKind::InvalidIssuer => AuthError::Issuer,
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => AuthError::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::Audience,
        _ => AuthError::Unreadable,
    }
}
