use std::{collections::BTreeMap, fs};

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;
use crate::{
    config::{ConfigError, DevConfig, Flags, ServeConfig},
    gateway::{Scope, certificates::Ca},
};

fn load_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<GatewayConfig, ConfigError> {
    let command = Flags::<ServeConfig>::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).unwrap();
    let flags = Flags::<ServeConfig>::from_arg_matches(&matches).unwrap();
    let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
    flags.load(&environment).map(|config| config.gateway)
}

fn load(variables: &[(&str, &str)]) -> Result<GatewayConfig, ConfigError> {
    load_with(&[], variables)
}

fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    load(variables).unwrap_err().0.iter().map(ToString::to_string).collect()
}

const JWT: [(&str, &str); 4] = [
    ("INVENTORY_AUTH", "jwt"),
    ("INVENTORY_JWT_ISSUER", "https://issuer.example"),
    ("INVENTORY_JWT_AUDIENCE", "inventory"),
    ("INVENTORY_JWT_JWKS", "https://issuer.example/keys?v=s3cret"),
];

#[test]
fn nothing_set_listens_on_this_machine_alone_without_authentication() {
    let config = load(&[]).unwrap();
    assert_eq!(config, GatewayConfig::default());
    assert_eq!(config.http_address().to_string(), "127.0.0.1:8080");
    assert_eq!(config.grpc_address().to_string(), "127.0.0.1:50051");
    assert_eq!((&config.auth, &config.tls), (&AuthSettings::None, &None));
    assert_eq!((config.groups, config.queue_age_max), (16, Duration::from_secs(5)));
    assert_eq!((config.limits.rate_per_second.get(), config.limits.burst.get()), (500, 1_000));
}

#[test]
fn a_page_is_there_where_it_is_asked_for_and_shows_only() {
    assert_eq!(load(&[]).unwrap().page, None);
    let shows = Some(PageSettings { is_demo: false, event_id: None });
    assert_eq!(load(&[("INVENTORY_PAGE", "true")]).unwrap().page, shows);
    assert_eq!(load_with(&["--page"], &[]).unwrap().page, shows);
}

#[test]
fn another_address_without_authentication_takes_a_word_of_consent() {
    let host = ("GATEWAY_HOST", "0.0.0.0");
    let refused = problems(&[host]);
    assert_eq!(refused.len(), 1, "{refused:#?}");
    for part in ["GATEWAY_HOST is 0.0.0.0", "--insecure", "INVENTORY_INSECURE=true"] {
        assert!(refused[0].contains(part), "{part}: {refused:?}");
    }
    assert!(load(&[("GATEWAY_HOST", "::1")]).is_ok());
    let consent = load(&[host, ("INVENTORY_INSECURE", "true")]).unwrap();
    assert!(consent.host.is_unspecified());
    let flags = load_with(&["--insecure", "--host", "::"], &[]).unwrap();
    assert_eq!(flags.host.to_string(), "::");
    assert!(load_with(&["--insecure=false", "--host", "::"], &[]).is_err());
}

#[test]
fn tokens_are_checked_by_issuer_audience_and_keys() {
    let config = load(&JWT).unwrap();
    assert!(config.host.is_unspecified());
    let AuthSettings::Jwt(jwt) = config.auth else { panic!("{:?}", config.auth) };
    assert_eq!((&*jwt.issuer, &*jwt.audience), ("https://issuer.example", "inventory"));
    assert_eq!(jwt.algorithms, [jwt::Algorithm::RS256, jwt::Algorithm::ES256]);
    for missing in 1..JWT.len() {
        let mut variables = JWT.to_vec();
        variables.remove(missing);
        let all = problems(&variables);
        assert!(all.len() == 1 && all[0].contains("Set all three"), "{all:#?}");
    }
    let without = problems(&JWT[1..]);
    assert!(without.len() == 1 && without[0].contains("INVENTORY_AUTH=jwt"), "{without:#?}");
    assert!(!without[0].contains("s3cret"), "{without:#?}");
    for wrong in ["HS256", "none", "RS256,HS256", ",", "rs256"] {
        let all = problems(&[&JWT[..], &[("INVENTORY_JWT_ALGORITHMS", wrong)]].concat());
        assert!(all.len() == 1 && all[0].contains("ES384"), "{wrong}: {all:#?}");
    }
}

#[test]
fn certificates_take_a_key_a_ca_and_a_file_of_callers() {
    let folder = tempfile::tempdir().unwrap();
    Ca::new().write_server(folder.path(), true);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [certificate, key, ca, callers] =
        ["cert.pem", "key.pem", "ca.pem", "callers.json"].map(path);
    fs::write(&callers, r#"{"till": {"scopes": ["inventory.command"]}}"#).unwrap();
    let all = [
        ("INVENTORY_AUTH", "mtls"),
        ("INVENTORY_TLS_CERT", &*certificate),
        ("INVENTORY_TLS_KEY", &*key),
        ("INVENTORY_TLS_CLIENT_CA", &*ca),
        ("INVENTORY_CALLERS", &*callers),
    ];
    let config = load(&all).unwrap();
    assert_eq!(config.auth, AuthSettings::Mtls);
    let tls = config.tls.unwrap();
    assert_eq!(tls.client_ca.unwrap().to_str(), Some(&*ca));
    assert_ne!(config.callers, CallerRules::default());
    for missing in 1..all.len() {
        let mut variables = all.to_vec();
        let (missing, _) = variables.remove(missing);
        let found = problems(&variables);
        assert!(found.iter().any(|one| one.contains(missing)), "{missing}: {found:#?}");
    }
    let lone = problems(&[("INVENTORY_TLS_KEY", &key)]);
    assert!(lone.len() == 1 && lone[0].contains("Set both"), "{lone:#?}");
}

#[test]
fn a_file_of_certificates_or_a_key_that_is_none_is_reported_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    for folder in [&own, &other] {
        fs::create_dir(folder).unwrap();
        Ca::new().write_server(folder, false);
    }
    let path = |folder: &Path, name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path(&own, "cert.pem"), path(&own, "key.pem"));
    let with = |certificate: &str, key: &str| {
        [("INVENTORY_TLS_CERT", certificate), ("INVENTORY_TLS_KEY", key)]
            .map(|(name, value)| (name, value.to_owned()))
    };
    let problems_with = |certificate: &str, key: &str| {
        let variables = with(certificate, key);
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, &**value)).collect();
        problems(&variables)
    };
    let variables = with(&certificate, &key);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, &**value)).collect();
    assert!(load(&variables).unwrap().tls.is_some());

    let absent = problems_with("/no/such/cert.pem", &key);
    assert!(absent.len() == 1 && absent[0].contains("INVENTORY_TLS_CERT"), "{absent:#?}");
    assert!(absent[0].contains("/no/such/cert.pem"), "{absent:#?}");
    let swapped = problems_with(&key, &certificate);
    assert_eq!(swapped.len(), 2, "{swapped:#?}");
    assert!(swapped[0].contains("PEM file of certificates"), "{swapped:#?}");
    assert!(swapped[1].contains("PEM file of a private key"), "{swapped:#?}");
    let mixed = problems_with(&certificate, &path(&other, "key.pem"));
    assert!(mixed.len() == 1 && mixed[0].contains("the key of this certificate"), "{mixed:#?}");
}

#[test]
fn a_gateway_has_a_queue_of_commands_besides_that_of_expiries() {
    let only = [("INVENTORY_QUEUES", "e.fifo"), ("INVENTORY_EXPIRIES_QUEUE", "e.fifo")];
    let all = problems(&only);
    assert!(all.len() == 1 && all[0].contains("INVENTORY_QUEUES"), "{all:#?}");
    assert!(all[0].contains("a queue besides that of expiries"), "{all:#?}");
    load(&[("INVENTORY_QUEUES", "c.fifo,e.fifo"), only[1]]).unwrap();
}

#[test]
fn a_wrong_file_of_callers_is_reported_with_what_is_wrong_in_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, r#"{"till": {"scopes": ["inventory.all"]}}"#).unwrap();
    let all = problems(&[("INVENTORY_CALLERS", file.path().to_str().unwrap())]);
    assert!(all.len() == 1 && all[0].contains(Scope::Read.as_str()), "{all:#?}");
    let all = problems(&[("INVENTORY_CALLERS", "/no/such/file")]);
    assert!(all.len() == 1 && all[0].contains("No such file"), "{all:#?}");
}

#[test]
fn storms_are_off_unless_they_are_allowed() {
    assert_eq!(load(&[]).unwrap().stress_commands_max, None);
    assert_eq!(load_with(&["--allow-stress"], &[]).unwrap().stress_commands_max, Some(100_000));
    let limit = ("INVENTORY_STRESS_COMMANDS_MAX", "70");
    assert_eq!(load(&[limit]).unwrap().stress_commands_max, None);
    let allowed = load(&[("INVENTORY_ALLOW_STRESS", "true"), limit]).unwrap();
    assert_eq!(allowed.stress_commands_max, Some(70));
    for wrong in [("INVENTORY_ALLOW_STRESS", "1"), ("INVENTORY_STRESS_COMMANDS_MAX", "0")] {
        assert_eq!(problems(&[wrong]).len(), 1, "{wrong:?}");
    }
}

#[test]
fn every_error_of_the_gateway_is_reported_at_once() {
    let all = problems(&[
        ("GATEWAY_HOST", "localhost"),
        ("PORT", "70000"),
        ("INVENTORY_AUTH", "basic"),
        ("INVENTORY_INSECURE", "yes"),
        ("INVENTORY_JWT_JWKS", "http://issuer.example/keys"),
        ("INVENTORY_RATE_PER_CALLER", "0"),
        ("INVENTORY_GATEWAY_GROUPS", "1025"),
        ("INVENTORY_GATEWAY_COMMANDS_PER_MESSAGE", "101"),
        ("INVENTORY_QUEUE_AGE_MAX_SECONDS", "0"),
        ("INVENTORY_LISTS_IN_FLIGHT", "0"),
        ("INVENTORY_CONNECTIONS", "0"),
        ("INVENTORY_STREAMS_MAX", "0"),
        ("INVENTORY_STREAMS_PER_CALLER", "many"),
    ]);
    assert_eq!(all.len(), 13, "{all:#?}");
}

#[test]
fn a_gateway_of_this_machine_alone_drains_at_once() {
    let environment: BTreeMap<&str, &str> = BTreeMap::new();
    let matches = Flags::<DevConfig>::augment_args(Command::new("test")).get_matches_from(["test"]);
    let flags = Flags::<DevConfig>::from_arg_matches(&matches).unwrap();
    assert_eq!(flags.load(&environment).unwrap().gateway.drain_delay, Duration::ZERO);
}

#[test]
fn ports_differ_from_each_other_and_from_the_admin_port() {
    for (variables, named) in [
        ([("PORT", "9000"), ("GRPC_PORT", "9000")], "GRPC_PORT is 9000"),
        ([("PORT", "9000"), ("ADMIN_PORT", "9000")], "ADMIN_PORT is 9000"),
    ] {
        let all = problems(&variables);
        assert!(all.len() == 1 && all[0].contains(named), "{all:#?}");
    }
    assert!(load(&[("PORT", "0"), ("GRPC_PORT", "0")]).is_ok());
}
