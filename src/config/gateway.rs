//! The gateway: where it listens, who may call, and how much at once.

mod settings;

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{AdminConfig, AwsConfig, Reader, Section, Setting, parse};
use crate::{
    gateway::{
        auth::{AuthSettings, CallerRules, JwksPlace, JwtSettings, jwt},
        limits::LimitSettings,
        page::PageSettings,
        server::{TlsFiles, check_certificates, check_key},
        streams::StreamSettings,
    },
    message::BATCH_COMMANDS_MAX,
};

/// Bytes of the file of callers.
const CALLERS_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of an issuer or audience.
const CLAIM_BYTES_MAX: usize = 512;

/// Requests of one caller each second, and at once.
const RATE_MAX: u32 = 1_000_000;

/// Connections of a port: more than one process has descriptors for.
const CONNECTIONS_MAX: usize = 1_000_000;

/// Requests of a lane at once: more than one process can hold.
const IN_FLIGHT_MAX: usize = 1_000_000;

/// Streams at once: more than one process has connections for.
const STREAMS_MAX: usize = 1_000_000;

/// Commands of one storm.
const STRESS_COMMANDS_MAX: u64 = 10_000_000;

/// How the gateway is reached, by whom, and how much it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// `GATEWAY_HOST`: the address to listen on.
    pub host: IpAddr,
    /// `PORT`: the port of HTTP; 0 takes any free one.
    pub port: u16,
    /// `GRPC_PORT`: the port of gRPC, another one; 0 takes any free one.
    pub grpc_port: u16,
    /// `INVENTORY_PAGE`: the page at `/`; `None` means none.
    pub page: Option<PageSettings>,
    /// `INVENTORY_TLS_*`; `None` means plain text.
    pub tls: Option<TlsFiles>,
    /// `INVENTORY_MAX_CONNECTION_AGE_SECONDS`
    pub max_connection_age: Duration,
    /// `INVENTORY_CONNECTIONS`: of each port at once.
    pub connections: usize,
    /// `INVENTORY_DRAIN_DELAY_SECONDS`
    pub drain_delay: Duration,
    /// `INVENTORY_GATEWAY_GRACE_SECONDS`: begins after the delay.
    pub grace: Duration,
    /// `INVENTORY_AUTH` and `INVENTORY_JWT_*`
    pub auth: AuthSettings,
    /// `INVENTORY_CALLERS`
    pub callers: CallerRules,
    /// The rate of each caller, and what is in flight at once.
    pub limits: LimitSettings,
    /// How many streams there may be.
    pub streams: StreamSettings,
    /// `INVENTORY_GATEWAY_GROUPS`: 1…1,024.
    pub groups: u16,
    /// `INVENTORY_GATEWAY_COMMANDS_PER_MESSAGE`: 1…100.
    pub commands_per_message: usize,
    /// `INVENTORY_QUEUE_AGE_MAX_SECONDS`
    pub queue_age_max: Duration,
    /// `INVENTORY_ALLOW_STRESS` and `INVENTORY_STRESS_COMMANDS_MAX`: the most commands of a storm;
    /// `None` where storms are not allowed.
    pub stress_commands_max: Option<u64>,
}

impl GatewayConfig {
    /// Where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.grpc_port)
    }
}

/// What nothing set gives: this machine alone, without authentication.
impl Default for GatewayConfig {
    fn default() -> Self {
        super::reader::defaults()
    }
}

impl Section for GatewayConfig {
    fn settings() -> Vec<&'static Setting> {
        settings::GATEWAY.to_vec()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let (port, grpc_port) = ports(reader);
        let method = method(reader);
        let tls = tls(reader, method);
        let auth = auth(reader, method);
        Self {
            host: host(reader, method),
            port,
            grpc_port,
            page: page(reader),
            tls,
            max_connection_age: seconds(reader, &settings::MAX_CONNECTION_AGE, 1_000..=86_400_000),
            connections: reader.value(&settings::CONNECTIONS, 1, |text| {
                parse::whole(text, 1..=CONNECTIONS_MAX, "connections")
            }),
            drain_delay: seconds(reader, &settings::DRAIN_DELAY, 0..=600_000),
            grace: seconds(reader, &settings::GRACE, 1_000..=3_600_000),
            auth,
            callers: callers(reader, method),
            limits: limits(reader),
            streams: streams(reader),
            groups: reader
                .value(&settings::GROUPS, 1, |text| parse::whole(text, 1..=1_024, "groups")),
            commands_per_message: reader.value(&settings::COMMANDS_PER_MESSAGE, 1, |text| {
                parse::whole(text, 1..=BATCH_COMMANDS_MAX, "commands per message")
            }),
            queue_age_max: seconds(reader, &settings::QUEUE_AGE_MAX, 100..=3_600_000),
            stress_commands_max: stress(reader),
        }
    }
}

/// The settings of a gateway on this machine alone.
pub(super) fn local_settings() -> Vec<&'static Setting> {
    vec![
        &settings::PORT,
        &settings::GRPC_PORT,
        &settings::RATE,
        &settings::BURST,
        &settings::COMMANDS_IN_FLIGHT,
        &settings::LISTS_IN_FLIGHT,
        &settings::ALLOW_STRESS,
        &settings::STRESS_COMMANDS_MAX,
    ]
}

/// Reads [`local_settings`]; the others have their defaults.
pub(super) fn read_local(reader: &mut Reader<'_>) -> GatewayConfig {
    let (port, grpc_port) = ports(reader);
    let limits = limits(reader);
    let stress_commands_max = stress(reader);
    // No load balancer is to notice that it stops.
    let drain_delay = Duration::ZERO;
    let others = GatewayConfig::default();
    GatewayConfig { port, grpc_port, drain_delay, limits, stress_commands_max, ..others }
}

/// The gateway's ports are not the admin port's, which is on an address of its own but may be on
/// the same one.
pub(super) fn check_admin_port(
    gateway: &GatewayConfig,
    admin: &AdminConfig,
    reader: &mut Reader<'_>,
) {
    for (setting, port) in
        [(&settings::PORT, gateway.port), (&settings::GRPC_PORT, gateway.grpc_port)]
    {
        reader.relation(
            &[setting, &super::admin::PORT],
            port == 0 || port != admin.port,
            "different ports",
            "Give each its own",
        );
    }
}

/// The gateway posts to a queue of commands, which a process that only consumes expiries has not.
pub(super) fn check_producer_queue(aws: &AwsConfig, reader: &mut Reader<'_>) {
    reader.relation(
        &[&super::aws::QUEUES, &super::aws::EXPIRIES],
        aws.queues.is_empty() || aws.producer_queues().is_some(),
        "a queue besides that of expiries, where the gateway posts commands",
        "Name a queue of commands too",
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    None,
    Jwt,
    Mtls,
}

fn method(reader: &mut Reader<'_>) -> Method {
    let words = [("none", Method::None), ("jwt", Method::Jwt), ("mtls", Method::Mtls)];
    reader.value(&settings::AUTH, Method::None, |text| parse::one_of(text, &words))
}

fn host(reader: &mut Reader<'_>, method: Method) -> IpAddr {
    let is_insecure = switch(reader, &settings::INSECURE);
    let given: Option<IpAddr> = reader.optional(&settings::HOST, |text| {
        text.parse().map_err(|_| "an IP address such as 0.0.0.0, 127.0.0.1 or ::".to_owned())
    });
    let host = given.unwrap_or(match method {
        Method::None => Ipv4Addr::LOCALHOST.into(),
        Method::Jwt | Method::Mtls => Ipv4Addr::UNSPECIFIED.into(),
    });
    reader.relation(
        &[&settings::HOST, &settings::AUTH, &settings::INSECURE],
        method != Method::None || is_insecure || host.is_loopback(),
        "an address of this machine alone (127.0.0.1, ::1) where callers are not authenticated",
        "Set INVENTORY_AUTH to jwt or mtls, or leave GATEWAY_HOST out; where whoever reaches the \
         address may do everything, give --insecure or set INVENTORY_INSECURE=true",
    );
    host
}

/// A page that shows, on which nothing can be reserved.
fn page(reader: &mut Reader<'_>) -> Option<PageSettings> {
    switch(reader, &settings::PAGE).then(PageSettings::default)
}

fn ports(reader: &mut Reader<'_>) -> (u16, u16) {
    let mut port = |setting| {
        reader.value(setting, 0, |text| {
            parse::whole(text, 0..=u16::MAX, "a port").map_err(|_| "a port from 0 to 65535".into())
        })
    };
    let (http, grpc) = (port(&settings::PORT), port(&settings::GRPC_PORT));
    reader.relation(
        &[&settings::PORT, &settings::GRPC_PORT],
        http == 0 || http != grpc,
        "different ports",
        "Give each its own",
    );
    (http, grpc)
}

fn tls(reader: &mut Reader<'_>, method: Method) -> Option<TlsFiles> {
    let certificate = reader.optional(&settings::TLS_CERT, certificates);
    let key = reader.optional(&settings::TLS_KEY, |text| {
        readable(text, check_key).map_err(|why| format!("a PEM file of a private key ({why})"))
    });
    let client_ca = reader.optional(&settings::TLS_CLIENT_CA, certificates);
    reader.relation(
        &[&settings::TLS_CERT, &settings::TLS_KEY],
        certificate.is_some() == key.is_some(),
        "a certificate and its key, or neither",
        "Set both, or leave both out",
    );
    reader.relation(
        &[&settings::TLS_CLIENT_CA, &settings::TLS_CERT],
        client_ca.is_none() || certificate.is_some(),
        "a certificate of the server where clients present theirs",
        "Set INVENTORY_TLS_CERT and INVENTORY_TLS_KEY too",
    );
    let has_all = certificate.is_some() && key.is_some() && client_ca.is_some();
    reader.relation(
        &[&settings::AUTH, &settings::TLS_CERT, &settings::TLS_KEY, &settings::TLS_CLIENT_CA],
        method != Method::Mtls || has_all,
        "a certificate, its key and a client CA, as mtls has callers known by their certificates",
        "Set all three",
    );
    let files = TlsFiles { certificate: certificate?, key: key?, client_ca };
    if let Err(error) = files.check() {
        reader.relation(
            &[&settings::TLS_CERT, &settings::TLS_KEY, &settings::TLS_CLIENT_CA],
            false,
            &format!("files that a server can start with ({error})"),
            "Set the key of this certificate, and a CA that may sign",
        );
    }
    Some(files)
}

fn certificates(text: &str) -> Result<PathBuf, String> {
    let checked = readable(text, check_certificates);
    checked.map_err(|why| format!("a PEM file of certificates ({why})"))
}

/// The path of a file that passes the check.
fn readable(text: &str, check: fn(&Path) -> io::Result<()>) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    check(&path).map_err(|error| error.to_string())?;
    Ok(path)
}

fn auth(reader: &mut Reader<'_>, method: Method) -> AuthSettings {
    let issuer = reader.optional(&settings::JWT_ISSUER, claim);
    let audience = reader.optional(&settings::JWT_AUDIENCE, claim);
    let jwks: Option<JwksPlace> = reader.optional(&settings::JWT_JWKS, str::parse);
    let algorithms = reader.value(&settings::JWT_ALGORITHMS, Vec::new(), algorithms);
    let tokens =
        [&settings::AUTH, &settings::JWT_ISSUER, &settings::JWT_AUDIENCE, &settings::JWT_JWKS];
    let has_all = issuer.is_some() && audience.is_some() && jwks.is_some();
    reader.relation(
        &tokens,
        method != Method::Jwt || has_all,
        "an issuer, an audience and the issuer's keys, by which jwt checks tokens",
        "Set all three",
    );
    let has_any = issuer.is_some() || audience.is_some() || jwks.is_some();
    reader.relation(
        &tokens,
        method == Method::Jwt || !has_any,
        "INVENTORY_AUTH=jwt where a setting of tokens is given: no token is checked otherwise",
        "Set INVENTORY_AUTH to jwt, or leave the others out",
    );
    match (method, issuer, audience, jwks) {
        (Method::Jwt, Some(issuer), Some(audience), Some(jwks)) => {
            AuthSettings::Jwt(JwtSettings { issuer, audience, jwks, algorithms })
        }
        (Method::Mtls, ..) => AuthSettings::Mtls,
        _ => AuthSettings::None,
    }
}

fn callers(reader: &mut Reader<'_>, method: Method) -> CallerRules {
    let rules = reader.optional(&settings::CALLER_RULES, |text| {
        let expected = |why: String| format!("a JSON file of callers ({why})");
        let json = bounded_text(text).map_err(|error| expected(error.to_string()))?;
        CallerRules::parse(&json).map_err(expected)
    });
    reader.relation(
        &[&settings::AUTH, &settings::CALLER_RULES],
        method != Method::Mtls || rules.is_some(),
        "a file of callers, as a certificate names no scopes",
        "Set INVENTORY_CALLERS",
    );
    rules.unwrap_or_default()
}

fn bounded_text(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CALLERS_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CALLERS_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

fn limits(reader: &mut Reader<'_>) -> LimitSettings {
    let mut rate = |setting, what| {
        let parsed = reader.value(setting, 1, |text| parse::whole(text, 1..=RATE_MAX, what));
        NonZeroU32::new(parsed).unwrap_or(NonZeroU32::MIN)
    };
    let rate_per_second = rate(&settings::RATE, "requests a second");
    let burst = rate(&settings::BURST, "requests");
    let mut in_flight = |setting| {
        reader.value(setting, 1, |text| parse::whole(text, 1..=IN_FLIGHT_MAX, "requests"))
    };
    LimitSettings {
        rate_per_second,
        burst,
        commands_in_flight_max: in_flight(&settings::COMMANDS_IN_FLIGHT),
        lists_in_flight_max: in_flight(&settings::LISTS_IN_FLIGHT),
    }
}

fn streams(reader: &mut Reader<'_>) -> StreamSettings {
    let mut streams =
        |setting| reader.value(setting, 1, |text| parse::whole(text, 1..=STREAMS_MAX, "streams"));
    StreamSettings {
        streams_max: streams(&settings::STREAMS),
        per_caller_max: streams(&settings::STREAMS_OF_CALLER),
    }
}

fn stress(reader: &mut Reader<'_>) -> Option<u64> {
    let is_allowed = switch(reader, &settings::ALLOW_STRESS);
    let commands_max = reader.value(&settings::STRESS_COMMANDS_MAX, 1, |text| {
        parse::whole(text, 1..=STRESS_COMMANDS_MAX, "commands")
    });
    is_allowed.then_some(commands_max)
}

fn switch(reader: &mut Reader<'_>, setting: &'static Setting) -> bool {
    let words = [("true", true), ("false", false)];
    reader.value(setting, false, |text| parse::one_of(text, &words))
}

fn seconds(
    reader: &mut Reader<'_>,
    setting: &'static Setting,
    range_ms: std::ops::RangeInclusive<u64>,
) -> Duration {
    reader.value(setting, Duration::ZERO, |text| parse::seconds(text, range_ms))
}

fn claim(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > CLAIM_BYTES_MAX {
        return Err(format!("1 to {CLAIM_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

fn algorithms(text: &str) -> Result<Vec<jwt::Algorithm>, String> {
    let names = parse::list(text);
    let known: Result<Vec<_>, ()> = names.map(|name| jwt::algorithm(name).ok_or(())).collect();
    known.ok().filter(|known| !known.is_empty()).ok_or_else(|| {
        format!("at least one of {}, separated by commas", jwt::ALGORITHMS.join(", "))
    })
}

#[cfg(test)]
mod tests;
