//! docs/RESERVATIONS.md: its program does what the page says, and its table has every code.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use inventory_worker::domain::RejectionCode;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(repository().join("docs/RESERVATIONS.md")).unwrap()
}

#[test]
fn the_program_of_the_page_prints_what_the_page_shows() {
    let page = page();
    let (_, session) = page.split_once("python3 examples/python/checkout.py ").unwrap();
    let shown = session.split_once('\n').unwrap().1.split("```").next().unwrap();
    let ended = Command::new("python3")
        .args(["examples/python/checkout.py", env!("CARGO_BIN_EXE_inventory-worker")])
        .current_dir(repository())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), shown);
    assert_eq!(ended.status.code(), Some(0));
}

/// The page's table says of these that the command is corrected, or sent again.
#[test]
fn a_confirm_that_was_not_decided_is_not_paid_back() {
    let script = r#"
import json, checkout
shop = checkout.Checkout()
shop.order("o", 42, ["A-1"], "ann")
for code in ["INVALID_MESSAGE", "UNSUPPORTED_TYPE", "COMMAND_EXPIRED", "RESERVATION_EXPIRED"]:
    data = {"command": {"id": "o:confirm"}, "rejection": {"code": code}}
    print(shop.handle({"id": code, "data": data}))
    print(shop.states()["o"])
"#;
    let ended = Command::new("python3")
        .args(["-c", script])
        .current_dir(repository().join("examples/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    let said = String::from_utf8_lossy(&ended.stdout);
    let said: Vec<&str> = said.lines().collect();
    for (code, said) in
        ["INVALID_MESSAGE", "UNSUPPORTED_TYPE", "COMMAND_EXPIRED"].into_iter().zip(said.chunks(2))
    {
        let expected = format!("o:confirm: {code}: the order is as it was: correct it, then again");
        assert_eq!(said, [expected.as_str(), "asked"]);
    }
    assert_eq!(said[6..], ["o: pay back: RESERVATION_EXPIRED", "pay back"]);
}

#[test]
fn every_rejection_has_a_reaction() {
    let page = page();
    let table = page.split_once("## What to do with each rejection").unwrap().1;
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let codes: Vec<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|code| code.trim().trim_matches('`'))
        .collect();
    let known: BTreeSet<&str> = RejectionCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), known.len(), "each once: {codes:?}");
    assert_eq!(codes.into_iter().collect::<BTreeSet<_>>(), known);
}
