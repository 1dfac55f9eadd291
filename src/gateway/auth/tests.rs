use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Json, Router, http::header, routing::get};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::{jwt::Algorithm, *};
use crate::{
    adapters::{memory::TokioClock, system::Random},
    domain::Timestamp,
    gateway::{
        Scope,
        certificates::Ca,
        server::{Server, ServerOptions},
    },
};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "inventory";
const NOW: &str = "2026-11-22T10:00:00Z";

/// A key that tokens are signed with.
struct SigningKey {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Vec<u8>,
}

impl SigningKey {
    fn ec(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        Self { id, algorithm: Algorithm::ES256, key, public: pair.public_key_raw().to_vec() }
    }

    fn rsa(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        let public = pair.public_key_pem().into_bytes();
        Self { id, algorithm: Algorithm::RS256, key, public }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn seconds() -> i64 {
    NOW.parse::<Timestamp>().unwrap().as_second()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "shop", "exp": seconds() + 600,
        "scope": "openid inventory.command"
    })
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn bearer(token: &str) -> HeaderMap {
    let value = format!("Bearer {token}").parse().unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

fn key_set(keys: &[&SigningKey]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys })
}

async fn authenticator(jwks: JwksPlace, rules: &str) -> std::io::Result<Authenticator> {
    let settings = JwtSettings {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks,
        algorithms: vec![Algorithm::ES256, Algorithm::RS256],
    };
    let clock = Arc::new(TokioClock::new(NOW.parse().unwrap()));
    let callers = CallerRules::parse(rules).unwrap();
    Authenticator::start(AuthSettings::Jwt(settings), callers, clock).await
}

/// An issuer whose keys are in a file.
struct Issuer {
    _folder: tempfile::TempDir,
    path: PathBuf,
    authenticator: Authenticator,
}

impl Issuer {
    async fn new(keys: &[&SigningKey]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, key_set(keys).to_string()).unwrap();
        let rules = r#"{"shop": {"scopes": ["inventory.restock"], "sources": ["/checkout/"]}}"#;
        let authenticator = authenticator(JwksPlace::File(path.clone()), rules).await.unwrap();
        Self { _folder: folder, path, authenticator }
    }

    fn publish(&self, keys: &[&SigningKey]) {
        fs::write(&self.path, key_set(keys).to_string()).unwrap();
    }

    async fn check(&self, token: &str) -> Result<Caller, AuthError> {
        self.authenticator.authenticate(&bearer(token), None).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_gives_subject_and_scopes_and_the_rules_sources_alone() {
    let (ec, rsa) = (SigningKey::ec("ec"), SigningKey::rsa("rsa"));
    let issuer = Issuer::new(&[&ec, &rsa]).await;
    for key in [&ec, &rsa] {
        let caller = issuer.check(&key.sign(&claims())).await.unwrap();
        assert_eq!(caller.subject, "shop");
        assert!(caller.scopes.has(Scope::Command));
        assert!(!caller.scopes.has(Scope::Restock) && !caller.scopes.has(Scope::Read));
        assert!(caller.may_use(&"/checkout/web".parse().unwrap()));
        assert!(!caller.may_use(&"/other".parse().unwrap()));
    }
    for scp in [json!(["inventory.read"]), json!("inventory.read")] {
        let caller = issuer.check(&ec.sign(&claims_with("scp", scp))).await.unwrap();
        assert!(caller.scopes.has(Scope::Read) && caller.scopes.has(Scope::Command));
    }
    let none = issuer.check(&ec.sign(&claims_without("scope"))).await.unwrap();
    assert!(Scope::ALL.into_iter().all(|scope| !none.scopes.has(scope)));
}

#[tokio::test(start_paused = true)]
async fn a_token_for_another_time_service_or_issuer_is_refused_with_the_claim() {
    let key = SigningKey::ec("ec");
    let issuer = Issuer::new(&[&key]).await;
    let now = seconds();
    let long_subject = "x".repeat(504);
    for (claims, expected) in [
        (claims_with("exp", json!(now - 60)), AuthError::Expired),
        (claims_without("exp"), AuthError::Expired),
        (claims_with("nbf", json!(now + 61)), AuthError::NotYet),
        (claims_with("aud", json!("another")), AuthError::Audience),
        (claims_without("aud"), AuthError::Audience),
        (claims_with("iss", json!("https://another.example")), AuthError::Issuer),
        (claims_without("iss"), AuthError::Issuer),
        (claims_with("sub", json!("")), AuthError::Subject),
        (claims_with("sub", json!("a\u{1f}b")), AuthError::Subject),
        (claims_with("sub", json!(long_subject)), AuthError::Subject),
        (claims_without("sub"), AuthError::Subject),
        (claims_with("exp", json!("soon")), AuthError::Unreadable),
        (claims_with("scope", json!(7)), AuthError::Unreadable),
    ] {
        assert_eq!(issuer.check(&key.sign(&claims)).await, Err(expected), "{claims}");
    }
    for accepted in [
        claims_with("exp", json!(now - 59)),
        claims_with("exp", json!(now as f64 - 58.5)),
        claims_with("nbf", json!(now + 60)),
        claims_with("aud", json!(["another", AUDIENCE])),
    ] {
        assert!(issuer.check(&key.sign(&accepted)).await.is_ok(), "{accepted}");
    }
    tokio::time::advance(Duration::from_secs(660)).await;
    assert_eq!(issuer.check(&key.sign(&claims())).await, Err(AuthError::Expired));
}

#[tokio::test(start_paused = true)]
async fn only_the_pinned_algorithms_and_the_issuers_keys_are_accepted() {
    let (ec, rsa) = (SigningKey::ec("ec"), SigningKey::rsa("rsa"));
    let issuer = Issuer::new(&[&ec, &rsa]).await;
    let header = |algorithm, id: &str| {
        let mut header = Header::new(algorithm);
        header.kid = Some(id.to_owned());
        header
    };
    for key in [&ec, &rsa] {
        let secret = EncodingKey::from_secret(&key.public).unwrap();
        let header = header(Algorithm::HS256, key.id);
        let confused = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
        assert_eq!(issuer.check(&confused).await, Err(AuthError::Algorithm), "{}", key.id);
    }
    let stronger =
        jsonwebtoken::encode(&header(Algorithm::RS512, "rsa"), &claims(), &rsa.key).unwrap();
    assert_eq!(issuer.check(&stronger).await, Err(AuthError::Algorithm));
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    for name in ["none", "None", "nOnE"] {
        let head = part(&json!({ "alg": name, "typ": "JWT", "kid": "ec" }));
        let unsigned = format!("{head}.{}.", part(&claims()));
        assert!(issuer.check(&unsigned).await.is_err(), "{name}");
    }
    let forged = SigningKey::ec("ec").sign(&claims());
    assert_eq!(issuer.check(&forged).await, Err(AuthError::Signature));
    let token = ec.sign(&claims());
    let changed = part(&claims_with("sub", json!("admin")));
    let parts: Vec<&str> = token.split('.').collect();
    let changed = [parts[0], changed.as_str(), parts[2]].join(".");
    assert_eq!(issuer.check(&changed).await, Err(AuthError::Signature));
    let crossed = EncodingKey::from_ec_der(ec.key.as_bytes());
    let crossed = jsonwebtoken::encode(&header(Algorithm::ES256, "rsa"), &claims(), &crossed);
    assert_eq!(issuer.check(&crossed.unwrap()).await, Err(AuthError::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_is_refused_and_never_repeated() {
    let key = SigningKey::ec("ec");
    let issuer = Issuer::new(&[&key]).await;
    let good = key.sign(&claims());
    for text in ["Bearer", "Basic dTpw", "", "Bearer a b", &format!("Token {good}")] {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
        assert!(issuer.authenticator.authenticate(&headers, None).await.is_err(), "{text}");
    }
    let mut twice = bearer(&good);
    twice.append(header::AUTHORIZATION, format!("Bearer {good}").parse().unwrap());
    let refused = issuer.authenticator.authenticate(&twice, None).await;
    assert_eq!(refused, Err(AuthError::NoToken));
    let refused = issuer.authenticator.authenticate(&HeaderMap::new(), None).await;
    assert_eq!(refused, Err(AuthError::NoToken));
    for text in ["s3cret", "s3cret.s3cret.s3cret", "..", ".", "eyJ9.e30.x"] {
        let error = issuer.check(text).await.unwrap_err();
        assert_eq!(error, AuthError::Unreadable, "{text}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    let lower =
        HeaderMap::from_iter([(header::AUTHORIZATION, format!("bearer {good}").parse().unwrap())]);
    assert!(issuer.authenticator.authenticate(&lower, None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_looked_for_once_in_a_while_and_the_last_ones_stay() {
    let (old, new, newer) = (SigningKey::ec("old"), SigningKey::ec("new"), SigningKey::ec("newer"));
    let issuer = Issuer::new(&[&old]).await;
    issuer.publish(&[&old, &new]);
    let token = new.sign(&claims());
    assert_eq!(issuer.check(&token).await, Err(AuthError::UnknownKey), "asked just before");
    tokio::time::advance(jwks::REFRESH_PAUSE).await;
    assert!(issuer.check(&token).await.is_ok());
    issuer.publish(&[&old, &new, &newer]);
    let token = newer.sign(&claims());
    assert_eq!(issuer.check(&token).await, Err(AuthError::UnknownKey), "asked just before");
    fs::write(&issuer.path, "{").unwrap();
    tokio::time::advance(jwks::REFRESH_PAUSE).await;
    assert_eq!(issuer.check(&token).await, Err(AuthError::KeysUnavailable));
    assert!(issuer.check(&new.sign(&claims())).await.is_ok(), "the last keys stay");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_new_key_is_not_refused_while_the_keys_cannot_be_read() {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let issuer = Issuer::new(&[&old]).await;
    let token = new.sign(&claims());
    fs::write(&issuer.path, "{").unwrap();
    // Anybody's read that fails, of a forged key or of the keys' age.
    tokio::time::advance(jwks::REFRESH_PAUSE).await;
    let forged = issuer.check(&SigningKey::ec("forged").sign(&claims())).await;
    assert_eq!(forged, Err(AuthError::KeysUnavailable));
    assert_eq!(issuer.check(&token).await, Err(AuthError::KeysUnavailable));
    issuer.publish(&[&new]);
    assert_eq!(issuer.check(&token).await, Err(AuthError::KeysUnavailable), "asked just before");
    tokio::time::advance(jwks::RETRY_PAUSE).await;
    assert!(issuer.check(&token).await.is_ok());
    assert_eq!(issuer.check(&old.sign(&claims())).await, Err(AuthError::UnknownKey), "withdrawn");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_issuer_withdraws_is_forgotten() {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let issuer = Issuer::new(&[&old]).await;
    issuer.publish(&[&new]);
    let stop = CancellationToken::new();
    let fresh = issuer.authenticator.keep_fresh(stop.clone());
    let withdrawn = async {
        tokio::time::sleep(jwks::REFRESH_EVERY + Duration::from_secs(1)).await;
        while issuer.check(&old.sign(&claims_with("exp", json!(seconds() + 6_000)))).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        stop.cancel();
    };
    tokio::join!(fresh, withdrawn);
}

#[tokio::test(start_paused = true)]
async fn a_token_may_leave_its_key_out_where_there_is_one() {
    let (one, other) = (SigningKey::ec("one"), SigningKey::ec("other"));
    let nameless =
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(), &one.key).unwrap();
    assert!(Issuer::new(&[&one]).await.check(&nameless).await.is_ok());
    let refused = Issuer::new(&[&one, &other]).await.check(&nameless).await;
    assert_eq!(refused, Err(AuthError::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn a_shared_secret_among_the_keys_is_none() {
    let secret = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef").unwrap();
    let shared = Jwk::from_encoding_key(&secret, Algorithm::HS256).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    fs::write(&path, json!({ "keys": [shared, { "kty": "new" }] }).to_string()).unwrap();
    let error = authenticator(JwksPlace::File(path), "{}").await.err().unwrap().to_string();
    assert!(error.contains("keys.json") && error.contains("public key"), "{error}");
}

/// An issuer behind a URL, which counts how often it is asked.
async fn serve_keys(keys: Value) -> (JwksPlace, Arc<AtomicUsize>, CancellationToken) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let answer = get(move || async move {
        count.fetch_add(1, Ordering::Relaxed);
        Json(keys)
    });
    let options = ServerOptions {
        tls: None,
        max_connection_age: Duration::from_secs(600),
        connections_max: 10,
        entropy: Arc::new(Random::seeded(1)),
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let router = Router::new().route("/keys", answer);
    let server = Server::bind(address, router, options).await.unwrap();
    let place = format!("http://{}/keys", server.address()).parse().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(stop.clone(), Duration::from_secs(1)));
    (place, asked, stop)
}

#[tokio::test]
async fn keys_come_from_a_url_which_unknown_keys_do_not_flood() {
    let (known, unknown) = (SigningKey::ec("known"), SigningKey::ec("unknown"));
    let (place, asked, stop) = serve_keys(key_set(&[&known])).await;
    let issuer = authenticator(place, "{}").await.unwrap();
    let check = async |key: &SigningKey| {
        issuer.authenticate(&bearer(&key.sign(&claims())), None).await.map(|found| found.subject)
    };
    assert_eq!(check(&known).await.as_deref(), Ok("shop"));
    for _ in 0..5 {
        assert_eq!(check(&unknown).await, Err(AuthError::UnknownKey));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    stop.cancel();
}

#[tokio::test]
async fn keys_beyond_their_bound_are_not_read_and_the_gateway_says_to_try_again() {
    let long = json!({ "keys": [], "padding": "x".repeat(256 * 1024) });
    let (place, asked, stop) = serve_keys(long).await;
    let issuer = authenticator(place, "{}").await.unwrap();
    let token = SigningKey::ec("any").sign(&claims());
    let refused = issuer.authenticate(&bearer(&token), None).await;
    assert_eq!(refused, Err(AuthError::KeysUnavailable));
    assert!(asked.load(Ordering::Relaxed) > 0);
    stop.cancel();
}

#[tokio::test]
async fn a_certificate_names_its_caller_by_spiffe_uri_or_else_common_name() {
    let ca = Ca::new();
    let rules = r#"{"spiffe://shop.example/till": {"scopes": ["inventory.command"]},
                    "till": {"scopes": ["inventory.read"], "sources": ["/tills/"]}}"#;
    let callers = CallerRules::parse(rules).unwrap();
    let authenticator = Authenticator::Mtls(MtlsRules::new(callers));
    let caller = async |common: &[&str], uris: &[&str]| {
        let chain = [ca.client(common, uris).certificate, ca.certificate()];
        let peer = PeerCertificates(Arc::new(chain));
        authenticator.authenticate(&HeaderMap::new(), Some(&peer)).await
    };
    let spiffe = "spiffe://shop.example/till";
    let found = caller(&["till"], &["https://shop.example", spiffe]).await.unwrap();
    assert_eq!(found.subject, spiffe);
    assert!(found.scopes.has(Scope::Command) && !found.scopes.has(Scope::Read));
    assert!(found.may_use(&format!("/callers/{spiffe}").parse().unwrap()));
    let found = caller(&["till"], &[]).await.unwrap();
    assert_eq!(found.subject, "till");
    assert!(found.scopes.has(Scope::Read) && found.may_use(&"/tills/1".parse().unwrap()));
    let found = caller(&["nobody"], &[]).await.unwrap();
    assert!(Scope::ALL.into_iter().all(|scope| !found.scopes.has(scope)));
    for (common, uris) in [
        (&[][..], &[][..]),
        (&["till"], &[spiffe, "spiffe://shop.example/other"]),
        (&[spiffe], &[]),
        (&["SPIFFE://shop.example/till"], &[]),
    ] {
        let refused = caller(common, uris).await;
        assert_eq!(refused, Err(AuthError::CertificateSubject), "{common:?} {uris:?}");
    }
    let refused = authenticator.authenticate(&HeaderMap::new(), None).await;
    assert_eq!(refused, Err(AuthError::NoCertificate));
}
