use clap::{Parser as _, error::ErrorKind};

use super::*;
use crate::cli::{Cli, Command};

fn parse(arguments: &[&str]) -> Result<DlqCommand, clap::Error> {
    let arguments = ["inventory-worker", "dlq"].iter().chain(arguments);
    match Cli::try_parse_from(arguments)?.command {
        Command::Dlq(args) => Ok(args.command),
        _ => panic!("no dlq"),
    }
}

fn refusal(arguments: &[&str]) -> ErrorKind {
    match parse(arguments) {
        Ok(_) => panic!("{arguments:?} was taken"),
        Err(error) => error.kind(),
    }
}

#[test]
fn nothing_is_sent_back_or_discarded_that_was_not_named() {
    for command in ["show", "redrive", "discard"] {
        assert_eq!(refusal(&[command]), ErrorKind::MissingRequiredArgument);
    }
    for command in ["redrive", "discard"] {
        assert_eq!(refusal(&[command, "m-1", "--all"]), ErrorKind::ArgumentConflict);
        assert_eq!(
            refusal(&[command, "m-1", "--reason", "POISON"]),
            ErrorKind::ArgumentConflict,
            "a reason picks among all"
        );
        assert_eq!(refusal(&[command, "--reason", "POISON"]), ErrorKind::MissingRequiredArgument);
    }
}

#[test]
fn all_are_discarded_only_by_a_second_word() {
    assert_eq!(refusal(&["discard", "--all"]), ErrorKind::MissingRequiredArgument);
    assert_eq!(
        refusal(&["discard", "--all", "--reason", "POISON"]),
        ErrorKind::MissingRequiredArgument
    );
    let (task, selection) = parse(&["discard", "--all", "--yes"]).unwrap().task();
    assert_eq!((task, selection), (Task::Discard, Selection::all()));
}

#[test]
fn what_is_selected_is_what_was_written() {
    let (task, selection) = parse(&["redrive", "m-1", "m-2"]).unwrap().task();
    let ids = ["m-1".to_owned(), "m-2".to_owned()];
    assert_eq!((task, selection), (Task::Redrive, Selection::of(ids)));
    let (_, selection) = parse(&["redrive", "--all", "--reason", "POISON"]).unwrap().task();
    assert_eq!(selection, Selection::all().because_of("POISON"));
    let (_, selection) = parse(&["list"]).unwrap().task();
    assert_eq!(selection, Selection::all());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    assert_eq!(refusal(&["list", "--queue", "orders-dlq.fifo"]), ErrorKind::ValueValidation);
    assert_eq!(refusal(&["list", "--reason", "POISONED"]), ErrorKind::InvalidValue);
    assert_eq!(refusal(&["list", "--limit", "0"]), ErrorKind::ValueValidation);
    let list = parse(&["list", "--queue", "orders.fifo", "--limit", "50000"]).unwrap();
    assert_eq!(list.place().queue.as_ref().unwrap().name(), "orders.fifo");
}
