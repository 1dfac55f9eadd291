//! The lines of docs/PRODUCERS.md for a shell, and `send`'s arguments of the wider contract.

use super::*;
use crate::{
    domain::{Command, LineChange, Timestamp},
    message,
};

const PAGE: &str = include_str!("../../../docs/PRODUCERS.md");

/// The commands of the page, by id; of those under one id the first.
fn commands() -> BTreeMap<String, Command> {
    let mut commands = BTreeMap::new();
    for line in PAGE.lines().filter(|line| line.starts_with("{\"specversion\"")) {
        let command = message::decode(line).unwrap().command;
        commands.entry(command.key.id.to_string()).or_insert(command);
    }
    commands
}

/// The words of a line for a shell; single quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn a_line_of_the_page_for_producers_posts_the_command_that_the_page_shows() {
    let commands = commands();
    let mut types = std::collections::BTreeSet::new();
    for line in PAGE.lines().filter_map(|line| line.strip_prefix("$ inventory-worker send ")) {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let sent = send_command(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
        let address = sent.address();
        let shown = &commands[address.id.as_ref().unwrap().as_str()];
        let Action::Reserve(reserve) = &shown.action else {
            let action = sent.action(ReservationId(uuid::Uuid::nil()));
            assert_eq!(action, shown.action, "{line}");
            assert_eq!(address.pool().as_ref(), Some(&shown.pool), "{line}");
            types.insert(action.command_type().as_str());
            continue;
        };
        // The page's reserve has the id that follows from its own source.
        assert_eq!(sent.action(reserve.reservation_id), shown.action, "{line}");
        assert_eq!(address.expiry_time, shown.deadline, "{line}");
        assert!(address.expiry_time.is_some(), "{line}");
    }
    let expected = ["cancel", "confirm", "extend", "fulfil", "modify", "restock"];
    assert_eq!(
        types,
        expected.map(|kind| format!("inventory.{kind}.v1")).iter().map(String::as_str).collect()
    );
}

const RESERVATION: [&str; 2] = ["--reservation", "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"];

fn on_event(kind: &str, arguments: &[&str]) -> Result<send::SendCommand, clap::error::ErrorKind> {
    let all: Vec<&str> = [kind, "--event", "42"]
        .into_iter()
        .chain(RESERVATION)
        .chain(arguments.iter().copied())
        .collect();
    send_command(&all).map_err(|error| error.kind())
}

#[test]
fn a_confirm_lets_goods_leave_and_allows_no_expired_hold_unless_it_says_so() {
    let action = |arguments: &[&str]| {
        let sent = on_event("confirm", arguments).unwrap();
        let Action::Confirm(confirm) = sent.action(ReservationId(uuid::Uuid::nil())) else {
            panic!("no confirm")
        };
        (confirm.goods.as_str(), confirm.allow_expired)
    };
    assert_eq!(action(&["--booking", "b"]), ("leave", false));
    assert_eq!(action(&["--booking", "b", "--goods", "stay", "--allow-expired"]), ("stay", true));
    assert!(on_event("confirm", &["--booking", "b", "--goods", "keep"]).is_err());
}

#[test]
fn a_modify_names_something_and_an_extend_a_time_within_bounds() {
    use clap::error::ErrorKind;
    let kind = |command: &str, arguments: &[&str]| on_event(command, arguments).err();
    assert_eq!(kind("modify", &[]), Some(ErrorKind::MissingRequiredArgument));
    assert_eq!(kind("modify", &["--add-line", "ga=2", "--remove-line", "vip=1"]), None);
    assert_eq!(kind("modify", &["--add-line", "ga=0"]), Some(ErrorKind::ValueValidation));
    assert_eq!(kind("extend", &[]), Some(ErrorKind::MissingRequiredArgument));
    assert_eq!(kind("extend", &["--hold-seconds", "14401"]), Some(ErrorKind::ValueValidation));
    assert_eq!(kind("cancel", &["--seats-to", "reserved"]), Some(ErrorKind::InvalidValue));
    assert_eq!(kind("fulfil", &["--expiry-time", "tomorrow"]), Some(ErrorKind::ValueValidation));
    let sent = on_event("fulfil", &["--expiry-time", "2026-11-22T10:00:30Z"]).unwrap();
    let expected: Timestamp = "2026-11-22T10:00:30Z".parse().unwrap();
    assert_eq!(sent.address().expiry_time, Some(expected));
}

#[test]
fn a_line_to_stock_has_a_quantity_and_perhaps_the_version_it_must_be_at() {
    let lines = |line: &str| {
        let restock = ["restock", "--store", "s", "--mode", "add", "--line", line];
        let Action::Restock(restock) =
            send_command(&restock).ok()?.action(ReservationId(uuid::Uuid::nil()))
        else {
            panic!("no restock")
        };
        Some(restock.lines)
    };
    let line = |sku: &str, quantity: i64, expected_version: Option<u64>| {
        Some(vec![LineChange { sku: sku.parse().unwrap(), quantity, expected_version }])
    };
    assert_eq!(lines("bolt=5"), line("bolt", 5, None));
    assert_eq!(lines("bolt=-5"), line("bolt", -5, None));
    assert_eq!(lines("bolt=5@0"), line("bolt", 5, Some(0)));
    assert_eq!(lines("a=b@c=5@17"), line("a=b@c", 5, Some(17)));
    for wrong in ["bolt", "bolt=", "bolt=1000000001", "bolt=5@", "bolt=5@-1", "bolt=@3", "=5"] {
        assert_eq!(lines(wrong), None, "{wrong}");
    }
}
