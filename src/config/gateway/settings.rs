//! The declarations of the gateway's settings.

use crate::config::{Setting, parse};

const LISTENING: &str = "Gateway";
const CALLERS: &str = "Callers of the gateway";
const LIMITS: &str = "Limits of the gateway";

pub(super) static HOST: Setting = Setting::new(
    LISTENING,
    "host",
    "GATEWAY_HOST",
    "ADDRESS",
    "The address the gateway listens on. Unset: 0.0.0.0, or 127.0.0.1 without authentication",
);

pub(super) static PORT: Setting = Setting::new(
    LISTENING,
    "port",
    "PORT",
    "PORT",
    "The port of the HTTP interface; 0 takes any free one",
)
.or("8080")
.common();

pub(super) static GRPC_PORT: Setting = Setting::new(
    LISTENING,
    "grpc-port",
    "GRPC_PORT",
    "PORT",
    "The port of the gRPC interface; 0 takes any free one",
)
.or("50051")
.common();

pub(super) static PAGE: Setting = Setting::new(
    LISTENING,
    "page",
    "INVENTORY_PAGE",
    "true|false",
    "Whether the HTTP interface has a page at / that shows an event's house as it fills",
)
.or("false")
.switch();

pub(super) static TLS_CERT: Setting = Setting::new(
    LISTENING,
    "tls-cert",
    "INVENTORY_TLS_CERT",
    "FILE",
    "The server's certificate chain in PEM, read again every 5 minutes. Unset: no TLS",
);

pub(super) static TLS_KEY: Setting = Setting::new(
    LISTENING,
    "tls-key",
    "INVENTORY_TLS_KEY",
    "FILE",
    "The private key of the certificate in PEM",
);

pub(super) static TLS_CLIENT_CA: Setting = Setting::new(
    LISTENING,
    "tls-client-ca",
    "INVENTORY_TLS_CLIENT_CA",
    "FILE",
    "The certificates in PEM that sign clients' certificates; where it is set, every client must \
     present one",
);

pub(super) static MAX_CONNECTION_AGE: Setting = Setting::new(
    LISTENING,
    "max-connection-age",
    "INVENTORY_MAX_CONNECTION_AGE_SECONDS",
    "SECONDS",
    "After which a connection is closed in good order, so that a load balancer spreads them again; \
     varied by a tenth",
)
.or("600");

pub(super) static CONNECTIONS: Setting = Setting::new(
    LISTENING,
    "connections",
    "INVENTORY_CONNECTIONS",
    "COUNT",
    "The most connections of each port at once; more wait to be accepted",
)
.or("10000");

pub(super) static DRAIN_DELAY: Setting = Setting::new(
    LISTENING,
    "drain-delay",
    "INVENTORY_DRAIN_DELAY_SECONDS",
    "SECONDS",
    "From the signal to stop, at which health checks fail, until no more connections are accepted: \
     the time that a load balancer takes to notice",
)
.or("5");

pub(super) static GRACE: Setting = Setting::new(
    LISTENING,
    "gateway-grace",
    "INVENTORY_GATEWAY_GRACE_SECONDS",
    "SECONDS",
    "From the end of the drain delay until requests under way are cut off",
)
.or("30");

pub(super) static AUTH: Setting = Setting::new(
    CALLERS,
    "auth",
    "INVENTORY_AUTH",
    "METHOD",
    "How callers prove who they are: none, jwt or mtls",
)
.or("none")
.common();

pub(super) static INSECURE: Setting = Setting::new(
    CALLERS,
    "insecure",
    "INVENTORY_INSECURE",
    "true|false",
    "Whether the gateway may listen on other machines' networks without authentication: whoever \
     reaches it may do everything",
)
.or("false")
.switch();

pub(super) static JWT_ISSUER: Setting = Setting::new(
    CALLERS,
    "jwt-issuer",
    "INVENTORY_JWT_ISSUER",
    "TEXT",
    "The `iss` of the tokens that are accepted",
);

pub(super) static JWT_AUDIENCE: Setting = Setting::new(
    CALLERS,
    "jwt-audience",
    "INVENTORY_JWT_AUDIENCE",
    "TEXT",
    "The `aud` of the tokens that are accepted",
);

pub(super) static JWT_JWKS: Setting = Setting::new(
    CALLERS,
    "jwt-jwks",
    "INVENTORY_JWT_JWKS",
    "PLACE",
    "The issuer's public keys, a JSON Web Key Set: an https:// URL, an http:// URL of this machine, \
     or a file",
)
.masked(shown_place);

pub(super) static JWT_ALGORITHMS: Setting = Setting::new(
    CALLERS,
    "jwt-algorithms",
    "INVENTORY_JWT_ALGORITHMS",
    "NAMES",
    "The algorithms of signatures that are accepted, comma-separated",
)
.or("RS256,ES256");

pub(super) static CALLER_RULES: Setting = Setting::new(
    CALLERS,
    "callers",
    "INVENTORY_CALLERS",
    "FILE",
    "What callers may do, in JSON: {\"<subject>\": {\"scopes\": [\"inventory.read\"], \"sources\": \
     [\"/checkout/\"]}}. With jwt, scopes come from the token",
);

pub(super) static RATE: Setting = Setting::new(
    LIMITS,
    "rate-per-caller",
    "INVENTORY_RATE_PER_CALLER",
    "PER SECOND",
    "The requests that one caller may make each second, on average; each reservation of a call is one",
)
.or("500");

pub(super) static BURST: Setting = Setting::new(
    LIMITS,
    "rate-burst",
    "INVENTORY_RATE_BURST",
    "COUNT",
    "The requests that one caller may make at once",
)
.or("1000");

pub(super) static COMMANDS_IN_FLIGHT: Setting = Setting::new(
    LIMITS,
    "commands-in-flight",
    "INVENTORY_COMMANDS_IN_FLIGHT",
    "COUNT",
    "The most commands and point reads at once; more are refused at once",
)
.or("10000");

pub(super) static LISTS_IN_FLIGHT: Setting = Setting::new(
    LIMITS,
    "lists-in-flight",
    "INVENTORY_LISTS_IN_FLIGHT",
    "COUNT",
    "The most lists at once; more are refused at once",
)
.or("256");

pub(super) static STREAMS: Setting = Setting::new(
    LIMITS,
    "streams-max",
    "INVENTORY_STREAMS_MAX",
    "COUNT",
    "The most streams at once; more are refused",
)
.or("5000");

pub(super) static STREAMS_OF_CALLER: Setting = Setting::new(
    LIMITS,
    "streams-per-caller",
    "INVENTORY_STREAMS_PER_CALLER",
    "COUNT",
    "The most streams of one caller at once; more are refused",
)
.or("100");

pub(super) static GROUPS: Setting = Setting::new(
    LIMITS,
    "gateway-groups",
    "INVENTORY_GATEWAY_GROUPS",
    "COUNT",
    "The message groups over which the commands of one pool are spread",
)
.or("16");

pub(super) static COMMANDS_PER_MESSAGE: Setting = Setting::new(
    LIMITS,
    "gateway-commands-per-message",
    "INVENTORY_GATEWAY_COMMANDS_PER_MESSAGE",
    "COUNT",
    "The most commands of one group that share a message",
)
.or("100");

pub(super) static QUEUE_AGE_MAX: Setting = Setting::new(
    LIMITS,
    "queue-age-max",
    "INVENTORY_QUEUE_AGE_MAX_SECONDS",
    "SECONDS",
    "Reserves on an event or store are refused while the oldest command on it waits for longer",
)
.or("5");

pub(super) static ALLOW_STRESS: Setting = Setting::new(
    LIMITS,
    "allow-stress",
    "INVENTORY_ALLOW_STRESS",
    "true|false",
    "Whether callers with the scope inventory.stress may put storms of restocks on the deployment",
)
.or("false")
.switch();

pub(super) static STRESS_COMMANDS_MAX: Setting = Setting::new(
    LIMITS,
    "stress-commands-max",
    "INVENTORY_STRESS_COMMANDS_MAX",
    "COUNT",
    "The most commands of one storm",
)
.or("100000");

/// The gateway's settings, in the order of `--help`.
pub(super) static GATEWAY: [&Setting; 29] = [
    &HOST,
    &PORT,
    &GRPC_PORT,
    &PAGE,
    &TLS_CERT,
    &TLS_KEY,
    &TLS_CLIENT_CA,
    &MAX_CONNECTION_AGE,
    &CONNECTIONS,
    &DRAIN_DELAY,
    &GRACE,
    &AUTH,
    &INSECURE,
    &JWT_ISSUER,
    &JWT_AUDIENCE,
    &JWT_JWKS,
    &JWT_ALGORITHMS,
    &CALLER_RULES,
    &RATE,
    &BURST,
    &COMMANDS_IN_FLIGHT,
    &LISTS_IN_FLIGHT,
    &STREAMS,
    &STREAMS_OF_CALLER,
    &GROUPS,
    &COMMANDS_PER_MESSAGE,
    &QUEUE_AGE_MAX,
    &ALLOW_STRESS,
    &STRESS_COMMANDS_MAX,
];

/// A file as it is, a URL where it can hold no secret.
fn shown_place(text: &str) -> String {
    if text.contains("://") { parse::shown_url(text) } else { text.to_owned() }
}
