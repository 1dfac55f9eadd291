use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;
use crate::{
    adapters::sqs::bootstrap::VISIBILITY_S, decide::Limits, naming::TableNames, ports::Table,
    worker,
};

fn load(variables: &[(&'static str, &'static str)]) -> Result<Config, ConfigError> {
    let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Flags::none().load(&environment)
}

fn load_with_flags(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let command = Flags::<Config>::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).unwrap();
    let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Flags::<Config>::from_arg_matches(&matches).unwrap().load(&environment)
}

fn problems(variables: &[(&'static str, &'static str)]) -> Vec<String> {
    load(variables).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let config = load(&[]).unwrap();
    assert_eq!(config.worker, worker::Settings::default());
    assert_eq!(config.sweeper, sweeper::Settings::default());
    assert_eq!(config.worker.limits, Limits::default());
    assert_eq!(config.worker.visibility.as_secs(), u64::from(VISIBILITY_S));
    let queues: Vec<&str> = config.aws.queues.iter().map(QueueRef::name).collect();
    assert_eq!(
        queues,
        ["inventory-commands.fifo", "inventory-expiries.fifo", "inventory-restock.fifo"]
    );
    assert_eq!(config.aws.expiries.as_str(), "inventory-expiries.fifo");
    assert_eq!(config.aws.topic.as_str(), "inventory-results.fifo");
    assert!(config.redis.is_none());
    assert_eq!(config.aws, AwsConfig::default());
    assert_eq!(config.monitoring.admin.address().to_string(), "0.0.0.0:9090");
}

#[test]
fn every_error_is_reported_at_once() {
    let all = problems(&[
        ("INVENTORY_VISIBILITY_SECONDS", "soon"),
        ("INVENTORY_LONG_POLL_SECONDS", "21"),
        ("INVENTORY_QUEUES", "orders"),
        ("DYNAMODB_TABLE_SEATS", "x"),
        ("REDIS_URL", "localhost"),
        ("ADMIN_PORT", "70000"),
        ("INVENTORY_LOG_FORMAT", "xml"),
    ]);
    assert_eq!(all.len(), 7, "{all:#?}");
    for (name, expected) in [
        ("INVENTORY_VISIBILITY_SECONDS is \"soon\"", "from 1 to 43200"),
        ("INVENTORY_LONG_POLL_SECONDS is \"21\"", "from 0 to 20"),
        ("INVENTORY_QUEUES is \"orders\"", ".fifo"),
        ("DYNAMODB_TABLE_SEATS is \"x\"", "3 to 255"),
        ("REDIS_URL has a value", "write it as redis://"),
        ("ADMIN_PORT is \"70000\"", "65535"),
        ("INVENTORY_LOG_FORMAT is \"xml\"", "auto or json or text"),
    ] {
        let found = all.iter().any(|one| one.contains(name) && one.contains(expected));
        assert!(found, "{name}: {all:#?}");
    }
}

#[test]
fn the_limits_of_holds_and_counts_are_read_within_their_bounds() {
    let with = |total, ahead| {
        let variables = [
            ("INVENTORY_MAX_HOLD_TOTAL_SECONDS", total),
            ("INVENTORY_MAX_AS_OF_AHEAD_SECONDS", ahead),
        ];
        load(&variables).map(|config| config.worker.limits)
    };
    for (total, ahead) in [("1", "0"), ("31622400", "86400")] {
        let limits = with(total, ahead).unwrap();
        assert_eq!(limits.hold_total_seconds_max.to_string(), total);
        assert_eq!(limits.as_of_ahead_seconds_max.to_string(), ahead);
    }
    for (total, ahead) in [("0", "86401"), ("31622401", "-1"), ("1.5", "soon")] {
        let all = with(total, ahead).unwrap_err().to_string();
        let is_named = |variable: &str, bounds: &str| {
            all.lines().any(|line| line.contains(variable) && line.contains(bounds))
        };
        assert!(is_named("INVENTORY_MAX_HOLD_TOTAL_SECONDS", "from 1 to 31622400"), "{all}");
        assert!(is_named("INVENTORY_MAX_AS_OF_AHEAD_SECONDS", "from 0 to 86400"), "{all}");
    }
    let flags = ["--max-hold-total-seconds", "3600", "--max-as-of-ahead-seconds", "5"];
    let limits = load_with_flags(&flags, &[]).unwrap().worker.limits;
    assert_eq!((limits.hold_total_seconds_max, limits.as_of_ahead_seconds_max), (3_600, 5));
}

#[test]
fn a_relation_names_every_setting_it_rests_on() {
    let all = problems(&[("INVENTORY_HEARTBEAT_SECONDS", "30")]);
    assert_eq!(
        all,
        ["INVENTORY_VISIBILITY_SECONDS is 60 and INVENTORY_HEARTBEAT_SECONDS is 30 and \
          INVENTORY_LEASE_MARGIN_SECONDS is 2: expected visibility > 2 × heartbeat + lease margin, \
          so that one failed extension costs no lease. Raise the visibility or lower the \
          heartbeat."]
    );
}

#[test]
fn settings_that_contradict_each_other_stop_the_start() {
    for (variables, relation) in [
        (vec![("INVENTORY_LOCK_SECONDS", "60")], "lock < visibility"),
        (
            vec![("INVENTORY_LOCK_SECONDS", "2"), ("INVENTORY_LOCK_WAIT_SECONDS", "2")],
            "lock wait < lock",
        ),
        (
            vec![
                ("INVENTORY_LOCK_WAIT_SECONDS", "2"),
                ("INVENTORY_HANDLER_TIMEOUT_SECONDS", "1.5"),
            ],
            "lock wait < handler timeout",
        ),
        (
            vec![("INVENTORY_HANDLER_TIMEOUT_SECONDS", "10"), ("INVENTORY_GRACE_SECONDS", "23")],
            "grace > long poll + flush",
        ),
        (vec![("INVENTORY_HANDLER_TIMEOUT_SECONDS", "22")], "grace > handler timeout + flush"),
        (vec![("INVENTORY_IN_FLIGHT_MESSAGES", "119")], "at least 120 messages"),
        (vec![("INVENTORY_IN_FLIGHT_MIB", "119")], "at least 120 MiB"),
        (vec![("DYNAMODB_TABLE_STOCK", "inventory-seats")], "four different tables"),
    ] {
        let all = problems(&variables);
        assert!(all.len() == 1 && all[0].contains(relation), "{relation}: {all:#?}");
    }
}

#[test]
fn a_relation_is_silent_where_one_of_its_settings_is_wrong_already() {
    let all = problems(&[
        ("INVENTORY_VISIBILITY_SECONDS", "0"),
        ("INVENTORY_GRACE_SECONDS", "x"),
        ("INVENTORY_QUEUES", "x"),
    ]);
    assert_eq!(all.len(), 3, "{all:#?}");
}

#[test]
fn a_flag_wins_over_its_variable() {
    let variables = [("INVENTORY_POLLERS", "3"), ("ADMIN_PORT", "1")];
    let config = load_with_flags(&["--pollers", "2"], &variables).unwrap();
    assert_eq!((config.worker.pollers, config.monitoring.admin.port), (2, 1));
    let error = load_with_flags(&["--pollers=-1"], &variables).unwrap_err();
    assert!(error.to_string().contains("--pollers is \"-1\""), "{error}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = load(&[("REDIS_URL", ""), ("INVENTORY_POLLERS", "")]).unwrap();
    assert!(config.redis.is_none() && config.worker.pollers == 4);
}

#[test]
fn an_empty_flag_switches_redis_off() {
    let variables = [("REDIS_URL", "redis://cache")];
    assert!(load_with_flags(&[], &variables).unwrap().redis.is_some());
    assert!(load_with_flags(&["--redis-url", ""], &variables).unwrap().redis.is_none());
}

#[test]
fn hints_go_to_the_redis_of_the_view_and_locks_stay_where_they_are() {
    let of = |variables: &[(&'static str, &'static str)]| {
        let config = load(variables).unwrap();
        [config.redis.as_ref(), config.redis_of_view()].map(|url| url.map(ToString::to_string))
    };
    let (locks, view) =
        (("REDIS_URL", "redis://locks"), ("INVENTORY_VIEW_REDIS_URL", "redis://view"));
    let url = |host: &str| Some(format!("redis://{host}:6379"));
    assert_eq!(of(&[]), [None, None]);
    assert_eq!(of(&[locks]), [url("locks"), url("locks")]);
    assert_eq!(of(&[locks, view]), [url("locks"), url("view")]);
    assert_eq!(of(&[view]), [None, url("view")]);
    let shared = load_with_flags(&["--view-redis-url", ""], &[locks, view]).unwrap();
    assert!(shared.view_redis.is_none(), "an empty flag overrides the variable");
    let environment: BTreeMap<&str, &str> = [locks, view].into();
    let served = Flags::<ServeConfig>::none().load(&environment).unwrap();
    assert_eq!(served.redis.map(|url| url.to_string()), url("view"), "the same as the workers'");
}

#[test]
fn a_secret_is_never_shown() {
    let wrong = "redis://:s3cret@cache/x";
    let error = load(&[("REDIS_URL", wrong), ("AWS_ENDPOINT_URL", "http://u:s3cret@h")]);
    let error = error.unwrap_err();
    assert_eq!(error.0.len(), 2);
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    let environment: BTreeMap<&str, &str> = [("REDIS_URL", "redis://:s3cret@cache")].into();
    let (config, effective) = Flags::<Config>::none().load_reported(&environment).unwrap();
    assert!(!format!("{config:?} {effective:?}").contains("s3cret"));
    assert!(effective.iter().any(|one| one.value.as_deref() == Some("redis://***@cache:6379")));
}

#[test]
fn a_value_that_is_no_text_is_reported_like_any_other() {
    use std::os::unix::ffi::OsStringExt as _;

    struct Odd;
    impl Environment for Odd {
        fn get(&self, variable: &str) -> Option<OsString> {
            (variable == "INVENTORY_POLLERS").then(|| OsString::from_vec(vec![0xff]))
        }

        fn names(&self) -> Vec<String> {
            vec!["INVENTORY_POLLERS".to_owned()]
        }
    }
    let error = Flags::<Config>::none().load(&Odd).unwrap_err();
    assert!(error.to_string().contains("INVENTORY_POLLERS has a value that is not shown"));
}

#[test]
fn queues_and_topics_are_named_by_name_or_address() {
    let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders.fifo";
    let arn = "arn:aws:sns:eu-central-1:123456789012:results.fifo";
    let variables = [("INVENTORY_QUEUES", url), ("INVENTORY_RESULTS_TOPIC", arn)];
    let config = load(&variables).unwrap();
    assert_eq!(config.aws.queues, [url.parse().unwrap()]);
    assert_eq!(config.aws.queues[0].name(), "orders.fifo");
    assert_eq!(config.aws.topic.as_str(), arn);
    for wrong in ["a.fifo,a.fifo", "a-dlq.fifo", ",", ".fifo", "a b.fifo", "https://h/a"] {
        assert_eq!(problems(&[("INVENTORY_QUEUES", wrong)]).len(), 1, "{wrong}");
    }
    for wrong in ["results", "arn:aws:sns:::results.fifo", "arn:aws:sqs:r:1:results.fifo"] {
        assert_eq!(problems(&[("INVENTORY_RESULTS_TOPIC", wrong)]).len(), 1, "{wrong}");
    }
}

#[test]
fn the_queue_of_expiries_is_known_by_name_or_address_and_counted_once() {
    let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/ends.fifo";
    let other = "https://sqs.eu-central-1.amazonaws.com/210987654321/ends.fifo";
    for (queues, expiries, every, is_consumed) in [
        ("a.fifo,ends.fifo", "ends.fifo", 2, true),
        ("a.fifo,ends.fifo", url, 2, true),
        (url, "ends.fifo", 1, true),
        (url, other, 2, false),
        ("a.fifo", "ends.fifo", 2, false),
    ] {
        let variables = [("INVENTORY_QUEUES", queues), ("INVENTORY_EXPIRIES_QUEUE", expiries)];
        let aws = load(&variables).unwrap().aws;
        assert_eq!(aws.every_queue().len(), every, "{queues} {expiries}");
        let kinds: Vec<_> = aws.queues.iter().map(|queue| aws.kind_of(queue)).collect();
        assert_eq!(
            kinds.contains(&worker::QueueKind::Expiries),
            is_consumed,
            "{queues} {expiries}"
        );
    }
    for wrong in ["ends", "a.fifo,b.fifo", "a-dlq.fifo"] {
        assert_eq!(problems(&[("INVENTORY_EXPIRIES_QUEUE", wrong)]).len(), 1, "{wrong}");
    }
}

/// The rows of the documents' tables that begin with variables: each variable and its default.
fn documented(documents: &[PathBuf]) -> Vec<(String, String)> {
    let plain = |text: &str| text.trim().trim_matches('`').to_owned();
    let mut found = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(document).unwrap();
        for row in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').collect();
            let variables: Vec<String> = cells[1].split(", ").map(plain).collect();
            let defaults = match variables.len() {
                1 => vec![plain(cells[2])],
                _ => cells[2].split(", ").map(plain).collect(),
            };
            let of = |at: usize| defaults.get(at).cloned().unwrap_or_else(|| "…".to_owned());
            found.extend(variables.into_iter().enumerate().map(|(at, name)| (name, of(at))));
        }
    }
    found
}

/// What AWS's client and OpenTelemetry's SDK read too is explained in their own documents.
#[test]
fn the_documents_name_every_setting_with_its_default() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md"), root.join("docs/operations/reference.md")];
    if let Ok(folder) = std::fs::read_dir(root.join("docs/operations")) {
        documents.extend(folder.map(|entry| entry.unwrap().path()));
    }
    let documented = documented(&documents);
    let declared = [Config::settings(), GatewayConfig::settings(), LogConfig::settings()].concat();
    let is_others = |variable: &str| variable.starts_with("AWS_") || variable.starts_with("OTEL_");
    for setting in declared.into_iter().filter(|setting| !is_others(setting.variable)) {
        let variable = setting.variable;
        let rows: Vec<&String> =
            documented.iter().filter(|(name, _)| name == variable).map(|row| &row.1).collect();
        assert!(!rows.is_empty(), "{variable} is not documented");
        let Some(default) = setting.default else { continue };
        for shown in rows {
            assert!(shown == default || shown == "…", "{variable}: {shown}, not {default}");
        }
    }
}

fn named(variables: &[(&'static str, &'static str)]) -> Result<AwsConfig, ConfigError> {
    let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Flags::<AwsConfig>::none().load(&environment)
}

#[test]
fn a_prefix_names_everything_that_is_not_named_itself() {
    let config = named(&[("INVENTORY_PREFIX", "staging-")]).unwrap();
    let queues: Vec<&str> = config.queues.iter().map(QueueRef::as_str).collect();
    assert_eq!(queues, ["staging-commands.fifo", "staging-expiries.fifo", "staging-restock.fifo"]);
    assert_eq!(config.expiries.as_str(), "staging-expiries.fifo");
    assert_eq!(config.topic.as_str(), "staging-results.fifo");
    assert_eq!(config.tables, TableNames::prefixed("staging-"));
    assert_eq!(config.every_queue().len(), 3);

    let arn = "arn:aws:sns:eu-west-1:123456789012:results.fifo";
    let config = named(&[
        ("INVENTORY_PREFIX", "staging-"),
        ("INVENTORY_QUEUES", "inventory-commands.fifo"),
        ("INVENTORY_RESULTS_TOPIC", arn),
        ("DYNAMODB_TABLE_STOCK", "inventory-stock"),
    ]);
    let config = config.unwrap();
    assert_eq!(config.queues[0].as_str(), "inventory-commands.fifo");
    assert_eq!(config.expiries.as_str(), "staging-expiries.fifo");
    assert_eq!(config.topic.as_str(), arn);
    assert_eq!(config.tables.name(Table::Stock), "inventory-stock");
    assert_eq!(config.tables.name(Table::Seats), "staging-seats");

    assert_eq!(named(&[]).unwrap(), named(&[("INVENTORY_PREFIX", "inventory-")]).unwrap());
}

#[test]
fn what_is_in_effect_shows_the_names_under_the_prefix() {
    let environment = BTreeMap::from([("INVENTORY_PREFIX", "staging-")]);
    let (_, effective) = Flags::<AwsConfig>::none().load_reported(&environment).unwrap();
    let shown = |variable: &str| {
        let found = effective.iter().find(|one| one.setting.variable == variable).unwrap();
        (found.value.clone().unwrap(), found.origin)
    };
    let table = ("staging-ledger".to_owned(), Origin::Default);
    assert_eq!(shown("DYNAMODB_TABLE_LEDGER"), table);
    assert_eq!(shown("INVENTORY_PREFIX"), ("staging-".to_owned(), Origin::Variable));
}

#[test]
fn a_wrong_prefix_is_one_error_with_the_fix() {
    for wrong in ["staging", "stag.ing-", "-", "a-very-long-prefix-of-more-than-forty-characters-"]
    {
        let error = named(&[("INVENTORY_PREFIX", wrong)]).unwrap_err();
        assert_eq!(error.0.len(), 1, "{wrong}: {error}");
        let text = error.to_string();
        assert!(text.contains("INVENTORY_PREFIX is") && text.contains("staging-"), "{text}");
    }
    let wrong = [("INVENTORY_PREFIX", "staging-"), ("INVENTORY_QUEUES", "no queue")];
    let text = named(&wrong).unwrap_err().to_string();
    assert!(text.contains("for the default, staging-commands.fifo"), "{text}");
}

#[test]
fn dev_keeps_its_admin_port_on_this_machine() {
    let empty: BTreeMap<&str, &str> = BTreeMap::new();
    let config = Flags::<DevConfig>::none().load(&empty).unwrap();
    assert_eq!(config.admin.address().to_string(), "127.0.0.1:9090");
}

fn assert_read_and_shown_once<S: Section>() {
    let empty: BTreeMap<&str, &str> = BTreeMap::new();
    let (_, effective) = Flags::<S>::none().load_reported(&empty).unwrap();
    let mut read: Vec<&str> = effective.iter().map(|one| one.setting.variable).collect();
    let declared = [S::settings(), LogConfig::settings()].concat();
    let mut declared: Vec<&str> = declared.iter().map(|setting| setting.variable).collect();
    read.sort_unstable();
    declared.sort_unstable();
    assert_eq!(read, declared);
}

#[test]
fn every_setting_is_read_and_shown_once() {
    assert_read_and_shown_once::<Config>();
    assert_read_and_shown_once::<ServeConfig>();
}
