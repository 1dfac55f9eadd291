//! ConfigMaps hold only variables that the binary reads.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use inventory_worker::{
    cli::Cli,
    config::{AwsConfig, Config, LogConfig, Section as _, ServeConfig, TraceConfig},
};

use super::{OVERLAYS, Overlay, Workload, rendered::list, workers};

/// Variables that the AWS client reads itself and the worker does not show.
const CLIENT_VARIABLES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Variables that OpenTelemetry's SDK reads itself. `run --help` names them.
const TRACE_VARIABLES: [&str; 3] =
    ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"];

/// The variables that a subcommand reads.
fn variables_of(subcommand: &str) -> BTreeSet<String> {
    let command = Cli::command();
    let command = command.find_subcommand(subcommand).expect("the subcommand exists");
    let of_flags = command.get_arguments().filter_map(|argument| argument.get_env());
    let own = match command.get_name() {
        "serve" => ServeConfig::settings(),
        _ => Config::settings(),
    };
    let settings = [own, LogConfig::settings(), TraceConfig::settings()].concat();
    of_flags
        .map(|name| name.to_str().unwrap().to_owned())
        .chain(settings.into_iter().map(|setting| setting.variable.to_owned()))
        .chain([&CLIENT_VARIABLES[..], &TRACE_VARIABLES].concat().into_iter().map(str::to_owned))
        .collect()
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn every_variable_is_one_that_the_binary_reads() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for workload in overlay.all_workloads() {
            let mut known = variables_of(workload.subcommand());
            if workload.subcommand() != "serve" {
                // A Job shares the ConfigMap of the workers.
                known.extend(variables_of("run"));
            }
            for name in workload.environment.keys() {
                let is_read = known.contains(name) || workload.parts.contains(name);
                assert!(is_read, "{} {}: {name}", overlay.name, workload.name);
            }
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn every_worker_starts_with_its_settings() {
    for (overlay, worker) in workers() {
        let config = worker.config();
        assert!(worker.environment.contains_key("AWS_REGION"), "{}", overlay.name);
        // A ConfigMap that relies on the binary's default hides the deployed value.
        assert!(worker.environment.contains_key("INVENTORY_QUEUES"), "{}", overlay.name);
        assert_eq!(
            config.monitoring.admin.host.to_string(),
            "0.0.0.0",
            "the kubelet comes from outside"
        );
    }
}

#[test]
fn the_variables_of_traces_are_those_that_the_help_names() {
    let help = Cli::command().find_subcommand_mut("run").unwrap().render_long_help().to_string();
    for name in TRACE_VARIABLES {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn with_the_component_of_traces_each_pod_exports_to_its_node() {
    for workload in Overlay::load("production-otlp").workloads("Deployment") {
        let exported = workload.traces().export.map(|export| export.endpoint);
        let expected = Some("http://192.0.2.7:4318/v1/traces");
        assert_eq!(exported.as_deref(), expected, "{}", workload.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn every_workload_runs_a_command_that_the_binary_takes() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for workload in overlay.all_workloads() {
            let arguments = workload.container()["args"].as_array().unwrap().clone();
            let arguments = arguments.iter().map(|argument| argument.as_str().unwrap().to_owned());
            let line = std::iter::once("inventory-worker".to_owned()).chain(arguments);
            Cli::command().try_get_matches_from(line).expect("the binary takes it");
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn the_names_are_the_binarys_own_and_no_queue_goes_without_a_worker() {
    let defaults = AwsConfig::default();
    let wanted: BTreeSet<_> = defaults.queues.iter().cloned().collect();
    for overlay in OVERLAYS.map(Overlay::load) {
        let configs: Vec<Config> = overlay.workers().iter().map(|one| one.config()).collect();
        let consumed: BTreeSet<_> =
            configs.iter().flat_map(|config| config.aws.queues.clone()).collect();
        assert_eq!(consumed, wanted, "{}", overlay.name);
        for config in &configs {
            // The default is a name; an ARN ends in it.
            let topic = config.aws.topic.as_str().rsplit(':').next().unwrap();
            assert_eq!(topic, defaults.topic.as_str(), "{}", overlay.name);
        }
        for workload in overlay.all_workloads() {
            assert_eq!(workload.config().aws.tables, defaults.tables, "{}", workload.name);
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn in_production_everything_is_in_one_account_and_region() {
    let production = Overlay::load("production");
    let mut places = BTreeSet::new();
    for worker in production.workers() {
        let config = worker.config();
        // An ARN: a topic given by name has to be searched for.
        let parts: Vec<&str> = config.aws.topic.as_str().split(':').collect();
        assert_eq!(parts[..3], ["arn", "aws", "sns"], "{}", worker.name);
        places.insert((parts[3].to_owned(), parts[4].to_owned()));
    }
    for workload in production.all_workloads() {
        let image = workload.container()["image"].as_str().unwrap();
        let registry: Vec<&str> = image.split('.').collect();
        places.insert((registry[3].to_owned(), registry[0].to_owned()));
        places.insert((workload.environment["AWS_REGION"].clone(), registry[0].to_owned()));
    }
    for scaler in production.of_kind("ScaledObject") {
        for trigger in scaler["spec"]["triggers"].as_array().unwrap() {
            let url = url::Url::parse(trigger["metadata"]["queueURL"].as_str().unwrap()).unwrap();
            let region = url.host_str().unwrap().split('.').nth(1).unwrap().to_owned();
            let account = url.path().split('/').nth(1).unwrap().to_owned();
            places.insert((region, account));
        }
    }
    assert_eq!(places.len(), 1, "{places:?}");
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn expiries_go_to_a_queue_that_who_sweeps_consumes() {
    for overlay in OVERLAYS.map(Overlay::load) {
        let workers = overlay.workers();
        let sweeps = |name: &str| name == "inventory-worker";
        assert!(workers.iter().any(|worker| sweeps(&worker.name)), "{}", overlay.name);
        for worker in workers {
            let silent = worker.environment.contains_key("INVENTORY_NO_SWEEPER");
            assert_eq!(!silent, sweeps(&worker.name), "{}: {}", overlay.name, worker.name);
            let queue = worker.environment["INVENTORY_EXPIRIES_QUEUE"].as_str();
            assert_eq!(queue, "inventory-expiries.fifo", "{}", worker.name);
            let mut consumed = worker.environment["INVENTORY_QUEUES"].split(',');
            assert_eq!(consumed.any(|one| one == queue), !silent, "{}", worker.name);
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn what_bootstraps_makes_every_queue_that_is_consumed() {
    let local = Overlay::load("local");
    let queues = |workload: &Workload| -> BTreeSet<String> {
        workload.environment["INVENTORY_QUEUES"].split(',').map(str::to_owned).collect()
    };
    let jobs = local.workloads("Job");
    assert_eq!(jobs.len(), 1, "one bootstrap");
    let consumed: BTreeSet<String> = local.workers().iter().flat_map(queues).collect();
    assert_eq!(queues(&jobs[0]), consumed);
}

/// A Job's template is immutable: an apply that changes it is refused.
#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_job_stays_as_it_is_when_settings_change() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for job in overlay.workloads("Job") {
            for source in list(&job.container()["envFrom"]) {
                let name = source["configMapRef"]["name"].as_str().unwrap();
                // A hash of the content, in ten characters, which kustomize appends.
                let hash = name.rsplit('-').next().filter(|last| last.len() == 10);
                assert_eq!(hash, None, "{}: {name} is another with other settings", job.name);
            }
            let lasts = job.object["spec"]["ttlSecondsAfterFinished"].as_u64();
            assert!(lasts.is_some_and(|seconds| seconds <= 60), "{}: run by each apply", job.name);
        }
    }
}
