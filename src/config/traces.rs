//! Whether and where traces are exported. Read by `run` and `send`, from the environment alone,
//! under OpenTelemetry's own names.
//!
//! What is read here decides whether there is an exporter and is checked at start. The SDK
//! reads its other variables by itself.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::time::Duration;

use url::Url;

use super::{Reader, Section, Setting, parse};

const HEADING: &str = "Traces";

static DISABLED: Setting = Setting::variable(
    HEADING,
    "OTEL_SDK_DISABLED",
    "true|false",
    "Whether traces are off whatever else is set",
)
.or("false");

static EXPORTER: Setting = Setting::variable(
    HEADING,
    "OTEL_TRACES_EXPORTER",
    "EXPORTER",
    "How traces are exported: otlp, or none",
)
.or("otlp");

static ENDPOINT: Setting = Setting::variable(
    HEADING,
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "URL",
    "Where a collector takes OTLP over HTTP, such as http://127.0.0.1:4318. Unset: no traces",
)
.masked(shown);

static TRACES_ENDPOINT: Setting = Setting::variable(
    HEADING,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "URL",
    "The same for traces alone, with the path: http://127.0.0.1:4318/v1/traces",
)
.masked(shown);

static PROTOCOL: Setting = Setting::variable(
    HEADING,
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "PROTOCOL",
    "How OTLP is spoken: http/protobuf",
)
.or("http/protobuf");

static TRACES_PROTOCOL: Setting = Setting::variable(
    HEADING,
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "PROTOCOL",
    "The same for traces alone",
);

static TIMEOUT: Setting = Setting::variable(
    HEADING,
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "MILLISECONDS",
    "How long one export may take",
)
.or("10000");

static TRACES_TIMEOUT: Setting = Setting::variable(
    HEADING,
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "MILLISECONDS",
    "The same for traces alone",
);

static SERVICE_NAME: Setting = Setting::variable(
    HEADING,
    "OTEL_SERVICE_NAME",
    "NAME",
    "What the service is called in traces [default: service.name of OTEL_RESOURCE_ATTRIBUTES, or \
     inventory-worker]",
);

/// Whether traces are exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceConfig {
    /// Where to and how; `None`: there are no traces.
    pub export: Option<TraceExport>,
}

/// How traces are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceExport {
    /// Where spans are posted to: `…/v1/traces`.
    pub endpoint: String,
    /// How long one export may take.
    pub timeout: Duration,
    /// `OTEL_SERVICE_NAME`
    pub service_name: Option<String>,
}

impl Section for TraceConfig {
    fn settings() -> Vec<&'static Setting> {
        vec![
            &ENDPOINT,
            &TRACES_ENDPOINT,
            &PROTOCOL,
            &TRACES_PROTOCOL,
            &TIMEOUT,
            &TRACES_TIMEOUT,
            &EXPORTER,
            &SERVICE_NAME,
            &DISABLED,
        ]
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let base = reader.optional(&ENDPOINT, endpoint);
        let own = reader.optional(&TRACES_ENDPOINT, endpoint);
        // Without an endpoint, the variables are meant for other programs in this environment.
        let is_given = base.is_some() || own.is_some();
        let protocol = |text: &str| if is_given { protocol(text) } else { Ok(()) };
        let timeout = |text: &str| match is_given {
            true => parse::whole(text, 1..=600_000, "milliseconds").map(Duration::from_millis),
            false => Ok(Duration::ZERO),
        };
        let exporter = |text: &str| match is_given {
            true => parse::one_of(text, &[("otlp", true), ("none", false)]),
            false => Ok(false),
        };
        reader.value(&PROTOCOL, (), protocol);
        reader.optional(&TRACES_PROTOCOL, protocol);
        let all = reader.value(&TIMEOUT, Duration::ZERO, timeout);
        let timeout = reader.optional(&TRACES_TIMEOUT, timeout).unwrap_or(all);
        let is_wanted = reader.value(&EXPORTER, false, exporter);
        let service_name = reader.optional(&SERVICE_NAME, |text| Ok(text.to_owned()));
        // OpenTelemetry: any value but "true", in any case, is false.
        let disabled = |text: &str| Ok(text.eq_ignore_ascii_case("true"));
        let is_disabled = reader.value(&DISABLED, true, disabled);
        // The one for all signals is a base; the one for traces is taken as it is.
        let base = base.map(|base| format!("{}/v1/traces", base.as_str().trim_end_matches('/')));
        let endpoint = own.map(String::from).or(base).filter(|_| is_wanted && !is_disabled);
        let export = |endpoint| TraceExport { endpoint, timeout, service_name };
        Self { export: endpoint.map(export) }
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    let is_usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    url.filter(is_usable).ok_or_else(|| "a URL that begins with http:// or https://".to_owned())
}

/// gRPC would be a second protocol for the same spans; every collector takes this one.
fn protocol(text: &str) -> Result<(), String> {
    let expected = "http/protobuf, which collectors take on port 4318 (grpc and http/json are not \
                    supported)";
    (text == "http/protobuf").then_some(()).ok_or_else(|| expected.to_owned())
}

/// Without user and password, which a URL may hold.
fn shown(text: &str) -> String {
    let Ok(mut url) = endpoint(text) else { return parse::HIDDEN.to_owned() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{ConfigError, Flags};

    fn read(variables: &[(&str, &str)]) -> Result<TraceConfig, ConfigError> {
        let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
        Flags::<TraceConfig>::none().load(&environment)
    }

    fn endpoint_of(variables: &[(&str, &str)]) -> Option<String> {
        read(variables).unwrap().export.map(|export| export.endpoint)
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn there_are_no_traces_without_an_endpoint() {
        assert_eq!(endpoint_of(&[]), None);
        assert_eq!(endpoint_of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
        assert_eq!(endpoint_of(&[("OTEL_SERVICE_NAME", "inventory")]), None);
    }

    #[test]
    fn the_endpoint_for_all_signals_is_a_base_and_that_for_traces_is_taken_as_it_is() {
        let all = Some("http://collector:4318/v1/traces".to_owned());
        assert_eq!(endpoint_of(&[BASE]), all);
        assert_eq!(endpoint_of(&[(BASE.0, "http://collector:4318/")]), all);
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces/intake?team=a");
        assert_eq!(endpoint_of(&[BASE, own]).as_deref(), Some(own.1));
        assert_eq!(endpoint_of(&[own]).as_deref(), Some(own.1));
    }

    #[test]
    fn traces_can_be_switched_off_whatever_the_endpoint() {
        for off in [
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_SDK_DISABLED", "True"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ] {
            assert_eq!(endpoint_of(&[BASE, off]), None, "{off:?}");
        }
        assert!(endpoint_of(&[BASE, ("OTEL_SDK_DISABLED", "false")]).is_some());
    }

    #[test]
    fn a_timeout_for_traces_goes_before_the_one_for_all() {
        let timeout = |more: &[(&str, &str)]| {
            read(&[&[BASE], more].concat()).unwrap().export.unwrap().timeout.as_millis()
        };
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000");
        assert_eq!(timeout(&[]), 10_000);
        assert_eq!(timeout(&[all]), 3_000);
        assert_eq!(timeout(&[all, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500")]), 500);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_no_secret_with_it() {
        let wrong = read(&[
            BASE,
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318?key=s3cret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ]);
        let reported = wrong.unwrap_err();
        assert_eq!(reported.0.len(), 4);
        let reported = reported.to_string();
        assert!(reported.contains("4318 (grpc"), "{reported}");
        assert!(!reported.contains("s3cret"), "{reported}");
    }

    #[test]
    fn without_an_endpoint_what_others_set_is_no_fault() {
        let others = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "zipkin")];
        assert_eq!(read(&others).unwrap(), TraceConfig::default());
    }

    #[test]
    fn an_endpoint_is_shown_without_its_password() {
        assert_eq!(shown("https://user:s3cret@collector/"), "https://collector/");
        assert_eq!(shown("nonsense s3cret"), parse::HIDDEN);
    }
}
