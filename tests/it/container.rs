//! The Dockerfile, as far as it can be checked without a build.

use std::{collections::BTreeSet, path::Path};

use clap::CommandFactory as _;
use inventory_worker::cli::Cli;

/// Instructions with their continuation lines, comments left out.
fn instructions() -> Vec<String> {
    let text = read("Dockerfile");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.map(|line| match line.strip_suffix('\\') {
        Some(head) => head.to_owned(),
        None => format!("{line}\n"),
    });
    let joined: String = joined.collect();
    joined.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn last(keyword: &str) -> String {
    let mut found = instructions().into_iter().filter(|line| line.starts_with(keyword));
    found.next_back().unwrap_or_else(|| panic!("no {keyword}"))
}

/// The list in the exec form of ENTRYPOINT, CMD and HEALTHCHECK.
fn exec_form(instruction: &str) -> Vec<String> {
    let start = instruction.find('[').expect("the exec form: there is no shell");
    serde_json::from_str(&instruction[start..]).unwrap()
}

#[test]
fn the_image_starts_and_asks_itself_with_commands_that_the_binary_takes() {
    let entry = exec_form(&last("ENTRYPOINT"));
    let run = [entry.clone(), exec_form(&last("CMD"))].concat();
    let health = exec_form(&last("HEALTHCHECK"));
    assert_eq!(entry[0], health[0]);
    for line in [run, health] {
        Cli::command().try_get_matches_from(&line).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_image_is_built_without_what_production_does_not_need() {
    let builds: Vec<_> =
        instructions().into_iter().filter(|line| line.contains("cargo build")).collect();
    assert_eq!(builds.len(), 2, "dependencies, then the product");
    for build in builds {
        for flag in ["--release", "--locked", "--no-default-features"] {
            assert!(build.contains(flag), "{flag}: {build}");
        }
    }
}

#[test]
fn the_image_runs_as_the_user_that_the_manifests_name() {
    let user = last("USER ");
    let (user, group) = user.strip_prefix("USER ").unwrap().split_once(':').unwrap();
    let deployment = read("k8s/base/worker/deployment.yaml");
    assert!(deployment.contains(&format!("runAsUser: {user}\n")));
    assert!(deployment.contains(&format!("runAsGroup: {group}\n")));
}

#[test]
fn every_target_of_the_manifests_has_a_stub_while_dependencies_are_built() {
    let stubs = instructions().into_iter().find(|line| line.contains("tee ")).unwrap();
    let members = read("Cargo.toml");
    let members = members.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    let mut named = BTreeSet::from(["src/lib.rs".to_owned()]);
    for folder in members.iter().map(|member| format!("{member}/")).chain([String::new()]) {
        named.insert(format!("{folder}src/lib.rs"));
        for section in read(&format!("{folder}Cargo.toml")).split("\n[[").skip(1) {
            let (kind, rest) = section.split_once("]]").unwrap();
            let name = rest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
            let name = name.trim_matches('"');
            named.insert(match kind {
                "bin" => format!("{folder}src/bin/{name}.rs"),
                "test" => format!("{folder}tests/{name}/main.rs"),
                "bench" => format!("{folder}benches/{name}.rs"),
                "example" => format!("{folder}examples/{name}/main.rs"),
                other => panic!("[[{other}]]"),
            });
        }
    }
    assert!(named.len() >= 6, "{named:?}");
    for path in named {
        assert!(stubs.contains(&path), "{path} has no stub in the Dockerfile");
    }
}

#[test]
fn everything_that_the_build_copies_is_let_through() {
    let ignore = read(".dockerignore");
    assert!(ignore.lines().any(|line| line == "*"), "all else stays out");
    for line in instructions() {
        let Some(paths) = line.strip_prefix("COPY ").filter(|rest| !rest.starts_with("--from"))
        else {
            continue;
        };
        let paths: Vec<&str> = paths.split(' ').filter(|path| !path.is_empty()).collect();
        for path in &paths[..paths.len() - 1] {
            let let_through = [format!("!{path}"), format!("!{path}/")];
            assert!(ignore.lines().any(|line| let_through.contains(&line.to_owned())), "{path}");
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path}");
        }
    }
}

#[test]
fn the_version_of_the_label_is_the_crates() {
    let version = last("ARG VERSION=");
    assert_eq!(version, concat!("ARG VERSION=", env!("CARGO_PKG_VERSION")));
}
