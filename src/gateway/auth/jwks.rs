//! The public keys of an issuer: a JSON Web Key Set (RFC 7517), from a URL or a file.

use std::{
    io::{self, Read as _},
    net::IpAddr,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, Uri, header},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, PublicKeyUse},
};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use super::AuthError;

/// Bytes of a key set.
const BYTES_MAX: usize = 256 * 1024;

/// Keys of a set; those beyond are not used.
const KEYS_MAX: usize = 100;

/// How long reading a key set may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How old the keys become before they are read again.
pub(super) const REFRESH_EVERY: Duration = Duration::from_secs(10 * 60);

/// The least time between two reads for keys that are not known.
pub(super) const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// The same after a read that failed: a key that is not known may be a new one.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksPlace {
    /// `https`, or `http` on this machine.
    Url(Uri),
    /// A file.
    File(PathBuf),
}

impl FromStr for JwksPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "an https:// URL without user and password, an http:// URL of this machine, \
                        or a file";
        if !text.contains("://") {
            return match text {
                "" => Err(expected.to_owned()),
                path => Ok(Self::File(path.into())),
            };
        }
        let url = url::Url::parse(text).map_err(|_| expected.to_owned())?;
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_here;
        let is_plain = url.username().is_empty() && url.password().is_none();
        match url.as_str().parse() {
            Ok(uri) if is_safe && is_plain && !host.is_empty() => Ok(Self::Url(uri)),
            _ => Err(expected.to_owned()),
        }
    }
}

/// A public key that signatures are checked with.
#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, where the set says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// `None` for what is no public key for signatures: others in the set are used all the same
    /// (RFC 7517, section 5).
    fn of(jwk: Jwk) -> Option<Self> {
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let common = jwk.common;
        let is_for_signatures =
            common.public_key_use.is_none_or(|usage| usage == PublicKeyUse::Signature);
        if !is_for_signatures || key.family() == AlgorithmFamily::Hmac {
            return None;
        }
        let algorithm = match common.key_algorithm {
            Some(name) => Some(name.to_string().parse().ok()?),
            None => None,
        };
        Some(Self { id: common.key_id, algorithm, key })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family()
            && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// The keys of an issuer as they were last read.
#[derive(Default)]
struct Keys(Vec<Key>);

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    fn parse(json: &[u8]) -> Result<Self, String> {
        let set: KeySet = serde_json::from_slice(json)
            .map_err(|_| "expected a JSON Web Key Set, {\"keys\": [...]}".to_owned())?;
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<Key> = jwks.filter_map(Key::of).take(KEYS_MAX).collect();
        match keys.is_empty() {
            true => Err("expected a public key for signatures, found none".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// The key of that id. A token may leave the id out where there is one key.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let found = match (id, self.0.as_slice()) {
            (None, [only]) => Some(only).filter(|key| key.fits(algorithm)),
            (None, _) => None,
            (Some(id), keys) => {
                keys.iter().find(|key| key.id.as_deref() == Some(id) && key.fits(algorithm))
            }
        };
        found.map(|key| &key.key)
    }
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Body>;

enum Reader {
    File(PathBuf),
    Url(Uri, Box<HttpsClient>),
}

impl Reader {
    fn new(place: JwksPlace) -> io::Result<Self> {
        let uri = match place {
            JwksPlace::File(path) => return Ok(Self::File(path)),
            JwksPlace::Url(uri) => uri,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self::Url(uri, Box::new(client)))
    }

    async fn read(&self) -> Result<Keys, String> {
        let read = async {
            match self {
                Self::File(path) => read_file(path.clone()).await,
                Self::Url(uri, client) => fetch(uri.clone(), client).await,
            }
        };
        let json = timeout(TIMEOUT, read).await.map_err(|_| "it took too long".to_owned())??;
        Keys::parse(&json)
    }
}

async fn read_file(path: PathBuf) -> Result<Vec<u8>, String> {
    let read = move || {
        let mut json = Vec::new();
        std::fs::File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_end(&mut json)?;
        if json.len() > BYTES_MAX { Err(io::Error::other("larger than 256 KiB")) } else { Ok(json) }
    };
    let read = spawn_blocking(read).await.map_err(io::Error::other).flatten();
    read.map_err(|error| error.to_string())
}

async fn fetch(uri: Uri, client: &HttpsClient) -> Result<Vec<u8>, String> {
    let request = Request::get(uri).header(header::ACCEPT, "application/json").body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let response = client.request(request).await.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("the answer was {}", response.status().as_u16()));
    }
    let body = to_bytes(Body::new(response.into_body()), BYTES_MAX).await;
    Ok(body.map_err(|error| error.to_string())?.to_vec())
}

/// An issuer's keys, read again from time to time and where a token names one that is not among
/// them.
pub(super) struct KeyStore {
    reader: Reader,
    keys: RwLock<Arc<Keys>>,
    /// Whether the last read failed.
    is_failing: AtomicBool,
    /// When the last read ended. Held during the next.
    read_at: Mutex<Instant>,
}

impl KeyStore {
    pub(super) async fn start(place: JwksPlace) -> io::Result<Arc<Self>> {
        let reader = Reader::new(place)?;
        let read = reader.read().await;
        let is_failing = AtomicBool::new(read.is_err());
        let keys = match (read, &reader) {
            (Ok(keys), _) => keys,
            (Err(error), Reader::File(path)) => {
                return Err(io::Error::other(format!("{}: {error}", path.display())));
            }
            (Err(error), Reader::Url(..)) => {
                warn!(%error, "the issuer's keys cannot be read: no token is accepted until they are");
                Keys::default()
            }
        };
        let (keys, read_at) = (RwLock::new(Arc::new(keys)), Mutex::new(Instant::now()));
        Ok(Arc::new(Self { reader, keys, is_failing, read_at }))
    }

    /// The key of that id, for that algorithm. Asks the issuer where it is not known, and was not
    /// asked just before; whoever else looks for a key meanwhile waits for the answer.
    ///
    /// # Errors
    ///
    /// The issuer has no such key, or its keys could not be read and it may have.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, AuthError> {
        if let Some(key) = self.known(id, algorithm) {
            return Ok(key);
        }
        let (store, wanted) = (Arc::clone(self), id.map(str::to_owned));
        // To its end, even where the caller goes away.
        let asked = tokio::spawn(async move { store.ask(wanted.as_deref(), algorithm).await });
        let _ = asked.await;
        let missing =
            if self.is_failing() { AuthError::KeysUnavailable } else { AuthError::UnknownKey };
        self.known(id, algorithm).ok_or(missing)
    }

    async fn ask(&self, wanted: Option<&str>, algorithm: Algorithm) {
        let mut read_at = match self.read_at.try_lock() {
            Ok(read_at) => read_at,
            // Who waits has a place in a lane, and what did not answer before may not answer now.
            Err(_) if self.is_failing() => return,
            Err(_) => self.read_at.lock().await,
        };
        let pause = if self.is_failing() { RETRY_PAUSE } else { REFRESH_PAUSE };
        if self.known(wanted, algorithm).is_none() && read_at.elapsed() >= pause {
            self.refresh().await;
            *read_at = Instant::now();
        }
    }

    /// Reads the keys again, in their turn.
    pub(super) async fn refresh_in_turn(&self) {
        let mut read_at = self.read_at.lock().await;
        self.refresh().await;
        *read_at = Instant::now();
    }

    fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        self.current().find(id, algorithm).cloned()
    }

    /// Whether the last read failed.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }

    /// Where they cannot be read, the last ones stay.
    async fn refresh(&self) {
        match self.reader.read().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let count = keys.0.len();
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
                // After the keys: whoever sees it sees them.
                self.is_failing.store(false, Ordering::Release);
                info!(keys = count, "the issuer's keys were read");
            }
            Err(error) => {
                self.is_failing.store(true, Ordering::Release);
                warn!(%error, "the issuer's keys cannot be read: going on with the last ones");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_https_this_machine_or_a_file() {
        for url in [
            "https://issuer.example/keys?p=1",
            "http://127.0.0.1:8/k",
            "http://[::1]/k",
            "http://localhost/k",
        ] {
            assert!(matches!(url.parse(), Ok(JwksPlace::Url(_))), "{url}");
        }
        assert!(matches!("/etc/keys.json".parse(), Ok(JwksPlace::File(_))));
        for wrong in [
            "",
            "http://issuer.example/keys",
            "http://127.0.0.1.example/keys",
            "https://user:s3cret@issuer.example/keys",
            "ftp://127.0.0.1/keys",
            "https://",
        ] {
            assert!(wrong.parse::<JwksPlace>().is_err(), "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_reads_fail_nobody_waits_for_the_next_one() {
        let uri = "http://127.0.0.1:1/keys".parse().unwrap();
        let store = KeyStore::start(JwksPlace::Url(uri)).await.unwrap();
        let _another_reads = store.read_at.lock().await;
        let found = timeout(TIMEOUT, store.find(Some("new"), Algorithm::ES256)).await;
        assert_eq!(found.unwrap().err(), Some(AuthError::KeysUnavailable));
    }
}
