//! The audit that production runs on a schedule.

use std::{collections::BTreeSet, path::Path};

use super::{Overlay, Workload};

/// Exit codes of `audit` that do not change on repetition: a violation, and an invalid
/// configuration.
const LASTING: [u64; 2] = [1, 64];

fn audit(overlay: &Overlay) -> Workload {
    let found = overlay.workloads("CronJob");
    assert_eq!(found.len(), 1, "one audit");
    found.into_iter().next().unwrap()
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn an_audit_is_run_at_a_quiet_time_one_at_a_time_and_its_verdict_stands() {
    let audit = audit(&Overlay::load("production"));
    assert_eq!(audit.container()["args"][0], "audit");
    let spec = &audit.object["spec"];
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    assert_eq!(audit.pod()["restartPolicy"], "Never");
    let minute = spec["schedule"].as_str().unwrap().split(' ').next().unwrap();
    assert!((1..60).contains(&minute.parse::<u32>().unwrap()), "not on the hour");
    let rules = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"].as_array().unwrap();
    let fails = rules.iter().find(|rule| rule["action"] == "FailJob").unwrap();
    assert_eq!(fails["onExitCodes"]["values"], serde_json::json!(LASTING));
    assert_eq!(fails["onExitCodes"]["containerName"], audit.container()["name"]);
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn an_audit_that_fails_is_told_by_its_name() {
    let name = audit(&Overlay::load("production")).name;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/monitoring/alerts.yaml");
    let alerts = std::fs::read_to_string(path).unwrap();
    assert!(alerts.contains(&format!("job_name=~\"{name}")), "InventoryAuditFailed");
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn whoever_has_rights_of_its_own_has_an_account_of_its_own() {
    let production = Overlay::load("production");
    let workloads = production.all_workloads();
    let accounts: BTreeSet<&str> = workloads
        .iter()
        .map(|workload| workload.pod()["serviceAccountName"].as_str().unwrap())
        .collect();
    assert_eq!(accounts.len(), workloads.len(), "{accounts:?}");
    for account in accounts {
        let object = production.named("ServiceAccount", account);
        assert_eq!(object["automountServiceAccountToken"], false, "{account}");
    }
}
