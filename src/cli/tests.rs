mod bulk;
mod send_producers;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use clap::CommandFactory as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::terminal::{Captured, wider_than_80};
use crate::{
    adapters::system::SystemClock,
    admin::{Admin, AdminServer},
    config::{Config, Section as _},
    domain::{Action, PoolId, ReservationId, RestockMode, RestockStatus},
    telemetry::{Metrics, Readiness},
};

struct Ended {
    code: ExitCode,
    out: String,
    errors: String,
}

async fn run_with(variables: &[(&'static str, String)], arguments: &[&str]) -> Ended {
    struct Fixed(BTreeMap<&'static str, String>);
    impl Environment for Fixed {
        fn get(&self, variable: &str) -> Option<OsString> {
            self.0.get(variable).map(OsString::from)
        }

        fn names(&self) -> Vec<String> {
            self.0.keys().map(|name| (*name).to_owned()).collect()
        }
    }
    let ((out, kept), (errors, kept_errors)): ((Output, Captured), (Output, Captured)) =
        (Output::captured(), Output::captured());
    let environment = Box::new(Fixed(variables.iter().cloned().collect()));
    let context = CliContext { environment, out, errors };
    let arguments = ["inventory-worker"].iter().chain(arguments).map(OsString::from);
    let code = execute(arguments, &context).await;
    Ended { code, out: kept.text(), errors: kept_errors.text() }
}

async fn run(arguments: &[&str]) -> Ended {
    run_with(&[], arguments).await
}

fn send_command(arguments: &[&str]) -> Result<send::SendCommand, clap::Error> {
    let arguments = ["inventory-worker", "send"].iter().chain(arguments);
    match Cli::try_parse_from(arguments)?.command {
        Command::Send(args) => Ok(args.command.expect("a command")),
        _ => panic!("no send"),
    }
}

#[test]
fn the_definitions_of_the_arguments_hold_together() {
    Cli::command().debug_assert();
}

#[tokio::test]
async fn bad_usage_exits_with_64() {
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &[],
        &["run", "--pollers"],
        &["send", "reserve", "--user", "u", "--seat", "A-1"],
        &["send", "reserve", "--event", "1", "--store", "s", "--user", "u", "--seat", "A-1"],
        &["send", "reserve", "--event", "1", "--user", "u"],
        &["send", "restock", "--store", "s", "--line", "x=1"],
        &["send", "reserve", "--store", "s", "--user", "u", "--line", "x=0"],
        &["send"],
        &["schema", "no-such-schema"],
        &["seats"],
        &["seats", "9007199254740992"],
        &["stock", "store-1"],
        &["stock", "event#042"],
        &["reservation", "7"],
    ] {
        let ended = run(arguments).await;
        assert_eq!(ended.code, ExitCode::Usage, "{arguments:?}: {}", ended.errors);
        assert!(!ended.errors.is_empty() && ended.out.is_empty(), "{arguments:?}");
    }
}

/// A command that a worker would refuse is bad usage, however it was given.
#[tokio::test]
async fn a_command_that_breaks_the_contract_exits_with_64_and_names_every_wrong_line() {
    let twice = ["send", "reserve", "--event", "1", "--user", "u", "--seat", "A-1,A-1"];
    let ended = run(&twice).await;
    assert_eq!(ended.code, ExitCode::Usage, "{}", ended.errors);
    assert!(ended.errors.contains("INVALID_MESSAGE"), "{}", ended.errors);
    let file = tempfile::NamedTempFile::new().unwrap();
    let unknown = r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.no.v1","data":{"event_id":1}}"#;
    std::fs::write(file.path(), format!("no JSON\n\n{unknown}\n")).unwrap();
    let ended = run(&["send", "--file", file.path().to_str().unwrap()]).await;
    assert_eq!(ended.code, ExitCode::Usage, "{}", ended.errors);
    for part in ["line 1: INVALID_MESSAGE", "line 3: UNSUPPORTED_TYPE", "nothing was sent"] {
        assert!(ended.errors.contains(part), "{part}: {}", ended.errors);
    }
}

/// What belongs to one call alone, and so has no variable: what a command is about, whether to look
/// or to act, and that it is meant. By subcommand.
const WITHOUT_VARIABLE: [(&str, &[&str]); 20] = [
    ("dev", &["demo", "open"]),
    ("send", &["file", "batch"]),
    (
        "send reserve",
        &[
            "event",
            "store",
            "id",
            "expiry-time",
            "group",
            "user",
            "seat",
            "line",
            "hold-seconds",
            "reservation",
        ],
    ),
    (
        "send extend",
        &["event", "store", "id", "expiry-time", "group", "reservation", "hold-seconds", "user"],
    ),
    (
        "send modify",
        &[
            "event",
            "store",
            "id",
            "expiry-time",
            "group",
            "reservation",
            "add-seat",
            "add-line",
            "remove-seat",
            "remove-line",
            "user",
        ],
    ),
    (
        "send confirm",
        &[
            "event",
            "store",
            "id",
            "expiry-time",
            "group",
            "reservation",
            "booking",
            "user",
            "goods",
            "allow-expired",
        ],
    ),
    ("send fulfil", &["event", "store", "id", "expiry-time", "group", "reservation", "user"]),
    (
        "send cancel",
        &[
            "event",
            "store",
            "id",
            "expiry-time",
            "group",
            "reservation",
            "user",
            "reason",
            "refund",
            "seats-to",
        ],
    ),
    (
        "send restock",
        &[
            "event",
            "store",
            "id",
            "expiry-time",
            "group",
            "seat",
            "section",
            "row-number",
            "seat-type",
            "price",
            "status",
            "line",
            "mode",
            "as-of",
            "reason",
            "reference",
        ],
    ),
    ("dlq list", &["reason"]),
    ("dlq show", &["all", "reason"]),
    ("dlq redrive", &["all", "reason", "dry-run"]),
    ("dlq discard", &["all", "reason", "yes"]),
    ("import", &["pool", "dry-run"]),
    ("export", &["private", "csv"]),
    ("forget", &["dry-run", "yes"]),
    ("storm", &["yes"]),
    ("check-config", &["gateway"]),
    ("schema", &["list"]),
    ("health", &["ready"]),
];

#[test]
fn every_option_is_an_environment_variable_but_what_belongs_to_one_call() {
    fn collect(command: &clap::Command, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
        for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
            if arg.get_env().is_none() {
                let flag = arg.get_long().unwrap().to_owned();
                found.entry(path.to_owned()).or_default().push(flag);
            }
        }
        for command in command.get_subcommands() {
            collect(command, format!("{path} {}", command.get_name()).trim(), found);
        }
    }
    let mut found = BTreeMap::new();
    collect(&Cli::command(), "", &mut found);
    let allowed = WITHOUT_VARIABLE.map(|(path, flags)| {
        (path.to_owned(), flags.iter().map(|flag| (*flag).to_owned()).collect())
    });
    // Both ways: what has got a variable meanwhile leaves the list.
    assert_eq!(found, BTreeMap::from(allowed));
}

#[test]
fn help_shows_the_variable_of_every_option_that_has_one() {
    fn check(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        for arg in command.get_arguments() {
            let Some(variable) = arg.get_env() else { continue };
            let variable = format!("[env: {}]", variable.to_str().unwrap());
            assert!(help.contains(&variable), "{}: {variable}", command.get_name());
        }
        command.get_subcommands_mut().for_each(check);
    }
    let mut command = Cli::command();
    command.build();
    check(&mut command);
}

/// A word alone on its line is excepted: a default such as the list of queues is not cut. So are
/// the values of `check-config`, which are as long as they are and there to be copied, and the usage,
/// which clap writes on one line.
#[test]
fn help_fits_80_columns() {
    fn check(command: &clap::Command) {
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        let mut narrow = command.clone().term_width(80);
        for help in [narrow.render_help(), narrow.render_long_help()] {
            let help = help.to_string();
            let mut wide = wider_than_80(&help);
            let is_one_line = |line: &str| line.starts_with("Usage: ");
            wide.retain(|line| line.split_whitespace().count() > 1 && !is_one_line(line));
            assert_eq!(wide, Vec::<&str>::new(), "{name}");
        }
        // Command lines to be copied are never wrapped.
        for after in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten()
        {
            let after = after.to_string();
            let examples = after.lines().filter(|line| line.starts_with("  inventory-worker"));
            for example in examples {
                assert!(example.chars().count() <= 80, "{name}: {example}");
            }
        }
        command.get_subcommands().for_each(check);
    }
    let mut command = Cli::command();
    command.build();
    check(&command);
}

#[test]
fn a_storm_takes_its_sizes_from_variables_too() {
    let command = Cli::command();
    let storm = command.find_subcommand("storm").unwrap();
    let variable = |name: &str| {
        let arg = storm.get_arguments().find(|arg| arg.get_long() == Some(name)).unwrap();
        arg.get_env().unwrap().to_str().unwrap().to_owned()
    };
    for size in ["stores", "skus", "lines", "rate", "events", "seats", "buyers"] {
        assert_eq!(variable(size), format!("INVENTORY_STORM_{}", size.to_uppercase()));
    }
    assert_eq!(variable("worker"), "INVENTORY_STORM_WORKERS");
}

#[tokio::test]
async fn help_goes_to_stdout_and_names_every_variable_default_and_unit() {
    let ended = run(&["run", "--help"]).await;
    assert_eq!((ended.code, ended.errors.as_str()), (ExitCode::Done, ""));
    let text = ended.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "--visibility-seconds <SECONDS>",
        "[env: INVENTORY_VISIBILITY_SECONDS] [default: 60]",
        "--in-flight-mib <MIB>",
        "[env: REDIS_URL]",
        "[env: INVENTORY_NO_SWEEPER]",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn short_help_has_the_few_settings_that_most_set_and_long_help_all() {
    for (subcommand, lines_max) in
        [("run", 25), ("serve", 36), ("send", 40), ("dlq list", 25), ("audit", 20)]
    {
        let words: Vec<&str> = subcommand.split(' ').collect();
        let short = run(&[&words[..], &["-h"]].concat()).await.out;
        let long = run(&[&words[..], &["--help"]].concat()).await.out;
        let lines = short.lines().count();
        assert!(lines <= lines_max, "{subcommand}: {lines} lines\n{short}");
        assert!(short.contains("see more with '--help'"), "{short}");
        assert!(short.contains("INVENTORY_QUEUES"), "{short}");
        assert!(!short.contains("DYNAMODB_TABLE_SEATS"), "{short}");
        assert!(long.contains("DYNAMODB_TABLE_SEATS"), "{long}");
    }
}

#[tokio::test]
async fn send_alone_lists_what_can_be_sent_and_its_help_has_examples() {
    let bare = run(&["send"]).await.errors;
    for word in ["reserve", "extend", "modify", "confirm", "fulfil", "cancel", "restock", "--file"]
    {
        assert!(bare.contains(word), "{word}: {bare}");
    }
    for help in ["-h", "--help"] {
        let shown = run(&["send", help]).await.out;
        let examples = shown.lines().filter(|line| line.starts_with("  inventory-worker send "));
        let mut count = 0;
        for line in examples {
            let line = line.replace("UUID", "00000000-0000-0000-0000-000000000000");
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}");
            count += 1;
        }
        assert!(count >= 5, "{help}: {shown}");
    }
}

#[test]
fn lines_are_separated_by_commas_as_seats_are() {
    let reserve = ["reserve", "--store", "s", "--user", "u", "--line", "a=1,b=2", "--line", "c=3"];
    let Action::Reserve(reserve) =
        send_command(&reserve).unwrap().action(ReservationId(uuid::Uuid::nil()))
    else {
        panic!("no reserve")
    };
    let lines: Vec<_> =
        reserve.lines.iter().map(|line| (line.sku.to_string(), line.quantity)).collect();
    assert_eq!(lines, [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]);
    let restock = ["restock", "--store", "s", "--mode", "add", "--line", "a=-1,b=2@7"];
    let Action::Restock(restock) =
        send_command(&restock).unwrap().action(ReservationId(uuid::Uuid::nil()))
    else {
        panic!("no restock")
    };
    let lines: Vec<_> =
        restock.lines.iter().map(|line| (line.quantity, line.expected_version)).collect();
    assert_eq!(lines, [(-1, None), (2, Some(7))]);
}

#[tokio::test]
async fn a_wrong_configuration_exits_with_64_and_says_everything() {
    let variables = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("INVENTORY_POLLERS", "0".to_owned()),
        ("ADMIN_PORT", "http".to_owned()),
        ("INVENTORY_LOG_FORMAT", "xml".to_owned()),
    ];
    for command in ["run", "check-config"] {
        let ended = run_with(&variables, &[command]).await;
        assert_eq!(ended.code, ExitCode::Usage);
        for name in ["INVENTORY_POLLERS", "ADMIN_PORT", "INVENTORY_LOG_FORMAT"] {
            assert!(ended.errors.contains(name), "{command}: {}", ended.errors);
        }
    }
    let ended = run_with(&variables, &["check-config", "--json"]).await;
    assert_eq!(ended.code, ExitCode::Usage);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["problems"].as_array().unwrap().len(), 3);
    assert_eq!(report["problems"][0]["variables"][0], "INVENTORY_POLLERS");
}

#[tokio::test]
async fn check_config_shows_every_value_and_where_it_is_from_but_no_secret() {
    let variables = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("REDIS_URL", "rediss://:s3cret@cache".to_owned()),
        ("INVENTORY_POLLERS", "3".to_owned()),
        ("INVENTORY_NO_SWEEPER", "true".to_owned()),
        ("INVENTORY_VISIBILTY_SECONDS", "70".to_owned()),
    ];
    let human = run_with(&variables, &["check-config", "--grace-seconds", "40"]).await;
    assert_eq!(human.code, ExitCode::Done, "{}", human.errors);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = human.out.lines().map(words).collect();
    for expected in [
        ["REDIS_URL", "rediss://***@cache:6379", "URL", "variable"],
        ["INVENTORY_POLLERS", "3", "COUNT", "variable"],
        ["INVENTORY_GRACE_SECONDS", "40", "SECONDS", "flag"],
        ["ADMIN_PORT", "9090", "PORT", "default"],
        ["AWS_ENDPOINT_URL", "-", "URL", "default"],
        ["INVENTORY_NO_SWEEPER", "true", "BOOL", "variable"],
    ] {
        assert!(lines.iter().any(|line| line == &expected), "{expected:?}: {}", human.out);
    }
    let json = run_with(&variables, &["check-config", "--json"]).await;
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["valid"], true);
    let settings = report["settings"].as_array().unwrap();
    let shown: Vec<&str> = settings.iter().map(|one| one["variable"].as_str().unwrap()).collect();
    let declared = [Config::settings(), LogConfig::settings()].concat();
    assert_eq!(shown, declared.iter().map(|one| one.variable).collect::<Vec<_>>());
    let pollers = settings.iter().find(|one| one["variable"] == "INVENTORY_POLLERS").unwrap();
    assert_eq!((&pollers["value"], &pollers["flag"]), (&"3".into(), &"--pollers".into()));
    assert!(!human.out.contains("s3cret") && !json.out.contains("s3cret"));
    let unknown =
        "INVENTORY_VISIBILTY_SECONDS is no setting; the nearest is INVENTORY_VISIBILITY_SECONDS";
    assert!(human.errors.contains(unknown), "{}", human.errors);
    assert_eq!(report["unknown"][0]["nearest"], "INVENTORY_VISIBILITY_SECONDS");
    assert_eq!(report["unknown"].as_array().unwrap().len(), 1, "{report}");
}

#[tokio::test]
async fn check_config_checks_the_gateway_on_demand() {
    let variables = [("AWS_REGION", "eu-central-1".to_owned()), ("PORT", "seven".to_owned())];
    let ended = run_with(&variables, &["check-config", "--gateway"]).await;
    assert_eq!(ended.code, ExitCode::Usage);
    assert!(ended.errors.contains("PORT"), "{}", ended.errors);
    let of_worker = run_with(&variables, &["check-config"]).await;
    assert_eq!(of_worker.code, ExitCode::Done, "{}", of_worker.errors);
    // It would have nowhere to post.
    let variables = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("INVENTORY_QUEUES", "inventory-expiries.fifo".to_owned()),
    ];
    let ended = run_with(&variables, &["check-config", "--gateway"]).await;
    assert_eq!(ended.code, ExitCode::Usage);
    assert!(ended.errors.contains("INVENTORY_QUEUES"), "{}", ended.errors);
    let of_worker = run_with(&variables, &["check-config"]).await;
    assert_eq!(of_worker.code, ExitCode::Done, "{}", of_worker.errors);
}

/// The texts of Rust's own parsers, which name neither what is expected nor an example.
const RAW: [&str; 5] =
    ["invalid digit", "cannot parse", "number too large", "failed to parse", "invalid float"];

#[tokio::test]
async fn a_wrong_value_is_told_what_is_expected_in_words() {
    let hold = ["send", "reserve", "--event", "1", "--user", "u", "--seat", "A-1"];
    let more = |flags: &'static [&'static str]| [&hold[..], flags].concat();
    for arguments in [
        more(&["--hold-seconds", "soon"]),
        more(&["--hold-seconds", "99999999999999999999"]),
        more(&["--expiry-time", "tomorrow"]),
        more(&["--reservation", "7"]),
        more(&["--wait", "long"]),
        more(&["--line", "tea=few"]),
        vec!["send", "reserve", "--event", "one", "--user", "u", "--seat", "A-1"],
        vec!["send", "restock", "--event", "1", "--seat", "A-1", "--price", "cheap"],
        vec!["send", "restock", "--store", "s", "--line", "a=1@x", "--mode", "set"],
        vec!["send", "restock", "--store", "s", "--line", "a=1", "--mode", "set", "--as-of", "9"],
        vec!["seats", "one"],
        vec!["stock", "nowhere"],
        vec!["reservation", "7"],
        vec!["storm", "--stores", "many"],
        vec!["storm", "--timeout", "long"],
        vec!["dlq", "list", "--limit", "all"],
        vec!["run", "--pollers", "few"],
        vec!["run", "--admin-port", "x"],
    ] {
        let ended = run(&arguments).await;
        assert_eq!(ended.code, ExitCode::Usage, "{arguments:?}: {}", ended.errors);
        let raw = RAW.iter().find(|raw| ended.errors.contains(**raw));
        assert_eq!(raw, None, "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.starts_with("error: "), "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.contains("expected"), "{arguments:?}: {}", ended.errors);
    }
}

#[tokio::test]
async fn the_version_names_the_revision() {
    let ended = run(&["--version"]).await;
    let revision = option_env!("INVENTORY_BUILD_REVISION").unwrap_or("unknown");
    let expected =
        format!("inventory-worker {} (revision {revision})\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((ended.code, ended.out), (ExitCode::Done, expected));
}

#[tokio::test]
async fn completions_and_manual_pages_are_printed_or_written() {
    let completions = run(&["completions", "bash"]).await;
    assert_eq!(completions.code, ExitCode::Done, "{}", completions.errors);
    assert!(completions.out.contains("complete -F"), "{}", completions.out);
    assert!(run(&["man"]).await.out.contains(".TH inventory-worker"));
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    assert_eq!(run(&["man", pages.to_str().unwrap()]).await.code, ExitCode::Done);
    assert!(pages.join("inventory-worker.1").is_file());
    assert!(pages.join("inventory-worker-send-reserve.1").is_file());
    assert_eq!(run(&["completions", "no-such-shell"]).await.code, ExitCode::Usage);
}

#[tokio::test]
async fn schema_prints_one_document_or_all_of_them() {
    let one = run(&["schema", "inventory.reserve.v1"]).await;
    let schema: Value = serde_json::from_str(&one.out).unwrap();
    assert!((one.code == ExitCode::Done) && schema.is_object());
    assert!(run(&["schema", "asyncapi"]).await.out.starts_with("asyncapi: 3"));
    assert!(run(&["schema", "openapi"]).await.out.starts_with("openapi: 3"));
    let list = run(&["schema", "--list"]).await.out;
    let all: Value = serde_json::from_str(&run(&["schema", "--json"]).await.out).unwrap();
    let human = run(&["schema"]).await.out;
    for name in list.lines() {
        assert!(human.contains(&format!("# {name}\n")), "{name}");
        let is_other = name == "asyncapi" || name == "openapi";
        assert!(is_other || all["schemas"][name].is_object(), "{name}");
    }
    assert_eq!(list.lines().count(), all["schemas"].as_object().unwrap().len() + 2);
}

#[tokio::test]
async fn a_schema_as_json_is_one_line_of_what_was_asked_for() {
    let all: Value = serde_json::from_str(&run(&["schema", "--json"]).await.out).unwrap();
    let one = run(&["schema", "inventory.reserve.v1", "--json"]).await.out;
    assert_eq!(one.lines().count(), 1);
    let one: Value = serde_json::from_str(&one).unwrap();
    let name = "inventory.reserve.v1";
    assert_eq!(one, serde_json::json!({ "schemas": { name: all["schemas"][name] } }));
    let asyncapi: Value =
        serde_json::from_str(&run(&["schema", "asyncapi", "--json"]).await.out).unwrap();
    assert_eq!(asyncapi, serde_json::json!({ "asyncapi": all["asyncapi"] }));
    let openapi: Value =
        serde_json::from_str(&run(&["schema", "openapi", "--json"]).await.out).unwrap();
    let document: Value = serde_json::from_str(crate::message::catalog::openapi_json()).unwrap();
    assert_eq!(openapi, serde_json::json!({ "openapi": document }));
    let names: Vec<String> =
        serde_json::from_str(&run(&["schema", "--list", "--json"]).await.out).unwrap();
    assert_eq!(names, run(&["schema", "--list"]).await.out.lines().collect::<Vec<_>>());
}

async fn admin_server(readiness: Readiness) -> SocketAddr {
    let metrics = Arc::new(Metrics::new().unwrap());
    let admin = Admin { metrics, readiness, clock: Arc::new(SystemClock) };
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), admin).await.unwrap();
    let address = server.address();
    tokio::spawn(server.serve(CancellationToken::new()));
    address
}

#[tokio::test]
async fn health_asks_the_admin_port() {
    let readiness = Readiness::of(["store"]);
    let port = ("ADMIN_PORT", admin_server(readiness.clone()).await.port().to_string());
    let alive = run_with(std::slice::from_ref(&port), &["health"]).await;
    assert_eq!((alive.code, alive.out.as_str()), (ExitCode::Done, "ok\n"));
    let starting = run_with(std::slice::from_ref(&port), &["health", "--ready"]).await;
    assert_eq!(starting.code, ExitCode::Failed);
    assert!(starting.out.contains("starting"), "{}", starting.out);
    readiness.set("store", Ok(()));
    assert_eq!(run_with(&[port], &["health", "--ready"]).await.code, ExitCode::Done);
}

#[tokio::test]
async fn health_without_an_answer_exits_with_69() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let ended = run(&["health", "--admin-port", &free]).await;
    assert_eq!(ended.code, ExitCode::Unreachable);
    assert!(ended.errors.contains(&free), "{}", ended.errors);
}

#[test]
fn a_reserve_is_read_as_it_was_written() {
    let nil = ReservationId(uuid::Uuid::nil());
    let arguments =
        ["reserve", "--event", "42", "--user", "u-7", "--seat", "A-1,A-2", "--line", "a=b=2"];
    let command = send_command(&arguments).unwrap();
    assert_eq!(command.address().pool(), Some(PoolId::Event(42)));
    assert_eq!(command.address().source.as_str(), "/inventory-cli");
    let Action::Reserve(reserve) = command.action(nil) else { panic!("no reserve") };
    let seats: Vec<&str> = reserve.seats.iter().map(|seat| seat.as_str()).collect();
    assert_eq!(seats, ["A-1", "A-2"]);
    assert_eq!((reserve.lines[0].sku.as_str(), reserve.lines[0].quantity), ("a=b", 2));
    assert_eq!((reserve.reservation_id, reserve.hold_seconds), (nil, None));
}

#[test]
fn a_restock_gives_its_fields_to_every_seat() {
    let arguments = [
        "restock", "--event", "42", "--seat", "A-1", "--seat", "A-2", "--price", "49.50",
        "--status", "blocked", "--line", "ga=0", "--mode", "set",
    ];
    let command = send_command(&arguments).unwrap();
    let Action::Restock(restock) = command.action(ReservationId(uuid::Uuid::nil())) else {
        panic!("no restock")
    };
    assert_eq!((restock.seats.len(), restock.mode), (2, RestockMode::Set));
    for seat in &restock.seats {
        assert_eq!(seat.price.unwrap().to_string(), "49.50");
        assert_eq!((seat.status, &seat.section), (Some(RestockStatus::Blocked), &None));
    }
}

#[test]
fn waiting_takes_a_number_of_seconds_or_none() {
    let wait = |arguments: &[&str]| {
        let confirm = ["confirm", "--store", "s", "--booking", "b", "--reservation"];
        let id = "00000000-0000-0000-0000-000000000000";
        let all: Vec<&str> =
            confirm.into_iter().chain([id]).chain(arguments.iter().copied()).collect();
        send_command(&all).map(|command| command.delivery().wait).map_err(|error| error.kind())
    };
    assert_eq!(wait(&[]), Ok(None));
    assert_eq!(wait(&["--wait"]), Ok(Some(30)));
    assert_eq!(wait(&["--wait", "5"]), Ok(Some(5)));
    assert!(wait(&["--wait", "0"]).is_err());
}

#[test]
fn an_error_says_how_the_command_ended() {
    let code = |error: PortError| {
        exit_code_of(&anyhow::Error::new(error).context("queue inventory-commands.fifo"))
    };
    assert_eq!(code(PortError::Unavailable("down".to_owned())), ExitCode::Unreachable);
    assert_eq!(code(PortError::Throttled("slow".to_owned())), ExitCode::Unreachable);
    assert_eq!(code(PortError::Refused("rights".to_owned())), ExitCode::Failed);
    assert_eq!(exit_code_of(&anyhow::anyhow!("other")), ExitCode::Failed);
}
