//! The sessions of README, of getting started and of moving in, run word for word.

use std::{collections::BTreeMap, env, fs, path::Path, process::Output};

use tokio::{process::Command, time};

use crate::{stack::Stack, wait::DEADLINE, world::World};

on_every_stack! {
    the_first_sessions_print_what_the_pages_show
    the_commands_of_moving_in_work_as_they_stand
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The first block of this kind that contains the text.
fn block(page: &str, kind: &str, containing: &str) -> String {
    let fence = format!("```{kind}\n");
    let blocks = page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut found = blocks.filter(|block| block.contains(containing));
    found.next().unwrap_or_else(|| panic!("no {kind} with {containing}")).to_owned()
}

/// Runs a script in a shell that finds the binary.
async fn shell(world: &World, script: &str) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_inventory-worker")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    let mut command = Command::new("/bin/sh");
    command.args(["-euc", script]).env_clear().envs(&world.environment).env("PATH", path);
    let ended = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
    time::timeout(DEADLINE, ended).await.expect("it ends").unwrap()
}

/// Whether the word differs from run to run: an id or a time.
fn is_of_its_run(word: &str) -> bool {
    word.parse::<uuid::Uuid>().is_ok() || word.parse::<jiff::Timestamp>().is_ok()
}

/// Runs each command of a session, with the ids that were printed in place of those of the page, and
/// compares what it prints.
async fn follow(world: &World, session: &str) {
    let mut printed_for: BTreeMap<String, String> = BTreeMap::new();
    let steps = session.strip_prefix("$ ").expect("a command").split("\n$ ");
    for step in steps {
        let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
        let mut command = command.to_owned();
        for (of_page, printed) in &printed_for {
            command = command.replace(of_page, printed);
        }
        let ended = shell(world, &command).await;
        let printed = String::from_utf8(ended.stdout).unwrap();
        let errors = String::from_utf8_lossy(&ended.stderr);
        let (shown_lines, lines) = (shown.trim_end().lines(), printed.trim_end().lines());
        assert_eq!(
            lines.clone().count(),
            shown_lines.clone().count(),
            "{command}\n{printed}{errors}"
        );
        for (shown, line) in shown_lines.zip(lines) {
            let (of_page, words): (Vec<&str>, Vec<&str>) =
                (shown.split(' ').collect(), line.split(' ').collect());
            assert_eq!(words.len(), of_page.len(), "{command}\n{printed}{errors}");
            for (of_page, word) in of_page.into_iter().zip(words) {
                if is_of_its_run(of_page) {
                    assert!(is_of_its_run(word), "{command}\n{printed}{errors}");
                    printed_for.insert(of_page.to_owned(), word.to_owned());
                } else {
                    assert_eq!(word, of_page, "{command}\n{printed}{errors}");
                }
            }
        }
    }
}

async fn the_first_sessions_print_what_the_pages_show(stack: Stack) {
    for name in ["README.md", "docs/getting-started.md"] {
        let world = World::new(stack.clone()).await;
        let worker = world.worker(&[]).await.ready().await;
        follow(&world, &block(&page(name), "console", "inventory-worker send restock")).await;
        worker.stop().await;
        world.audit().await;
    }
}

async fn the_commands_of_moving_in_work_as_they_stand(stack: Stack) {
    let world = World::new(stack).await;
    let worker = world.worker(&[]).await.ready().await;
    let folder = tempfile::tempdir().unwrap();
    let script = block(&page("docs/MOVING_IN.md"), "sh", "inventory-worker import");
    // Other tests run beside this one.
    let script = script.replace("/tmp/", &format!("{}/", folder.path().display()));
    let ended = shell(&world, &script).await;
    let (printed, errors) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{printed}{errors}");
    let summary = "3 seats, 1 line, 1 hold, 1 booking";
    assert_eq!(printed.matches(summary).count(), 3, "checked, posted, and again: {printed}");
    assert!(printed.contains("decided before"), "the same again: {printed}");
    let exported = fs::read_to_string(folder.path().join("event-43.jsonl")).unwrap();
    for text in ["A-1", "A-3", "lawn", "u-1", "b-1001", "u-2"] {
        assert!(exported.contains(text), "{text}: {exported}");
    }
    worker.stop().await;
    world.audit().await;
}
