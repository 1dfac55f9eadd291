//! Callers by tokens and certificates.

use std::{fs, path::Path, sync::Arc};

use axum::body::Body;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use inventory_worker::{
    adapters::system::SystemClock, gateway::grpc::proto::GetSeatRequest, ports::Clock as _,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;

use crate::{
    gateway::{EVENT_JSON, Gateway, WAIT},
    messages::{restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    a_caller_needs_a_token_with_the_scope
    a_caller_needs_a_certificate_and_has_the_scopes_of_its_rules
}

const ISSUER: &str = "https://issuer.example";

async fn a_caller_needs_a_token_with_the_scope(stack: Stack) {
    let world = World::new(stack).await;
    let pair = KeyPair::generate().unwrap();
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    public.common.key_id = Some("k-1".to_owned());
    let keys = tempfile::NamedTempFile::new().unwrap();
    fs::write(&keys, json!({ "keys": [public] }).to_string()).unwrap();
    let gateway = Gateway::start(&world.with(&[
        ("GATEWAY_HOST", "127.0.0.1"),
        ("INVENTORY_AUTH", "jwt"),
        ("INVENTORY_JWT_ISSUER", ISSUER),
        ("INVENTORY_JWT_AUDIENCE", "inventory"),
        ("INVENTORY_JWT_JWKS", keys.path().to_str().unwrap()),
        ("INVENTORY_JWT_ALGORITHMS", "ES256"),
    ]))
    .await;
    let token = |scope: &str, seconds: i64| {
        let expires = SystemClock.now().as_second() + seconds;
        let claims = json!({
            "iss": ISSUER, "aud": "inventory", "sub": "shop", "exp": expires, "scope": scope
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k-1".to_owned());
        format!("Bearer {}", jsonwebtoken::encode(&header, &claims, &key).unwrap())
    };
    // A command without a source gets its caller's.
    let mut restock = restock_seats("of-the-caller", EVENT, &seat_numbers(1));
    restock.as_object_mut().unwrap().remove("source");
    let send = async |authorization: Option<&str>| {
        let authorization = authorization.map(|token| ("authorization", token));
        let headers: Vec<_> = [EVENT_JSON, WAIT].into_iter().chain(authorization).collect();
        gateway.post("/commands", &headers, &restock).await
    };
    send(None).await.expect(401);
    send(Some(&token("inventory.restock", -600))).await.expect(401);
    send(Some(&token("inventory.read inventory.command", 600))).await.expect(403);
    let worker = world.worker(&[]).await;
    let restocked = send(Some(&token("inventory.restock", 600))).await.expect(200);
    assert_eq!(restocked.body["data"]["command"]["source"], "/callers/shop");

    let (event_id, seat_number) = (EVENT.try_into().unwrap(), "A-1".to_owned());
    let asked = GetSeatRequest { event_id, seat_number };
    let refused = gateway.service().get_seat(asked.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let mut request = tonic::Request::new(asked);
    request.metadata_mut().insert("authorization", token("inventory.read", 600).parse().unwrap());
    gateway.service().get_seat(request).await.unwrap();
    let log = format!("{:?}", gateway.process.lines());
    assert!(!log.contains("Bearer") && !log.contains("eyJ"), "no token is logged");
    gateway.process.stop().await;
    worker.stop().await;
    world.audit().await;
}

/// A certificate authority.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key of a server on 127.0.0.1, and this authority, as files in the folder.
    fn write_server(&self, folder: &Path) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(folder.join("ca.pem"), self.0.pem()).unwrap();
    }

    /// Certificate and key of a client.
    fn client(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    /// Gets a URL with that certificate, or none; `None` where the connection fails.
    async fn get(&self, url: &str, client: Option<&str>) -> Option<u16> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client.map(|name| self.client(name)) {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.build());
        let request = axum::http::Request::get(url).body(Body::empty()).unwrap();
        client.request(request).await.ok().map(|answer| answer.status().as_u16())
    }
}

async fn a_caller_needs_a_certificate_and_has_the_scopes_of_its_rules(stack: Stack) {
    let world = World::new(stack).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    ca.write_server(folder.path());
    let rules = json!({ "till": { "scopes": ["inventory.read"] }, "clock": {} });
    fs::write(folder.path().join("callers.json"), rules.to_string()).unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let gateway = Gateway::start(&world.with(&[
        ("GATEWAY_HOST", "127.0.0.1"),
        ("INVENTORY_AUTH", "mtls"),
        ("INVENTORY_TLS_CERT", &file("cert.pem")),
        ("INVENTORY_TLS_KEY", &file("key.pem")),
        ("INVENTORY_TLS_CLIENT_CA", &file("ca.pem")),
        ("INVENTORY_CALLERS", &file("callers.json")),
    ]))
    .await;
    let url = format!("https://{}/events/42/seats/A-1", gateway.http);
    assert_eq!(ca.get(&url, None).await, None, "no certificate, no connection");
    assert_eq!(ca.get(&url, Some("till")).await, Some(404), "it may ask for a seat there is not");
    for without in ["clock", "unknown"] {
        assert_eq!(ca.get(&url, Some(without)).await, Some(403), "{without}");
    }
    gateway.process.stop().await;
}
